/// Everything that a power cut at one moment can leave of a disk: any unsynced sectors, sizes and directory operations,
/// those that leave the same counted once.
package struct PowerCuts {
  private struct FileChoices {
    var number: Int
    var files: [SimulatedFile]
    /// Of their contents.
    var digests: [UInt64]
  }
  private struct DirectoryChoices {
    var number: Int
    var directories: [SimulatedDirectory]
    /// Digests of the names, in order, and what they lead to.
    var entries: [[(name: UInt64, entry: SimulatedDirectory.Entry)]]
  }

  private let base: SimulatedDisk
  private var files: [FileChoices] = []
  private var directories: [DirectoryChoices] = []
  /// Where a file or a directory stands in these.
  private var places: [Int: Int] = [:]
  package private(set) var count = 1

  /// Nil where there are more than `limit`.
  package init?(_ disk: SimulatedDisk, atMost limit: Int) {
    var disk = disk.afterRestart()
    disk.collectGarbage()
    base = disk
    for (number, file) in disk.files.sorted(by: { $0.key < $1.key }) {
      guard let choices = file.powerCuts(atMost: limit) else { return nil }
      places[number] = files.count
      files.append(FileChoices(number: number, files: choices, digests: choices.map(\.content.digest)))
      count *= choices.count
      if count > limit { return nil }
    }
    for (number, directory) in disk.directories.sorted(by: { $0.key < $1.key }) {
      guard let choices = directory.powerCuts(atMost: limit) else { return nil }
      places[number] = directories.count
      directories.append(
        DirectoryChoices(number: number, directories: choices, entries: choices.map(Self.entries)))
      count *= choices.count
      if count > limit { return nil }
    }
  }

  private static func entries(
    of directory: SimulatedDirectory
  ) -> [(name: UInt64, entry: SimulatedDirectory.Entry)] {
    directory.entries.sorted { $0.key < $1.key }.map { name, entry in
      var hash = TraceHash()
      hash.mix(name)
      return (hash.value, entry)
    }
  }

  /// Which choice of each file, and then of each directory, one of them is.
  private func choices(_ number: Int) -> [Int] {
    var rest = number
    return (files.map(\.files.count) + directories.map(\.directories.count)).map { count in
      defer { rest /= count }
      return rest % count
    }
  }

  /// Of all names and contents of one of them.
  package func digest(_ number: Int) -> UInt64 {
    let chosen = choices(number)
    var hash = TraceHash()
    var open = [SimulatedDisk.root]
    while let next = open.popLast() {
      guard let place = places[next] else { continue }
      for (name, entry) in directories[place].entries[chosen[files.count + place]] {
        hash.mix(name)
        switch entry {
        case .file(let file): hash.mix(places[file].map { files[$0].digests[chosen[$0]] } ?? 0)
        case .directory(let inner):
          hash.mix(1)
          open.append(inner)
        }
      }
      hash.mix(2)
    }
    return hash.value
  }

  package func disk(_ number: Int) -> SimulatedDisk {
    let chosen = choices(number)
    var disk = base
    for (place, file) in files.enumerated() { disk.files[file.number] = file.files[chosen[place]] }
    for (place, directory) in directories.enumerated() {
      disk.directories[directory.number] = directory.directories[chosen[files.count + place]]
    }
    disk.collectGarbage()
    return disk
  }
}
