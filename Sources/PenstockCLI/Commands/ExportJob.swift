import PenstockEvents
import PenstockLog
import PenstockSinks
import PenstockSupport
import PenstockToolSupport

/// One run of `penstock export`.
final class ExportJob {
  private let command: ExportCommand
  private var renderer: any EventRenderer
  private var compressor: PieceCompressor
  private var target: ExportTarget
  private var (exported, filtered, untimed, lost) = (0, 0, 0, 0)
  /// Passes every JSON object and nothing else.
  private static let objects: EventFilter = {
    var none = EventFilter.Terms()
    none.appIDs = []
    return (try? EventFilter(excluding: none)) ?? .all
  }()

  init(_ command: ExportCommand) throws {
    self.command = command
    renderer = command.format == .array ? ArrayRenderer() : NDJSONRenderer()
    compressor = PieceCompressor(command.exportCompression)
    target = try ExportTarget(command.output, replaces: command.overwrite)
  }

  func run() async throws {
    let started = ContinuousClock.now
    // Until recovery, readers may not see everything that a killed writer acknowledged.
    let recovery = try LogAccess.recoverIfNeeded(command.logOption.log, LogConfiguration())
    if let report = recovery, report.outcome != .clean {
      Output.note("penstock export: recovered the log first (\(report.outcome.rawValue))")
    }
    let reader = try await LogReader.open(at: command.logOption.log)
    defer { reader.close() }
    let token = Signals.handle { _ in }
    defer { Signals.forget(token) }
    let window = try ExportWindow(
      from: command.from?.position ?? .beginning, to: command.to?.position ?? .end,
      untimed: command.untimed.value(from: command.from, to: command.to), of: reader)
    do {
      try target.begin()
      try await write(window, reader)
      try target.finish()
    } catch {
      target.abandon()
      throw error
    }
    tell(window, seconds: (ContinuousClock.now - started) / .seconds(1))
  }

  private func write(_ window: ExportWindow, _ reader: LogReader) async throws {
    let total = window.range.upperBound - window.range.lowerBound
    if target.showsProgress { ProgressLine.shared.begin("exporting", total: nil) }
    var (rows, bytes, start) = ([UInt8](), 0, window.range.lowerBound)
    renderer.begin(&rows)
    while start < window.range.upperBound {
      do {
        for try await batch in reader.records(from: .offset(start), to: .offset(window.range.upperBound)).batches() {
          if Signals.received != nil { throw stopped }
          try take(batch, window, &rows)
          bytes += batch.byteCount
          try flush(&rows)
          start = batch.end
          let done = start - window.range.lowerBound
          if target.showsProgress {
            ProgressLine.shared.update(
              bytes,
              "\(HumanFormat.count(done)) of \(HumanFormat.count(total)) records "
                + "(\(HumanFormat.share(done, of: total)))"
            )
          }
        }
        break
      } catch {
        guard let gap = (error as? LogError)?.gap else { throw error }
        guard command.skipGaps else {
          throw Failure(.bad, "gap", gap.description, advice: "--skip-gaps continues after it, at offset \(gap.end)")
        }
        Output.note("penstock export: \(gap)")
        lost += min(gap.end, window.range.upperBound) - max(gap.first, start)
        start = gap.end
      }
    }
    renderer.finish(&rows)
    if command.format == .array { rows.append(UInt8(ascii: "\n")) }
    try flush(&rows)
    var rest: [UInt8] = []
    try compressor.finish(&rest)
    try target.write(rest)
  }

  private func take(_ batch: Batch, _ window: ExportWindow, _ rows: inout [UInt8]) throws(Failure) {
    var refused: Failure?
    batch.forEachRecord { record in
      guard refused == nil else { return }
      let (isInside, isTimed) = window.verdict(on: record)
      if !isTimed { untimed += 1 }
      guard isInside, command.filter.wants(record, &refused) else { return filtered += isTimed ? 1 : 0 }
      if command.format == .array, Self.objects.verdict(on: record.bytes) != .passes {
        refused = Failure(
          .bad, "malformed", "record \(record.offset) is not a JSON object; --format array needs objects",
          advice: "--format ndjson exports any record")
        return
      }
      renderer.append(record.bytes, to: &rows)
      exported += 1
    }
    if let refused { throw refused }
  }

  /// Compresses the rendered rows and writes them.
  private func flush(_ rows: inout [UInt8]) throws {
    var piece: [UInt8] = []
    try compressor.add(rows, to: &piece)
    rows.removeAll(keepingCapacity: true)
    try target.write(piece)
  }

  private var stopped: Failure {
    Failure(
      .interrupted, "interrupted",
      command.output.map { "interrupted; \($0) was not written" } ?? "interrupted; the output is incomplete")
  }

  private func tell(_ window: ExportWindow, seconds: Double) {
    ProgressLine.shared.clear()
    let json = JSON.object([
      ("exported", .number(exported)), ("filtered", .number(filtered)), ("withoutTime", .number(untimed)),
      ("lost", .number(lost)), ("first", .number(window.range.lowerBound.rawValue)),
      ("end", .number(window.range.upperBound.rawValue)), ("bytes", .number(target.bytes)),
      ("output", .optional(command.output)), ("seconds", .number(seconds)),
    ])
    var words = "\(HumanFormat.count(exported, "record")) exported"
    if let output = command.output { words += " to \(output)" }
    words += ", \(HumanFormat.bytes(target.bytes)), \(HumanFormat.seconds(seconds))"
    if filtered > 0 { words += "; \(HumanFormat.count(filtered)) left out by --where or by time" }
    if untimed > 0 { words += "; \(HumanFormat.count(untimed)) without a readable time (--untimed)" }
    if lost > 0 { words += "; \(HumanFormat.count(lost)) lost" }
    let text = command.common.json ? json.text : words
    // Standard output must contain only the records.
    if command.output == nil { Output.note(text) } else { Output.standard.line(text) }
  }
}
