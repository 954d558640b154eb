import PenstockToolSupport

/// The table of `penstock-bench ingest`.
struct IngestRows {
  private var batches: [BenchRow]
  private var lines: BenchRow
  private var sealing: BenchRow
  private var singles: [BenchRow]
  private var reading: [BenchRow]

  init(crowd: IngestCrowd, singles: IngestCrowd) {
    func row(_ id: String, _ measure: String, _ unit: String, _ probe: String = "nothing") -> BenchRow {
      BenchRow(id: "ingest." + id, measure: measure, unit: unit, probeIs: probe)
    }
    func people(_ crowd: IngestCrowd) -> String { "\(HumanFormat.count(crowd.clients)) connections" }
    let alone = "the log alone, appended to by as many tasks that wait for each batch"
    batches = [
      row("batches", "HTTP ingest, batches of \(crowd.batch), \(people(crowd))", "events/s", alone),
      row("batches.p50", "  a request, p50", "µs"), row("batches.p99", "  … p99", "µs"),
      row("batches.service", "  processors the service keeps busy", "cores"),
      row("batches.clients", "  … and the clients", "cores"),
    ]
    batches[0].targets = [.atLeast(150_000, .ours)]
    batches[0].note = "Answered after the sync; the clients take their part of the same processors"
    lines = row("lines", "  the same as NDJSON", "events/s")
    sealing = row("sealing", "  the same, while sealing", "events/s")
    self.singles = [
      row("singles", "HTTP ingest, one event a request, \(people(singles))", "events/s", alone),
      row("singles.p50", "  a request, p50", "µs"), row("singles.p99", "  … p99", "µs"),
      row("singles.service", "  processors the service keeps busy", "cores"),
      row("singles.clients", "  … and the clients", "cores"),
    ]
    reading = [
      row("reading", "reading a body of \(crowd.batch), one thread", "MB/s", "the same bytes copied"),
      row("scanning", "  of that, scanning and splitting", "MB/s"),
    ]
    reading[0].targets = [.atLeast(300, .ours)]
    for index in reading.indices { reading[index].isCompared = false }
    reading[0].note = "From its bytes to the batch that is appended: split, checked, event times read, copied"
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
