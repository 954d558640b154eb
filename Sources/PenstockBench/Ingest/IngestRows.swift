import PenstockToolSupport

/// The table of `penstock-bench ingest`.
struct IngestRows {
  private var batches: [BenchRow]
  private var lines: BenchRow
  private var sealing: BenchRow
  private var singles: [BenchRow]
  private var reading: [BenchRow]

  init(crowd: IngestCrowd, singles: IngestCrowd) {
    func rows(_ id: String, _ what: String, _ crowd: IngestCrowd) -> [BenchRow] {
      [
        BenchRow(
          id, "HTTP ingest, \(what), \(HumanFormat.count(crowd.clients)) connections", "events/s",
          against: "the log alone, appended to by as many tasks that wait for each batch"),
        BenchRow(id + ".p50", "  a request, p50", "µs"), BenchRow(id + ".p99", "  … p99", "µs"),
        BenchRow(id + ".service", "  processors the service keeps busy", "cores"),
        BenchRow(id + ".clients", "  … and the clients", "cores"),
      ]
    }
    batches = rows("ingest.batches", "batches of \(crowd.batch)", crowd)
    batches[0].targets = [.atLeast(150_000, .ours)]
    batches[0].note = "Answered after the sync; the clients take their part of the same processors"
    lines = BenchRow("ingest.lines", "  the same as NDJSON", "events/s")
    sealing = BenchRow("ingest.sealing", "  the same, while sealing", "events/s")
    self.singles = rows("ingest.singles", "one event a request", singles)
    reading = [
      BenchRow(
        "ingest.reading", "reading a body of \(crowd.batch), one thread", "MB/s", against: "the same bytes copied",
        .atLeast(300, .ours),
        note: "From its bytes to the batch that is appended: split, checked, event times read, copied",
        isCompared: false), BenchRow("ingest.scanning", "  of that, scanning and splitting", "MB/s", isCompared: false),
    ]
  }

  var all: [BenchRow] { batches + [lines, sealing] + singles + reading }

  mutating func add(batches found: IngestFinding, _ alone: IngestFinding) { Self.add(found, alone, &batches) }
  mutating func add(singles found: IngestFinding, _ alone: IngestFinding) { Self.add(found, alone, &singles) }

  mutating func add(lines: IngestFinding, sealing: IngestFinding) {
    self.lines.add(lines.eventsPerSecond)
    self.sealing.add(sealing.eventsPerSecond)
  }

  mutating func add(reading found: IngestReading.Finding) {
    reading[0].add(found.reading, found.copying)
    reading[1].add(found.scanning, found.copying)
  }

  private static func add(_ found: IngestFinding, _ alone: IngestFinding, _ rows: inout [BenchRow]) {
    rows[0].add(found.eventsPerSecond, alone.eventsPerSecond)
    rows[1].add(found.p50 ?? .nan, alone.p50)
    rows[2].add(found.p99 ?? .nan, alone.p99)
    rows[3].add(found.service ?? .nan)
    rows[4].add(found.clients ?? .nan)
  }
}
