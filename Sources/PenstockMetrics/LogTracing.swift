public import PenstockLog
public import Tracing

/// Makes a span of every opening, every group of appends, every sealing, and every retention run that removed
/// something.
///
/// A span is made when its work is done, with the time it began, so an idle log makes none. A log without an observer
/// measures nothing. Spans have no parent, because one group commits the appends of many callers.
public final class LogTracing: LogObserver {
  private let log: String
  private let tracer: any Tracer

  /// - Parameters:
  ///   - log: The name of the log, used as the attribute `penstock.log`.
  ///   - tracer: The tracing backend; by default the one of the process.
  public init(log: String, tracer: any Tracer = InstrumentationSystem.tracer) {
    self.log = log
    self.tracer = tracer
  }

  /// Makes spans of openings, commits, seals and trims. Safe to call from any thread.
  public func observe(_ event: LogObserverEvent) {
    switch event {
    case .opened(let report, let duration):
      span("penstock.open", duration, isError: report.outcome == .damaged) {
        $0["penstock.recovery.outcome"] = report.outcome.rawValue
        $0["penstock.recovery.gaps"] = report.gaps.count
      }
    case .committed(let group):
      span("penstock.commit", group.latency) {
        $0["penstock.appends"] = group.appends
        $0["penstock.offset.first"] = Int(clamping: group.offsets.lowerBound.rawValue)
        $0["penstock.records"] = group.offsets.upperBound - group.offsets.lowerBound
      }
    case .sealed(let sealed):
      span("penstock.seal", sealed.duration) {
        $0["penstock.segment"] = Int(clamping: sealed.segment)
        $0["penstock.bytes.before"] = Int(clamping: sealed.bytesBefore)
        $0["penstock.bytes.after"] = Int(clamping: sealed.bytesAfter)
      }
    case .trimmed(let report, let duration) where report.droppedSegments > 0:
      span("penstock.trim", duration) {
        $0["penstock.segments"] = report.droppedSegments
        $0["penstock.bytes"] = Int(clamping: report.droppedBytes)
      }
    default: break
    }
  }

  private func span(
    _ name: String, _ duration: Duration, isError: Bool = false, _ describe: (inout SpanAttributes) -> Void
  ) {
    FinishedSpan.span(name, lasting: duration, tracer) { attributes in
      attributes["penstock.log"] = log
      describe(&attributes)
    } isError: {
      isError
    }
  }
}

/// Makes spans of work that is done.
enum FinishedSpan {
  static func span(
    _ name: String, lasting duration: Duration, _ tracer: any Tracer,
    _ describe: (inout SpanAttributes) -> Void, isError: () -> Bool
  ) {
    let end = DefaultTracerClock.now
    let (seconds, attoseconds) = duration.components
    let nanoseconds = UInt64(clamping: seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    let began = end.nanosecondsSinceEpoch - min(end.nanosecondsSinceEpoch, nanoseconds)
    let span = tracer.startSpan(name, at: DefaultTracerClock.Timestamp(nanosecondsSinceEpoch: began))
    span.updateAttributes(describe)
    if isError() { span.setStatus(SpanStatus(code: .error)) }
    span.end(at: end)
  }
}
