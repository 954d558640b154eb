// What a crash leaves of a disk.
extension SimulatedDisk {
  /// Files first, then directories, each by age: the order in which a policy is asked about items.
  var unsyncedItemCount: Int {
    var disk = self
    disk.handles = [:]
    disk.collectGarbage()
    return disk.files.values.reduce(0) { $0 + $1.unsyncedItemCount }
      + disk.directories.values.reduce(0) { $0 + $1.unsyncedItemCount }
  }

  package func afterPowerCut(_ policy: CrashPolicy) -> SimulatedDisk {
    var disk = afterRestart()
    // What only a handle led to is gone, and takes no part in a choice.
    disk.collectGarbage()
    var chooser = CrashChooser(policy)
    for (number, file) in disk.files.sorted(by: { $0.key < $1.key }) {
      disk.files[number] = file.afterPowerCut(&chooser)
    }
    for (number, directory) in disk.directories.sorted(by: { $0.key < $1.key }) {
      disk.directories[number] = directory.afterPowerCut(&chooser)
    }
    disk.collectGarbage()
    disk.hash.mix(chooser.digest.value)
    return disk
  }

  package func afterProcessKill() -> SimulatedDisk {
    var disk = afterRestart()
    disk.collectGarbage()
    return disk
  }

  /// The same disk under a fresh process: no handles, no locks, no faults, counters at zero.
  func afterRestart() -> SimulatedDisk {
    var disk = self
    disk.handles = [:]
    disk.locks = [:]
    disk.plan = FaultPlan()
    disk.isDown = false
    disk.watch = nil
    disk.ioCount = 0
    disk.readCount = 0
    disk.readBytes = 0
    disk.kept = nil
    disk.trace?.append("-- restart --")
    return disk
  }
}
