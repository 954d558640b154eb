/// The directory of a log: its contents, and the right to write there.
package enum LogDirectory {
  private static let ownNames: Set<String> = [
    "LOCK", "META", "META.tmp", "COMMIT", "PRODUCERS.a", "PRODUCERS.b", "PRODUCERS.tmp", "data", "cursors",
    "quarantine",
  ]
  /// Files that a file system or an operating system keeps at the root of a volume. A volume's root is a normal
  /// directory for a log.
  private static let volumeNames: Set<String> = [
    "lost+found", ".snapshot", ".zfs", "aquota.user", "aquota.group", ".Trashes", ".fseventsd", ".Spotlight-V100",
  ]

  /// Whether a name belongs to the volume: neither to the log nor to another program.
  static func isVolumeName(_ name: String) -> Bool {
    volumeNames.contains(name) || name.hasPrefix(".Trash-")
  }

  /// Whether there is a log. Throws `.notALog` for a directory that holds other files: a log never shares a directory.
  package static func exists(_ fileSystem: any FileSystem, _ paths: LogPaths) throws(LogError) -> Bool {
    let names: [String]
    do throws(FileSystemError) { names = try fileSystem.list(paths.root) } catch {
      switch error.code {
      case .notFound: return false
      case .notADirectory:
        throw LogError(.notALog, "that is a file; a log is a directory", location: .init(path: paths.root))
      default: throw LogError(error, while: "read the log's directory")
      }
    }
    if names.contains("META") { return true }
    if let other = names.sorted().first(where: { !ownNames.contains($0) && !isVolumeName($0) }) {
      throw LogError(
        .notALog, "the directory holds other files (\(other)) and no log; name an empty or a new one",
        location: .init(path: paths.root))
    }
    // Without META, but with a data directory: an interrupted creation, or a lost META.
    return names.contains("data") && names.contains("cursors") && names.contains("quarantine")
  }

  /// Makes the directories, durably. It also completes an interrupted creation.
  static func create(_ fileSystem: any FileSystem, _ paths: LogPaths) throws(LogError) {
    do throws(FileSystemError) {
      try make(fileSystem, paths.root)
      try fileSystem.synchronizeDirectory(LogPaths.parent(of: paths.root))
      for directory in [paths.data, paths.cursors, paths.quarantine] { try make(fileSystem, directory) }
      try fileSystem.synchronizeDirectory(paths.root)
    } catch {
      throw LogError(error, while: "create the log's directory")
    }
  }

  /// Makes missing directories of a log again, durably, where their contents can be made again. The segments' directory
  /// is not one of them: without it records are lost.
  static func restore(_ fileSystem: any FileSystem, _ paths: LogPaths) throws(LogError) {
    do throws(FileSystemError) {
      let names = try fileSystem.list(paths.root)
      for (name, path) in [("cursors", paths.cursors), ("quarantine", paths.quarantine)] where !names.contains(name) {
        try restore(fileSystem, path)
      }
    } catch {
      throw LogError(error, while: "make a missing directory of the log")
    }
  }

  /// Runs a body that makes a file in the directory of cursors. If that directory is missing, makes it and runs the
  /// body again.
  static func restoringCursors(
    _ fileSystem: any FileSystem, _ paths: LogPaths, _ body: () throws(LogError) -> Void
  ) throws(LogError) {
    do throws(LogError) {
      return try body()
    } catch {
      guard error.isAboutMissingFile else { throw error }
    }
    do throws(FileSystemError) { try restore(fileSystem, paths.cursors) } catch {
      throw LogError(error, while: "make the directory of cursors")
    }
    try body()
  }

  private static func restore(_ fileSystem: any FileSystem, _ path: String) throws(FileSystemError) {
    try make(fileSystem, path)
    try fileSystem.synchronizeDirectory(LogPaths.parent(of: path))
  }

  private static func make(_ fileSystem: any FileSystem, _ path: String) throws(FileSystemError) {
    do throws(FileSystemError) {
      try fileSystem.makeDirectory(path)
    } catch {
      guard error.code == .exists else { throw error }
    }
  }

  /// What the holder of a log's lock does.
  package enum Holder: Sendable {
    case writer
    /// It checks what a crash has left and soon releases the lock: worth waiting for.
    case recovery
  }

  /// Takes the writer's lock; `.locked` when another process holds it. The lock ends with the handle or with the
  /// process, never by time.
  static func lock(
    _ fileSystem: any FileSystem, _ paths: LogPaths, as holder: Holder = .writer
  ) throws(LogError) -> OpenFile {
    do throws(FileSystemError) {
      if let handle = try NamedLock.openOrCreate(fileSystem, paths.lock) {
        let file = OpenFile(fileSystem, handle)
        // A hint: on a full disk there may be no space for it.
        try? mark(file, holder)
        return file
      }
    } catch {
      throw LogError(error, while: "lock the log")
    }
    throw LogError(
      .locked,
      self.holder(fileSystem, paths) == .recovery
        ? "another process is still recovering this log after a crash; try again in a moment"
        : "another process is writing this log; read it (tail, status, deliver) or stop the writer",
      location: .init(path: paths.lock))
  }

  /// What the holder of the lock does, as a hint: the file is empty under a writer. The mark is never made durable, and
  /// it is omitted where it cannot be written. It shows the previous holder in three cases: it could not be written,
  /// the holder has not written it yet, or the holder died.
  static func holder(_ fileSystem: any FileSystem, _ paths: LogPaths) -> Holder {
    do throws(FileSystemError) {
      let file = OpenFile(fileSystem, try fileSystem.open(paths.lock, .readOnly))
      return try fileSystem.size(file.handle) > 0 ? .recovery : .writer
    } catch {
      return .writer
    }
  }

  private static func mark(_ file: OpenFile, _ holder: Holder) throws(FileSystemError) {
    let isMarked = try file.fileSystem.size(file.handle) > 0
    switch holder {
    case .writer:
      if isMarked { try file.fileSystem.truncate(file.handle, to: 0) }
    case .recovery:
      if !isMarked { try file.fileSystem.writeZeros(file.handle, 0..<1) }
    }
  }

  package static func openCommitPoint(_ fileSystem: any FileSystem, _ paths: LogPaths) throws(LogError) -> OpenFile {
    do throws(FileSystemError) {
      let file = OpenFile(fileSystem, try fileSystem.openOrCreate(paths.commitPoint))
      if try fileSystem.size(file.handle) < UInt64(CommitPoint.size) {
        // A first version without a value, so that no later one needs space on the disk.
        try file.fileSystem.writeZeros(file.handle, 0..<UInt64(CommitPoint.size))
      }
      return file
    } catch {
      throw LogError(error, while: "open the commit point")
    }
  }

  /// The segments in order, and the files in the data directory that do not belong to the log.
  static func listSegments(
    _ fileSystem: any FileSystem, _ paths: LogPaths
  ) throws(LogError) -> (names: [SegmentName], unknown: [String]) {
    let all: [String]
    do throws(FileSystemError) { all = try fileSystem.list(paths.data) } catch {
      throw LogError(error, while: "list the segments")
    }
    let names = all.compactMap(SegmentName.init).sorted()
    let unknown = all.filter {
      SegmentName($0) == nil && !$0.hasPrefix("next.tmp") && !LogPaths.isSealing($0) && !isVolumeName($0)
    }.sorted()
    for (index, name) in names.enumerated().dropFirst() {
      let before = names[index - 1]
      guard before.sequence < name.sequence, before.baseOffset <= name.baseOffset else {
        throw LogError(
          .damaged, "two segments hold the same offsets; move one of them away",
          location: .init(path: paths.segment(name), offset: name.baseOffset))
      }
    }
    return (names, unknown.map { paths.data + "/" + $0 })
  }
}
