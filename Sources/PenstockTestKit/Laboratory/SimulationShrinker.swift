/// Makes a script that finds something smaller while it still finds the same.
package enum SimulationShrinker {
  package static func shrink(_ script: SimulationScript, keeping invariant: Invariant) -> SimulationScript {
    var best = script
    var isSmaller = true
    while isSmaller {
      isSmaller = false
      for candidate in candidates(of: best) {
        guard Simulation.run(candidate).violations.first?.invariant == invariant else { continue }
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
