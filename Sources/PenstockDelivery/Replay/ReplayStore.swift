public import PenstockLog

/// Where replays are kept. `Log` and `LogReader` are such places; a cluster can be one later.
public protocol ReplayStore: Sendable {
  /// What a place stands for now.
  func offset(of place: Position) throws(LogError) -> Offset

  /// What two places stand for now: offsets, and the condition on each record where a place is an event time. No record
  /// that meets the condition stands outside the offsets.
  func window(from: Position, to: Position, untimed: EventWindow.Untimed) throws(LogError) -> LogWindow

  /// How much there is of a range, from indexes.
  func extent(of range: Range<Offset>) throws(LogError) -> RangeEstimate

  /// What is durable of a replay; nil when there is none of that id. Throws `.invalidName`.
  func replay(_ id: String) async throws(LogError) -> ReplayManifest?

  /// Makes a replay durable. Throws when there is one of that id.
  func createReplay(_ manifest: ReplayManifest) async throws(LogError)

  /// Replaces what is durable of a replay; for the holder of its cursor alone.
  func updateReplay(_ manifest: ReplayManifest) async throws(LogError)

  /// Takes the replay's cursor, making it at the window's beginning if there is none.
  func replayLease(_ manifest: ReplayManifest) async throws(LogError) -> any ReplayLease

  /// Removes the replay's cursor, durably; with `manifest`, also what is kept of the replay. Nothing when there is none.
  func removeReplay(_ id: String, manifest: Bool) async throws(LogError)
}

extension ReplayStore {
  /// Of a store without an index by event time: every record between the two places may be meant.
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
  /// Passes lost records, on stable storage when it returns.
  func acknowledge(_ gap: Gap) async throws(LogError)
}

extension Cursor: ReplayLease {}

extension Log: ReplayStore {}
extension LogReader: ReplayStore {}

extension ReplayStore where Self: ReadableLog {
  public func window(
    from: Position, to: Position, untimed: EventWindow.Untimed
  ) throws(LogError) -> LogWindow { try view.window(from: from, to: to, untimed: untimed) }
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
