/// A log opened for reading, in any process, beside its writer or without one.
///
/// Takes no lock, never repairs, writes nothing (but the cursors it is asked to hold). Shows only what is durable, as the
/// writer's beacon says; what a crashed writer left behind the beacon appears once a writer has recovered the log. Follows
/// the writer by looking at the beacon again, every 20 ms while somebody waits.
public final class LogReader: Sendable {
  /// The directory.
  public let path: String
  /// The log's UUID, as 32 hexadecimal digits.
  public let logID: String
  private let follower: LogFollower
  let cursors: CursorRegistry
  package let view: LogView

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
    self.view = view
    cursors = CursorRegistry(environment, follower.paths, logID: follower.logID, view: view, worker: worker)
    try refresh()
  }

  /// Looks how far the log reaches now. O(segments) when there are new ones, else one small read.
  public func refresh() throws(LogError) { try follower.refresh(view) }

  /// One past the last record that may be read, as of the last look.
  public var end: Offset { view.end }
  /// The first record still in the log.
  public var first: Offset { view.set.first }

  /// Takes the named cursor; see ``Log/cursor(named:startingAt:)``. Other processes are kept from it by a lock on its file.
  public func cursor(named name: String, startingAt start: Position = .beginning) async throws(LogError) -> Cursor {
    try await cursors.cursor(named: name, startingAt: try offset(of: start))
  }

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

  /// The records from a place on, in order; with `tailing`, also those to come, until the reader is closed.
  ///
  /// With `readAhead`, blocks are decoded ahead on threads of their own; the records and gaps are the same.
  public func records(
    from start: Position = .beginning, to end: Position = .end, tailing: Bool = false, readAhead: ReadAhead = .none
  ) -> Records {
    Records(view: view, start: start, end: tailing ? nil : end, readAhead: readAhead)
  }

  /// The offset a place stands for now. A time costs a few small reads the first time, however long the log is, and one segment's
  /// index: O(log records).
  public func offset(of place: Position) throws(LogError) -> Offset { try view.offset(of: place) }

  /// Where to look for events of these times: the offsets of the blocks that may hold some, in order, joined where they follow
  /// each other. Reads block headers' times from the segments' indexes, no block: O(segments between the two places).
  ///
  /// No record with an event time in the range stands anywhere else. A block in which an append did not tell the time
  /// of a record (`RecordBatch.append(_:eventTime:)`) may hold any time. Most of the records in the offsets are of
  /// other times: a block is as fine as this gets.
  public func offsets(
    mayHold eventTimes: Range<Timestamp>, from start: Position = .beginning, to end: Position = .end
  ) throws(LogError) -> [Range<Offset>] {
    let (first, end) = (try view.offset(of: start), try view.offset(of: end))
    let events = EventWindow(from: eventTimes.lowerBound, until: eventTimes.upperBound)
    return try view.offsets(mayHold: events, in: first..<max(first, end))
  }

  /// Lets go of the cursors and ends all waiting.
  public func close() {
    cursors.close()
    view.close()
  }
}
