import PenstockLog

/// The whole state of a simulated machine's disk and kernel, as one value: to branch history, copy it.
///
/// Nothing here iterates a dictionary or a set without sorting first, so equal calls give equal states.
package struct SimulatedDisk: Sendable {
  struct OpenFile: Sendable {
    let file: Int
    let mode: OpenMode
    let path: String
  }

  /// Larger files would be a mistake of the caller that eats the test machine's memory.
  static let largestFile = 1 << 32
  static let root = 0

  var files: [Int: SimulatedFile] = [:]
  var directories: [Int: SimulatedDirectory] = [root: SimulatedDirectory()]
  var handles: [Int32: OpenFile] = [:]
  /// The locks on each file.
  var locks: [Int: FileLocks] = [:]
  var nextNode = 1
  var nextHandle: Int32 = 3

  var random: SplitMix64
  var plan = FaultPlan()
  var isDown = false
  var watch: SimulatedFileSystem.Watch?
  package var ioCount = 0
  /// The newest I/O, for people.
  package var lastIO: (verb: Verb, path: String)?
  /// A copy of the disk after each I/O, if a caller asked for copies.
  package var kept: [SimulatedDisk]?
  var readCount = 0
  var readBytes = 0
  var capacityBytes: Int?
  var cacheDropping = SimulatedFileSystem.CacheDropping.works

  var hash = TraceHash()
  /// Lines of the trace, when it is kept.
  var trace: [String]?

  init(seed: UInt64, tracing: Bool) {
    random = SplitMix64(seed: seed)
    trace = tracing ? [] : nil
  }

  // MARK: - Names

  struct Location {
    var directory: Int
    var name: String
    var entry: SimulatedDirectory.Entry?
  }

  private func parts(_ path: String) -> [Substring] { path.split(separator: "/").filter { $0 != "." } }

  func locate(_ path: String, _ verb: Verb) throws(FileSystemError) -> Location {
    var directory = Self.root
    let parts = parts(path)
    guard let last = parts.last else {
      return Location(directory: Self.root, name: "", entry: .directory(Self.root))
    }
    for part in parts.dropLast() {
      switch directories[directory]?.entries[String(part)] {
      case .directory(let inner): directory = inner
      case .file: throw verb.error(.notADirectory, path)
      case nil: throw verb.error(.notFound, path)
      }
    }
    let name = String(last)
    return Location(directory: directory, name: name, entry: directories[directory]?.entries[name])
  }

  func directory(_ path: String, _ verb: Verb) throws(FileSystemError) -> Int {
    switch try locate(path, verb).entry {
    case .directory(let directory): return directory
    case .file: throw verb.error(.notADirectory, path)
    case nil: throw verb.error(.notFound, path)
    }
  }

  func fileNumber(_ path: String) -> Int? {
    guard case .file(let file)? = try? locate(path, .open).entry else { return nil }
    return file
  }

  // MARK: - Space

  /// How much of a growth to `size` bytes the capacity allows; `size` itself without a limit.
  func allowedSize(of file: Int, growingTo size: Int) -> Int {
    guard let capacityBytes, let present = files[file]?.content.count, size > present else { return size }
    let live = live { Array($0.entries.values) }
    let used = live.files.reduce(0) { $0 + (files[$1]?.content.count ?? 0) }
    return min(size, present + max(0, capacityBytes - used))
  }

  /// Forgets files that no entry, present or possible after a crash, and no handle leads to.
  mutating func collectGarbage() {
    let live = live { $0.reachable }
    if live.files.count != files.count { files = files.filter { live.files.contains($0.key) } }
    if live.directories.count != directories.count {
      directories = directories.filter { live.directories.contains($0.key) }
    }
  }

  /// What handles and, from the root on, the given entries of each directory lead to.
  private func live(
    _ entries: (SimulatedDirectory) -> [SimulatedDirectory.Entry]
  ) -> (files: Set<Int>, directories: Set<Int>) {
    var liveFiles = Set(handles.values.map(\.file))
    var liveDirectories: Set<Int> = [Self.root]
    var open = [Self.root]
    while let next = open.popLast() {
      for entry in directories[next].map(entries) ?? [] {
        switch entry {
        case .file(let file): liveFiles.insert(file)
        case .directory(let inner): if liveDirectories.insert(inner).inserted { open.append(inner) }
        }
      }
    }
    return (liveFiles, liveDirectories)
  }

  // MARK: - The trace

  mutating func record(
    _ verb: Verb, _ path: String, _ position: UInt64, _ length: UInt64, _ outcome: Result<UInt64, FileSystemError>
  ) {
    // A close changes nothing on the disk, and the order of several closes may be that of a hash table.
    if verb != .close { mix(verb, path, position, length, outcome) }
    guard trace != nil else { return }
    let result =
      switch outcome {
      case .success(let value): "\(value)"
      case .failure(let error): error.code.explanation
      }
    trace?.append("#\(ioCount) \(verb) \(path) @\(position) +\(length) = \(result)")
  }

  private mutating func mix(
    _ verb: Verb, _ path: String, _ position: UInt64, _ length: UInt64, _ outcome: Result<UInt64, FileSystemError>
  ) {
    hash.mix(verb.rawValue)
    hash.mix(path)
    hash.mix(position)
    hash.mix(length)
    switch outcome {
    case .success(let value): hash.mix(value)
    case .failure(let error): hash.mix(error.code.explanation)
    }
  }
}

/// What is done to a disk, for errors, traces and digests.
package enum Verb: UInt64, Sendable {
  case open = 1, create, close, read, write, synchronize, size, truncate, rename, remove, list, makeDirectory
  case synchronizeDirectory, lock, replace, path, dropCache, unlock

  func error(_ code: FileSystemError.Code, _ path: String) -> FileSystemError {
    FileSystemError(code, verb: publicVerb, path: path)
  }

  /// The verb of ``FileSystem`` that fails: of the same name, or `open`, which creates and closes, too.
  private var publicVerb: FileSystemError.Verb {
    self == .unlock ? .lock : FileSystemError.Verb(rawValue: "\(self)") ?? .open
  }
}

/// The faults a test has ordered, by number of I/O.
struct FaultPlan: Sendable {
  enum Fault: Sendable {
    case crash(FaultEffect?)
    case error(FileSystemError.Code, FaultEffect)
    case pretence
    case misdirection(UInt64)
  }

  var atIO: [Int: Fault] = [:]
  var fromIO: (number: Int, code: FileSystemError.Code)?
  var atRead: [Int: FileSystemError.Code] = [:]
  var lie: Lie?
  /// In 1/65536 of the reads and writes.
  var shortTransfers: UInt64 = 0
  var interruptions: UInt64 = 0

  /// A write that is said to have been made.
  struct Lie: Sendable {
    /// Writes into such files still to come, this one included.
    var writes: Int
    var part: String
    /// Where its bytes go instead; nil: nowhere.
    var elsewhere: Int?
  }

  /// Counts a write; returns the lie when it is this one's turn.
  mutating func lie(to path: String) -> Lie? {
    guard var next = lie, path.contains(next.part) else { return nil }
    next.writes -= 1
    lie = next.writes > 0 ? next : nil
    return next.writes > 0 ? nil : next
  }

  func fault(at number: Int) -> Fault? {
    if let fault = atIO[number] { return fault }
    if let fromIO, number >= fromIO.number { return .error(fromIO.code, .nothing) }
    return nil
  }
}
