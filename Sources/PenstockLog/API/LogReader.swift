/// A log opened for reading, in any process, with or without a writer.
///
/// It takes no lock, never repairs, and writes only cursors, pauses and replays that its caller asks for. It shows only
/// what is durable according to the writer's commit point. Records that a crashed writer left after the commit point
/// appear once a writer has recovered the log.
///
/// It follows the writer by reading the commit point again, every 20 ms while a reader waits. Its synchronous methods
/// read files: they block the calling thread.
public final class LogReader: ReadableLog {
  /// The directory.
  public let path: String
  /// The log's UUID, as 32 hexadecimal digits.
  public let logID: String
  private let follower: LogFollower
  /// What reads share; not for use outside this package.
  public let parts: LogParts

  /// Opens the log at `path` for reading. Throws `.notALog`, `.futureFormat`, `.damaged`, `.io`. O(segments).
  public static func open(
    at path: String, environment: LogEnvironment = .system
  ) async throws(LogError) -> LogReader {
    let worker = Worker(name: "penstock-io")
    return try await worker.run { () throws(LogError) in try LogReader(path, environment, worker) }
  }

  private init(_ path: String, _ environment: LogEnvironment, _ worker: Worker) throws(LogError) {
    self.path = path
    let follower = try LogFollower(environment, LogPaths(path))
    self.follower = follower
    logID = LogMeta.hex(follower.logID)
    // A refresh that fails is repeated by the next one; reading reports the error.
    let view = LogView(follow: { try? follower.refresh($0) }, observation: environment.observation)
    parts = LogParts(
      view, CursorRegistry(environment, follower.paths, logID: follower.logID, view: view, worker: worker))
    try refresh()
  }

  /// Reads how far the log reaches now. O(segments) when there are new ones, else two small reads. Blocks the calling
  /// thread. Throws `.damaged`, `.io`.
  public func refresh() throws(LogError) { try follower.refresh(view) }

  /// The state of the named cursor; nil when there is none of that name. Reads no other cursor, so that a damaged one
  /// does not hide the rest. Throws `.damaged` when this one is damaged. Blocks the calling thread.
  public func cursorState(named name: String) throws(LogError) -> CursorState? {
    let (fileSystem, paths) = (follower.environment.fileSystem, follower.paths)
    guard try cursorNames().contains(name) else { return nil }
    return try CursorStore.record(fileSystem, paths, name: name, of: follower.logID).state
  }

  /// The names of all cursors, sorted. Blocks the calling thread.
  public func cursorNames() throws(LogError) -> [String] {
    try CursorStore.names(follower.environment.fileSystem, follower.paths)
  }

  /// All cursors by name, each with its state or the reason why it cannot be read: a damaged one hides no other. Blocks
  /// the calling thread.
  public func cursorStates() throws(LogError) -> [(name: String, state: Result<CursorState, LogError>)] {
    try CursorStore.states(follower.environment.fileSystem, follower.paths, of: follower.logID)
  }

  /// Releases the cursors and ends all waiting.
  public func close() {
    cursors.close()
    view.close()
  }
}
