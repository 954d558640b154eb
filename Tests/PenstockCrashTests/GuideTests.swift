import Foundation
import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

// The code of docs/guides/testing-your-consumer.md: what stands there stands here, word for word.

/// The world outside, as the mailer sees it.
protocol Mailbox: Sendable {
  func send(_ record: Offset, key: String) async throws
}

func runMailer(_ log: Log, _ mailbox: some Mailbox) async throws {
  let cursor = try await log.cursor(named: "mailer")
  while let batch = try await cursor.next() {
    for number in 0..<batch.count {
      let record = batch.first + number
      try await mailbox.send(record, key: "mail-\(record)")
    }
    try await cursor.commit(batch)
  }
}

struct LedgerMailbox: Mailbox {
  let ledger: CrashSimulation.Ledger

  func send(_ record: Offset, key: String) async throws {
    try await ledger.put(record, key: key)
  }
}

/// Rows in memory; an id is taken once.
final class Table: Sendable {
  private let state = Mutex((rows: [[UInt8]](), ids: Set<String>()))
  var rows: [[UInt8]] { state.withLock { $0.rows } }

  func insert(_ rows: [[UInt8]], id: String) {
    state.withLock { state in
      if state.ids.insert(id).inserted { state.rows += rows }
    }
  }
}

struct TableSink: Sink {
  let table: Table
  var description: String { "table" }

  func plan(_ outline: BatchMetadata) throws(SinkError) -> [UInt8] { [1] }

  func prepare(_ batch: Batch, plan: [UInt8]) throws(SinkError) -> PreparedBody {
    var content: [UInt8] = []
    batch.forEachRecord { content += Array($0.bytes) + [10] }
    return PreparedBody(content: content, eventCount: batch.count)
  }

  func deliver(_ delivery: DeliveryRequest) async -> DeliveryOutcome {
    let rows = delivery.body.bytes.split(separator: 10).map(Array.init)
    table.insert(rows, id: delivery.intent.id.rawValue)
    return .delivered(receipt: "\(rows.count) rows")
  }
}

@Suite(.timeLimit(.minutes(5)))
struct GuideTests {
  @Test func `every mail is sent once, whatever crashes`() async throws {
    try await CrashSimulation().consumer { log, ledger in
      try await runMailer(log, LedgerMailbox(ledger: ledger))
    }
  }

  @Test func `every row is in the table once, whatever crashes`() async throws {
    try await CrashSimulation().sink {
      let table = Table()
      return .init(makeSink: { TableSink(table: table) }, contents: { table.rows })
    }
  }

  private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  private static let guide = root.appending(path: "docs/guides/testing-your-consumer.md")

  @Test(.enabled(if: FileManager.default.fileExists(atPath: guide.path), "there are no guides next to these sources"))
  func `the guide shows this code`() throws {
    let guide = try String(contentsOf: Self.guide, encoding: .utf8)
    let source = try String(contentsOf: URL(filePath: #filePath), encoding: .utf8)
    func lines(_ text: some StringProtocol) -> [String] {
      text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    }
    let blocks = guide.components(separatedBy: "```swift\n").dropFirst().compactMap {
      $0.components(separatedBy: "```").first
    }
    #expect(blocks.count >= 4)
    let all = lines(source).joined(separator: "\n")
    for block in blocks { #expect(all.contains(lines(block).joined(separator: "\n")), "not in this file:\n\(block)") }
  }
}
