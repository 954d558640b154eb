public import PenstockLog

/// Stores replays. `Log` and `LogReader` are such stores; a cluster can be one later.
public protocol ReplayStore: Sendable {
  /// The offset that a position resolves to now.
  func offset(of place: Position) throws(LogError) -> Offset

  /// What two positions resolve to now: offsets, and the condition on each record where a position is an event time. No
  /// record outside the offsets meets the condition.
  func window(from: Position, to: Position, untimed: EventWindow.Untimed) throws(LogError) -> LogWindow

  /// The size of a range, from indexes.
  func extent(of range: Range<Offset>) throws(LogError) -> RangeEstimate

  /// Does reads of the three kinds above, which may block their thread, where they block no task.
  func offload<Output: Sendable>(
    _ reads: @escaping @Sendable () throws(LogError) -> Output
  ) async throws(LogError) -> Output

  /// The durable manifest of a replay; nil when there is no replay of that id. Throws `.invalidName`.
  func replay(_ id: String) async throws(LogError) -> ReplayManifest?

  /// Makes a manifest durable. Throws when there is a replay of that id.
  func createReplay(_ manifest: ReplayManifest) async throws(LogError)

  /// Replaces a replay's manifest durably. Only the holder of its cursor may call this.
  func updateReplay(_ manifest: ReplayManifest) async throws(LogError)

  /// Takes the replay's cursor. Creates it at the window's beginning if there is none.
  func replayLease(_ manifest: ReplayManifest) async throws(LogError) -> any ReplayLease

  /// Removes the replay's cursor durably; with `manifest`, also its manifest. Has no effect when there is none.
  func removeReplay(_ id: String, manifest: Bool) async throws(LogError)
}

extension ReplayStore {
  /// For a store whose reads do not block: does them on the calling thread.
  public func offload<Output: Sendable>(
    _ reads: @escaping @Sendable () throws(LogError) -> Output
  ) async throws(LogError) -> Output { try reads() }

  /// For a store without an index by event time: the offsets include every record between the two positions.
  public func window(
    from: Position, to: Position, untimed: EventWindow.Untimed
  ) throws(LogError) -> LogWindow {
    LogWindow(
      first: try offset(of: from.asEventTime == nil ? from : .beginning),
      end: try offset(of: to.asEventTime == nil ? to : .end),
      events: EventWindow(from: from, to: to, untimed: untimed))
  }
}

/// The right to move a replay's cursor.
public protocol ReplayLease: CursorLease {
  /// Passes lost records; on stable storage when it returns.
  func acknowledge(_ gap: Gap) async throws(LogError)
}

extension Cursor: ReplayLease {}

extension Log: ReplayStore {}
extension LogReader: ReplayStore {}

extension ReplayStore where Self: ReadableLog {
  public func window(
    from: Position, to: Position, untimed: EventWindow.Untimed
  ) throws(LogError) -> LogWindow { try view.window(from: from, to: to, untimed: untimed) }
  public func offload<Output: Sendable>(
    _ reads: @escaping @Sendable () throws(LogError) -> Output
  ) async throws(LogError) -> Output { try await view.offload(.long, reads) }
  public func replay(_ id: String) async throws(LogError) -> ReplayManifest? { try await replayManifests.replay(id) }
  public func createReplay(_ manifest: ReplayManifest) async throws(LogError) {
    try await replayManifests.createReplay(manifest)
  }
  public func updateReplay(_ manifest: ReplayManifest) async throws(LogError) {
    try await replayManifests.updateReplay(manifest)
  }
  public func replayLease(_ manifest: ReplayManifest) async throws(LogError) -> any ReplayLease {
    try await replayCursor(manifest)
  }
  public func removeReplay(_ id: String, manifest: Bool) async throws(LogError) {
    try await replayManifests.removeReplay(id, manifest: manifest)
  }
}
