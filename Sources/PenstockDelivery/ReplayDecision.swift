public import PenstockLog

/// What a replay is to do, but for where it goes.
public struct ReplaySettings: Sendable, Hashable {
  public enum GapPolicy: String, Sendable, Hashable, CaseIterable {
    /// Lost records end the run with an error that tells which; a later run with ``skip`` goes on behind them.
    case stop
    /// Lost records are counted, told to the observer, and passed.
    case skip
  }

  /// 1 to 40 letters, digits, '.', '_' or '-'. One id, one window, one destination.
  public var id: String
  /// `[from, to)`. Looked up when the replay begins and fixed from then on. Nil: go on with the window it has.
  public var window: ReplayWindow?
  public var gaps: GapPolicy
  /// How fast it may go.
  public var rate: DeliveryRate
  /// When a batch is closed; nil for the sink's own ``Sink/batchPolicy``.
  public var policy: BatchPolicy?
  public var retry: RetryPolicy

  public init(
    id: String, window: ReplayWindow?, gaps: GapPolicy = .stop, rate: DeliveryRate = .unlimited,
    policy: BatchPolicy? = nil, retry: RetryPolicy = RetryPolicy()
  ) {
    self.id = id
    self.window = window
    self.gaps = gaps
    self.rate = rate
    self.policy = policy
    self.retry = retry
  }
}

/// From the first of these places up to, and without, the second.
public struct ReplayWindow: Sendable, Hashable {
  public var from: Position
  public var to: Position
  public init(from: Position, to: Position) {
    self.from = from
    self.to = to
  }
  public init(_ range: Range<Offset>) { self.init(from: .offset(range.lowerBound), to: .offset(range.upperBound)) }
}

/// What a replay's call comes to, in view of what is durable. Pure.
package enum ReplayDecision: Hashable, Sendable {
  /// Fix the window and begin.
  case begin(ReplayWindow)
  /// Go on where the cursor stands.
  case resume(ReplayManifest)
  /// All is delivered; only the cursor may still be there.
  case finished(ReplayManifest)
  case refuse(ReplayError.Code, String)

  package static func make(
    _ settings: ReplaySettings, destination: String, found: ReplayManifest?,
    resolve: (Position) throws(LogError) -> Offset
  ) throws(LogError) -> ReplayDecision {
    let id = settings.id
    guard let found else {
      guard let window = settings.window else {
        return .refuse(.unknown, "there is no replay \(id) to go on with; give it a window")
      }
      return .begin(window)
    }
    let words = ReplayManifest.shortened(destination)
    guard found.destination == words else {
      return .refuse(
        .changed,
        "replay \(id) goes to \(found.destination), not to \(words); a replay keeps its destination. Use another id, or"
          + " discard this replay")
    }
    if let window = settings.window, window != ReplayWindow(from: found.from, to: found.to) {
      // Said otherwise, it may be the same.
      let (first, end) = (try resolve(window.from), try resolve(window.to))
      guard first == found.first, end == found.end else {
        return .refuse(
          .changed,
          "replay \(id) has the window \(found.first) ..< \(found.end), not \(first) ..< \(end); a replay keeps its window."
            + " Use another id, or discard this replay")
      }
    }
    return found.isFinished ? .finished(found) : .resume(found)
  }

  /// Fixes the window.
  package static func manifest(
    _ settings: ReplaySettings, _ window: ReplayWindow, destination: String, durableEnd: Offset, now: Timestamp,
    resolve: (Position) throws(LogError) -> Offset
  ) throws -> ReplayManifest {
    let (first, end) = (try resolve(window.from), try resolve(window.to))
    guard first <= end else {
      throw ReplayError(
        .badWindow, "the window of replay \(settings.id) ends at offset \(end), before it begins at \(first)")
    }
    guard end <= durableEnd else {
      throw ReplayError(
        .badWindow, "the window of replay \(settings.id) ends at offset \(end), and the log at \(durableEnd)")
    }
    return ReplayManifest(
      id: settings.id, from: window.from, to: window.to, first: first, end: end, destination: destination,
      createdAt: now)
  }
}

/// Why a replay cannot begin or go on.
public struct ReplayError: Error, Sendable, Hashable, CustomStringConvertible {
  public enum Code: String, Sendable, Hashable, CaseIterable {
    /// No replay of that id, and no window to begin one with.
    case unknown
    /// The id belongs to another window or destination.
    case changed
    /// A window that is not in the log, or ends before it begins.
    case badWindow
    /// Records of the window are lost, and the replay was not told to skip them.
    case gap
    /// A `Replay` runs once.
    case alreadyRun
  }
  public let code: Code
  public let message: String
  /// The records it is about.
  public let range: Range<Offset>?
  public init(_ code: Code, _ message: String, range: Range<Offset>? = nil) {
    self.code = code
    self.message = message
    self.range = range
  }
  public var description: String { message }
}
