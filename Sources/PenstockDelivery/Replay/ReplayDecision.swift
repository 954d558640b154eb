public import PenstockLog

/// What to replay: the id, the window, the rate and what to do about gaps. The sink says where it goes.
public struct ReplaySettings: Sendable, Hashable {
  /// What happens at lost records.
  public enum GapPolicy: String, Sendable, Hashable, CaseIterable {
    /// Lost records end the run with an error that names them. A later run with ``skip`` continues after them.
    case stop
    /// The replay counts lost records, reports them to the observer, and passes them.
    case skip
  }

  /// 1 to 40 letters, digits, '.', '_' or '-'. One id, one window, one destination.
  public var id: String
  /// `[from, to)`, resolved when the replay begins and fixed from then on. Nil: resume with the window it has.
  public var window: ReplayWindow?
  /// What happens at lost records.
  public var gaps: GapPolicy
  /// The most the replay sends, from this run on; durable. Nil: the rate of the run before, and no limit in the first
  /// run.
  public var rate: DeliveryRate?
  /// When a batch is closed; nil for the sink's own ``Sink/batchPolicy``.
  public var policy: BatchPolicy?
  /// How long to wait after trouble.
  public var retry: RetryPolicy

  /// Settings that stop at gaps, without a limit, unless the caller says otherwise.
  public init(
    id: String, window: ReplayWindow?, gaps: GapPolicy = .stop, rate: DeliveryRate? = nil,
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

/// From the first of these positions up to, and without, the second. An event time is a condition on each event's own
/// time: exactly the events that meet it are delivered.
public struct ReplayWindow: Sendable, Hashable {
  /// The first position.
  public var from: Position
  /// The position to stop at; its record is not included.
  public var to: Position
  /// What to do with records without a readable event time, where ``from`` or ``to`` is an event time.
  public var untimed: EventWindow.Untimed

  /// A window between two positions; both are resolved when the replay begins.
  public init(from: Position, to: Position, untimed: EventWindow.Untimed = .skip) {
    self.from = from
    self.to = to
    self.untimed = untimed
  }

  /// The condition on each record; nil when every record between the positions is included.
  public var events: EventWindow? { EventWindow(from: from, to: to, untimed: untimed) }
  /// The records with these offsets.
  public init(_ range: Range<Offset>) { self.init(from: .offset(range.lowerBound), to: .offset(range.upperBound)) }
}

extension ReplayWindow {
  /// The window as requested when the replay began.
  init(_ manifest: ReplayManifest) {
    self.init(from: manifest.from, to: manifest.to, untimed: manifest.untimed)
  }
}

extension ReplayManifest.Rate {
  init(_ rate: DeliveryRate) {
    self.init(records: rate.recordsPerSecond, bytes: rate.bytesPerSecond, requests: rate.requestsPerSecond)
  }
}

extension DeliveryRate {
  init(_ rate: ReplayManifest.Rate) {
    self.init(recordsPerSecond: rate.records, bytesPerSecond: rate.bytes, requestsPerSecond: rate.requests)
  }
}

/// What to do for a replay, given its durable manifest. Pure.
package enum ReplayDecision: Hashable, Sendable {
  /// Fix the window and begin.
  case begin(ReplayWindow)
  /// Continue at the cursor's position.
  case resume(ReplayManifest)
  /// Everything is delivered; only the cursor may be left to remove.
  case finished(ReplayManifest)
  case refuse(ReplayError.Code, String)

  package static func make(
    _ settings: ReplaySettings, destination: String, found: ReplayManifest?,
    resolve: (ReplayWindow) throws(LogError) -> LogWindow
  ) throws(LogError) -> ReplayDecision {
    let id = settings.id
    guard let found else {
      guard let window = settings.window else {
        return .refuse(.unknown, "there is no replay \(id) to resume; give it a window")
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
    if let window = settings.window, window != ReplayWindow(found) {
      // A window in other terms may have the same offsets.
      let asked = try resolve(window)
      guard asked.first == found.first, asked.end == found.end, asked.events == found.events else {
        return .refuse(
          .changed,
          "replay \(id) has the window \(text(found.first, found.end, found.events)), not"
            + " \(text(asked.first, asked.end, asked.events)); a replay keeps its window. To resume it, leave the"
            + " window out. For another window use another id, or discard this replay")
      }
    }
    return found.isFinished ? .finished(found) : .resume(found)
  }

  private static func text(_ first: Offset, _ end: Offset, _ events: EventWindow?) -> String {
    "\(first) ..< \(end)" + (events.map { " with the events \($0)" } ?? "")
  }

  /// Fixes the window.
  ///
  /// - Parameters:
  ///   - fixed: The offsets and the condition that `window` resolves to.
  ///   - durableEnd: Must be read after `fixed`, so that records appended meanwhile do not make the window too long.
  package static func manifest(
    _ settings: ReplaySettings, _ window: ReplayWindow, fixed: LogWindow, destination: String, durableEnd: Offset,
    now: Timestamp
  ) throws(ReplayError) -> ReplayManifest {
    if let events = window.events, let from = events.from, let until = events.until, until < from {
      throw ReplayError(.badWindow, "the window of replay \(settings.id) ends before it begins")
    }
    let (first, end) = (fixed.first, fixed.end)
    guard first <= end else {
      throw ReplayError(
        .badWindow, "the window of replay \(settings.id) ends at offset \(end), before it begins at \(first)")
    }
    guard end <= durableEnd else {
      throw ReplayError(
        .badWindow, "the window of replay \(settings.id) ends at offset \(end), and the log at \(durableEnd)")
    }
    return ReplayManifest(
      id: settings.id, from: window.from, to: window.to, untimed: window.untimed, first: first, end: end,
      destination: destination, createdAt: now, rate: settings.rate.map(ReplayManifest.Rate.init) ?? .init())
  }
}

/// Why a replay cannot begin or resume.
public struct ReplayError: Error, Sendable, Hashable, CustomStringConvertible {
  /// Why it failed, for programs. The raw values are stable.
  public enum Code: String, Sendable, Hashable, CaseIterable {
    /// There is no replay of that id, and the settings have no window to begin one with.
    case unknown
    /// The id belongs to another window or destination.
    case changed
    /// The window is not in the log, or ends before it begins.
    case badWindow
    /// The window is by event times, and the sink cannot leave events out.
    case unsupported
    /// Records of the window are lost, and the settings do not skip them.
    case gap
    /// This `Replay` has run before; each one runs once.
    case alreadyRun
  }
  /// Why it failed, for programs.
  public let code: Code
  /// The explanation, for operators.
  public let message: String
  /// The records in question.
  public let range: Range<Offset>?
  /// A failure with its explanation.
  public init(_ code: Code, _ message: String, range: Range<Offset>? = nil) {
    self.code = code
    self.message = message
    self.range = range
  }
  public var description: String { message }
}
