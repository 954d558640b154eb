import PenstockDelivery
import PenstockEvents
import PenstockLog
import PenstockTestKit
import Testing

@testable import PenstockSinks

/// Filters and replay marks, in all sinks alike.
@Suite("What a destination is sent", .timeLimit(.minutes(1))) struct FilterAndReplayTests {
  @TemporaryDirectory private var directory: String
  private let mixed = makeBatch(
    [#"{"app_id":"a","n":1}"#, #"{"app_id":"b","n":2}"#, "no JSON", #"{"app_id":"a","n":4,"traits":{}}"#], first: 3)
  private let onlyB = makeBatch([#"{"app_id":"b"}"#, #"{"app_id":"b"}"#], first: 7)

  private func filter(_ text: String) throws -> EventFilter { try EventFilter(parsing: text) }

  private func webhook(
    _ transport: ScriptedTransport = ScriptedTransport(), _ change: (inout WebhookConfiguration) -> Void
  ) throws -> WebhookSink {
    var configuration = WebhookConfiguration(url: "https://example.com/")
    change(&configuration)
    return try WebhookSink(configuration, transport: transport, clock: FixedClock())
  }

  private func s3(
    _ transport: ScriptedTransport = ScriptedTransport(), _ change: (inout ExportLayout) -> Void
  ) throws -> S3Sink {
    try S3Sink(.acme { change(&$0.layout) }, transport: transport, clock: FixedClock())
  }

  @Test func `a filter leaves events out of the body and counts those that stay, in every form`() async throws {
    let filter = try filter("app=a")
    let array = try makeDelivery(webhook { $0.filter = filter }, mixed)
    #expect(array.body.eventCount == 2)
    #expect(
      String(decoding: array.body.bytes, as: UTF8.self) == #"[{"app_id":"a","n":1},{"app_id":"a","n":4,"traits":{}}]"#)
    let rows = try makeDelivery(s3 { ($0.filter, $0.fields) = (filter, FieldSelection(keeping: [])) }, mixed)
    // The filter looks at the record as it was appended, not at what the field selection leaves of it.
    #expect(String(decoding: rows.body.bytes, as: UTF8.self) == "{\"n\":1}\n{\"n\":4}\n" && rows.body.eventCount == 2)
    let single = try makeDelivery(webhook { ($0.filter, $0.method) = (filter, .get) }, makeBatch([#"{"app_id":"b"}"#]))
    #expect(single.body.eventCount == 0 && single.body.bytes.isEmpty)
  }

  @Test func `a record that is no JSON object is left out, passed, or halts the delivery, as the filter says`() throws {
    #expect(try makeDelivery(webhook { $0.filter = EventFilter("!app=b") ?? .all }, mixed).body.eventCount == 2)
    let pass = try makeDelivery(s3 { $0.filter = EventFilter("app=a malformed=pass") ?? .all }, mixed)
    #expect(pass.body.eventCount == 3 && String(decoding: pass.body.bytes, as: UTF8.self).contains("no JSON\n"))
    let halting = try webhook { $0.filter = EventFilter("app=a malformed=halt") ?? .all }
    let error = #expect(throws: SinkError.self) { try halting.prepare(mixed, plan: halting.plan(outline(mixed))) }
    #expect(error?.offset == Offset(5) && error?.message.contains("malformed=halt") == true)
    // Without a filter nobody looks.
    #expect(try makeDelivery(webhook { _ in }, mixed).body.eventCount == 4)
  }

  @Test func `a batch of which nothing remains is not sent, makes no object, and counts as delivered`() async throws {
    let filter = try filter("app=a")
    let transport = ScriptedTransport()
    let bucket = try s3(transport) { layout in
      layout.filter = filter
      // Its entry is the manifest's own affair.
      layout.manifest = false
    }
    for sink in [try webhook(transport) { $0.filter = filter }, bucket] as [any Sink] {
      let delivery = try makeDelivery(sink, onlyB)
      let outcome = await sink.deliver(delivery)
      #expect(outcome.isDelivered && outcome.words.contains("filtered") && delivery.body.eventCount == 0)
    }
    #expect(transport.requests.isEmpty)
    var layout = ExportLayout()
    layout.filter = filter
    let sink = try DirectorySink(root: directory, layout: layout)
    #expect(await sink.deliver(try makeDelivery(sink, onlyB)).isDelivered)
    let names = try files(below: directory)
    #expect(names.count == 1 && names.allSatisfy { $0.contains("/_penstock/") }, "\(names)")
  }

  @Test func `a delivery under way keeps its filter when the configuration changes, in every sink`() throws {
    let (old, new) = (try filter("app=a event=*"), try filter("app=b"))
    let plain = try filter("app=a")
    let pairs: [(any Sink, any Sink)] = [
      (try webhook { $0.filter = plain }, try webhook { $0.filter = new }),
      (try s3 { $0.filter = plain }, try s3 { $0.filter = .all }),
      (try FileSink(path: directory + "/f", filter: plain), try FileSink(path: directory + "/f", filter: old)),
    ]
    for (before, after) in pairs {
      let plan = try before.plan(outline(mixed))
      #expect(String(decoding: plan, as: UTF8.self).contains("\nfilter=app=a\n"))
      let body = try before.prepare(mixed, plan: plan)
      let again = try after.prepare(mixed, plan: plan)
      #expect(again.bytes == body.bytes && again.eventCount == 2 && again.contentDigest == body.contentDigest)
      #expect(try after.plan(outline(mixed)) != plan)
    }
  }

  @Test func `a filter that does not fit an intent is refused when the sink is made`() throws {
    var terms = EventFilter.Terms()
    terms.trackers = (0..<200).map { "tracker-\($0)-of-many" }
    let filter = try EventFilter(including: terms)
    expectSinkError(containing: "bytes") { _ = try webhook { $0.filter = filter } }
    expectSinkError(containing: "bytes") { _ = try s3 { $0.filter = filter } }
    expectSinkError(containing: "bytes") { _ = try FileSink(path: "x", filter: filter) }
    terms.trackers = (0..<30).map { "8e282c72-07da-4c2f-bf91-85df633828\($0 + 10)" }
    let thirty = try EventFilter(including: terms)
    _ = try webhook { $0.filter = thirty }
    _ = try s3 { $0.filter = thirty }
  }

  @Test func `a filter in a plan that cannot be read stops the delivery and says why`() throws {
    let sink = try webhook { $0.filter = EventFilter("app=a") ?? .all }
    let plan = String(decoding: try sink.plan(outline(mixed)), as: UTF8.self)
    let bent = plan.replacing("filter=app=a", with: "filter=apps=a")
    expectSinkError(containing: "a filter that this version does not know") {
      _ = try sink.prepare(mixed, plan: Array(bent.utf8))
    }
  }

  @Test func `a replay's webhook says so in a header, which a delivery under way keeps`() async throws {
    let transport = ScriptedTransport(.answer(200), .answer(200))
    let marked = try webhook(transport) { $0.replay = "last-tuesday" }
    let delivery = try makeDelivery(marked, onlyB)
    _ = await marked.deliver(delivery)
    _ = await (try webhook(transport) { _ in }).deliver(delivery)
    #expect(transport.requests.map { $0.header("webhook-replay") } == ["last-tuesday", "last-tuesday"])
    #expect(try makeDelivery(webhook { _ in }, onlyB).body.bytes == delivery.body.bytes)
    expectSinkError(containing: "the delivery sets it") {
      _ = try webhook { $0.headers = [.init("Webhook-Replay", Secret("x"))] }
    }
    for id in ["", "a b", "a/b", ".a", String(repeating: "x", count: 41)] {
      expectSinkError(containing: "not a valid replay name") { _ = try webhook { $0.replay = id } }
      expectSinkError(containing: "not a valid replay name") { _ = try s3 { $0.replay = id } }
    }
  }

  @Test(arguments: [
    (ExportLayout().keyTemplate, "exports/replays/r1/usages-2026-02-28T23-"), ("{first}-{last}", "replays/r1/000"),
    ("exports/{yyyy}/usages-{first}-{last}", "exports/replays/r1/2026/usages-000"),
    ("{cursor}/{first}-{last}", "archive/replays/r1/000"),
  ])
  func `a replay's objects lie in a folder of their own`(template: String, prefix: String) throws {
    let sink = try s3 { ($0.keyTemplate, $0.replay) = (template, "r1") }
    let plan = String(decoding: try sink.plan(outline(mixed)), as: UTF8.self)
    #expect(plan.contains("\nkey=\(prefix)"), "\(plan)")
  }

  @Test func `plans from before there were filters are followed`() throws {
    let webhook = try webhook { $0.filter = EventFilter("app=x") ?? .all }
    let old = "penstock-webhook 1\nmethod=POST\nbody=array\nfields=*\nparameter=event\nlimit=8000\n"
    #expect(try webhook.prepare(mixed, plan: Array(old.utf8)).eventCount == 4)
    let s3 = try s3 { $0.filter = EventFilter("app=x") ?? .all }
    let export = "penstock-export 1\nkey=a/b\ncompression=none\nlevel=0\nfields=*\n"
    #expect(try s3.prepare(mixed, plan: Array(export.utf8)).eventCount == 4)
  }
}

@Suite("A file of rows", .timeLimit(.minutes(1))) struct FileSinkTests {
  @TemporaryDirectory private var directory: String
  private let records = (0..<10).map { #"{"n":\#($0)}"# }

  @Test func `keeps the contract`() async throws {
    // Every trial of the laws is a new first batch, so each has a file of its own.
    let sink = try FileSink(path: directory + "/rows")
    let delivery = try makeDelivery(sink, makeBatch(records))
    for attempt in 1...3 {
      var again = delivery
      again.attempt = attempt
      #expect(await sink.deliver(again).isDelivered)
    }
    #expect(try read(directory + "/rows") == records.flatMap { Array($0.utf8) + [10] })
  }

  @Test func `rows follow one another, and a file that was changed from outside is left alone`() async throws {
    let path = directory + "/rows"
    let sink = try FileSink(path: path)
    let first = makeBatch(Array(records[0..<4]))
    let second = makeBatch(Array(records[4..<6]), first: 4)
    #expect(await sink.deliver(try makeDelivery(sink, first)).isDelivered)
    let delivery = try makeDelivery(sink, second)
    // Half of it was written before a crash.
    try write(try read(path) + delivery.body.bytes.prefix(5), to: path)
    #expect(await sink.deliver(delivery).isDelivered)
    #expect(try read(path) == records[0..<6].flatMap { Array($0.utf8) + [10] })
    let third = try makeDelivery(sink, makeBatch([records[6]], first: 6))
    try write(try read(path) + Array("somebody else's row, and a long one".utf8), to: path)
    #expect(await sink.deliver(third).isConflict)
    try write([], to: path)
    #expect(await sink.deliver(third).isConflict)
  }

  @Test
  func `a power cut at any point of a delivery leaves it to be repeated, and every row is there once`() async throws {
    let batches = [makeBatch(Array(records[0..<6])), makeBatch(Array(records[6..<10]), first: 6)]
    var cuts = 0
    for seed in 0..<40 as Range<UInt64> {
      let disk = SimulatedFileSystem(seed: seed)
      let sink = try FileSink(path: "/rows", fileSystem: disk)
      #expect(await sink.deliver(try makeDelivery(sink, batches[0])).isDelivered)
      let delivery = try makeDelivery(sink, batches[1])
      // As far as the kernel got of it, without the sync.
      let file = try disk.open("/rows", .readWrite)
      let bytes = delivery.body.bytes
      _ = try bytes.withUnsafeBytes {
        try disk.write(file, $0, at: UInt64(records[0..<6].reduce(0) { $0 + $1.utf8.count + 1 }))
      }
      let after = disk.powerCut(.seeded(seed))
      cuts += 1
      let second = try FileSink(path: "/rows", fileSystem: after)
      #expect(await second.deliver(delivery).isDelivered)
      let handle = try after.open("/rows", .readOnly)
      let content = try after.readAll(handle, count: 4096, at: 0)
      #expect(content == records.flatMap { Array($0.utf8) + [10] }, "seed \(seed)")
    }
    #expect(cuts == 40)
  }
}
