package import PenstockTestKit

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
    if script.processes.count > 1 {
      for processRun in script.processes.indices.reversed() { add { $0.processes.remove(at: processRun) } }
    }
    for processRun in script.processes.indices {
      let outcomes = script.processes[processRun].outcomes
      if outcomes.count > 1 {
        for index in outcomes.indices {
          add {
            $0.processes[processRun].outcomes = [outcomes[index]]
            $0.processes[processRun].next = 0
          }
        }
      }
      add { $0.processes[processRun].isDisturbed = false }
      add { $0.processes[processRun].isStalled = false }
      for step in script.processes[processRun].steps.indices.reversed() {
        add {
          $0.processes[processRun].steps.remove(at: step)
          if let crash = $0.processes[processRun].crash, crash.step > step { $0.processes[processRun].crash?.step -= 1 }
        }
        add { $0.processes[processRun].steps[step].fault = .none }
      }
      add { $0.processes[processRun].crash = nil }
    }
    return all
  }
}
