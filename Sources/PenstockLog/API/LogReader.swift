/// A log opened for reading, in any process, beside its writer or without one.
///
/// Takes no lock, never repairs, writes nothing (but the cursors it is asked to hold). Shows only what is durable, as the
/// writer's commit point says; what a crashed writer left behind the commit point appears once a writer has recovered the log. Follows
/// the writer by looking at the commit point again, every 20 ms while somebody waits.
public final class LogReader: ReadableLog {
  /// The directory.
  public let path: String
  /// The log's UUID, as 32 hexadecimal digits.
  public let logID: String
  private let follower: LogFollower
  public let parts: LogParts

  /// Throws `.notALog`, `.futureFormat`, `.damaged`, `.io`. O(segments).
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
    // A look that fails is made again by the next one; reading will say what is wrong.
    let view = LogView(follow: { try? follower.refresh($0) }, observation: environment.observation)
    parts = LogParts(
      view, CursorRegistry(environment, follower.paths, logID: follower.logID, view: view, worker: worker))
    try refresh()
  }

  /// Looks how far the log reaches now. O(segments) when there are new ones, else one small read.
  public func refresh() throws(LogError) { try follower.refresh(view) }

  /// Where the named cursor stands; nil when there is none of that name. Other cursors are not looked at, so that one that is damaged
  /// keeps nobody from asking about the rest. Throws `.damaged` where it is this one.
  public func cursorState(named name: String) throws(LogError) -> CursorState? {
    let (fileSystem, paths) = (follower.environment.fileSystem, follower.paths)
    guard try cursorNames().contains(name) else { return nil }
    return try CursorStore.record(fileSystem, paths, name: name, of: follower.logID).state
  }

  /// The names of all cursors, sorted.
  public func cursorNames() throws(LogError) -> [String] {
    try CursorStore.names(follower.environment.fileSystem, follower.paths)
  }

  /// All cursors by name, and where each stands or why that cannot be read: one that is damaged hides no other.
  public func cursorStates() throws(LogError) -> [(name: String, state: Result<CursorState, LogError>)] {
    try CursorStore.states(follower.environment.fileSystem, follower.paths, of: follower.logID)
  }

  /// Lets go of the cursors and ends all waiting.
  public func close() {
    cursors.close()
    view.close()
  }
}
