/// Makes a script that finds something smaller while it still finds the same.
package enum SimulationShrinker {
  /// - Parameter run: how a script is run.
  package static func shrink(
    _ script: SimulationScript, keeping invariant: Invariant,
    running run: (SimulationScript) -> Simulation.Result = { Simulation.run($0) }
  ) -> SimulationScript {
    var best = script
    var isSmaller = true
    while isSmaller {
      isSmaller = false
      for candidate in candidates(of: best) {
        guard run(candidate).violations.first?.invariant == invariant else { continue }
        best = candidate
        isSmaller = true
        break
      }
    }
    return best
  }

  /// Everything that is one piece smaller, the largest pieces first.
  private static func candidates(of script: SimulationScript) -> [SimulationScript] {
    var all: [SimulationScript] = []
    func add(_ change: (inout SimulationScript) -> Void) {
      var smaller = script
      change(&smaller)
      if smaller != script { all.append(smaller) }
    }
    add { $0.rots = false }
    add { $0.lies = false }
    add { $0.hasBadSectors = false }
    add { $0.createsOnly = false }
    if script.lives.count > 1 {
      for life in script.lives.indices.reversed() { add { $0.lives.remove(at: life) } }
    }
    for life in script.lives.indices {
      let outcomes = script.lives[life].outcomes
      if outcomes.count > 1 {
        for index in outcomes.indices {
          add {
            $0.lives[life].outcomes = [outcomes[index]]
            $0.lives[life].next = 0
          }
        }
      }
      add { $0.lives[life].isDisturbed = false }
      add { $0.lives[life].isStalled = false }
      for step in script.lives[life].steps.indices.reversed() {
        add {
          $0.lives[life].steps.remove(at: step)
          if let crash = $0.lives[life].crash, crash.step > step { $0.lives[life].crash?.step -= 1 }
        }
        add { $0.lives[life].steps[step].fault = .none }
      }
      add { $0.lives[life].crash = nil }
    }
    return all
  }
}
