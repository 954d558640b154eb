internal import Logging
internal import Synchronization

/// Where the log keeps replays: next to their cursors, one ``SlotFile`` each, of fixed size. Every method blocks the
/// calling thread.
///
/// Order of effects, each durable before the next: the manifest → the cursor → … → the manifest, finished → the cursor
/// is removed. So a cursor without a manifest belongs to no replay, and a finished manifest may still have its cursor.
package enum ReplayManifestStore {
  static let slotKind: UInt16 = 4
  static let slotSize = 4096
  static let suffix = ".replay"

  static func path(_ id: String, _ paths: LogPaths) -> String { paths.cursors + "/" + id + suffix }

  package static func validate(_ id: String) throws(LogError) {
    try CursorStore.validate(id, of: "replay")
    guard id.utf8.count <= ReplayManifest.maxIDBytes else {
      throw LogError(
        .invalidName, "\"\(id)\" is not a valid replay name: use at most \(ReplayManifest.maxIDBytes) characters")
    }
  }

  /// Separates replays' cursors from all others.
  static func checkName(_ name: String, isReplay: Bool) throws(LogError) {
    guard ReplayManifest.isReplay(cursor: name) == isReplay else {
      throw LogError(
        .invalidName,
        "cursor names that begin with \"\(ReplayManifest.namePrefix)\" belong to replays, not to \"\(name)\"")
    }
  }

  /// Nil when there is none of that id.
  static func manifest(
    _ fileSystem: any FileSystem, _ paths: LogPaths, logID: [UInt8], id: String
  ) throws(LogError) -> ReplayManifest? {
    try validate(id)
    let value: [UInt8]
    do throws(LogError) {
      value = try SlotFile.peek(fileSystem, path(id, paths), kind: slotKind, slotSize: slotSize)
    } catch {
      if error.isAboutMissingFile { return nil }
      throw error
    }
    let manifest = try ReplayManifest(decoding: value, logID: logID)
    guard manifest.id == id else {
      throw LogError(.damaged, "the file belongs to replay \(manifest.id)", location: .init(path: path(id, paths)))
    }
    return manifest
  }

  /// Makes a new replay durable. Throws `.illegalMove` when a replay of that id exists, or a cursor of its cursor's
  /// name.
  static func create(
    _ fileSystem: any FileSystem, _ paths: LogPaths, logID: [UInt8], _ manifest: ReplayManifest
  ) throws(LogError) {
    try validate(manifest.id)
    let path = path(manifest.id, paths)
    var isThere = false
    do throws(FileSystemError) { isThere = try fileSystem.exists(path) } catch {
      throw LogError(error, while: "find replay \(manifest.id)")
    }
    if !isThere { isThere = try CursorStore.names(fileSystem, paths).contains(manifest.cursorName) }
    if isThere {
      throw LogError(.illegalMove, "a replay or a cursor of that name already exists", location: .init(path: path))
    }
    do throws(LogError) {
      try LogDirectory.restoringCursors(fileSystem, paths) { () throws(LogError) in
        try SlotFile.create(
          fileSystem, path, kind: slotKind, slotSize: slotSize, value: manifest.encoded(logID: logID))
      }
    } catch {
      guard error.code == .locked || (error.cause as? FileSystemError)?.code == .exists else { throw error }
      throw LogError(.illegalMove, "another process is starting a replay of that name", location: .init(path: path))
    }
  }

  /// Replaces the durable manifest of a replay. Only the holder of its cursor may call it.
  static func update(
    _ fileSystem: any FileSystem, _ paths: LogPaths, logID: [UInt8], _ manifest: ReplayManifest
  ) throws(LogError) {
    let path = path(manifest.id, paths)
    let (slots, _) = try SlotFile.open(fileSystem, path, kind: slotKind, slotSize: slotSize)
    try slots.write(manifest.encoded(logID: logID))
  }

  /// The ids of all replays, sorted.
  static func ids(_ fileSystem: any FileSystem, _ paths: LogPaths) throws(LogError) -> [String] {
    do throws(FileSystemError) {
      return CursorStore.ownNames(try fileSystem.list(paths.cursors), suffix)
        .filter { $0.utf8.count <= ReplayManifest.maxIDBytes }
    } catch {
      if error.code == .notFound { return [] }
      throw LogError(error, while: "list the replays")
    }
  }

  /// Removes a manifest that may be missing. Durable when it returns.
  static func remove(_ fileSystem: any FileSystem, _ paths: LogPaths, id: String) throws(LogError) {
    do throws(FileSystemError) {
      try fileSystem.removeIfPresent(path(id, paths))
      try fileSystem.synchronizeDirectory(paths.cursors)
    } catch {
      throw LogError(error, while: "remove the replay \(id)")
    }
  }
}
