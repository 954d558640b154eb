import Foundation
import Ledger
import PenstockLog
import Testing

@Suite struct LedgerTests {
  @Test("A batch that comes again, whole or in part, is booked once")
  func comesAgain() async throws {
    let place = try Place()
    let log = try await Log.open(at: place.log)
    try await log.append(payments: 0..<10)
    let ledger = try Ledger(at: place.database)
    var batches: [Batch] = []
    for try await batch in log.records().batches(maxRecords: 4) { batches.append(batch) }
    #expect(try ledger.book(batches[0]) == 4)
    #expect(try ledger.book(batches[0]) == 0)
    for try await batch in log.records().batches() { #expect(try ledger.book(batch) == 6) }
    #expect(try ledger.next == Offset(10))
    try ledger.expectEverything(0..<10)
    try await log.close()
  }

  @Test("What cannot be booked changes neither a payment nor the place")
  func failsWhole() async throws {
    let place = try Place()
    let log = try await Log.open(at: place.log)
    try await log.append(payments: 0..<3)
    try await log.append("no payment")
    let ledger = try Ledger(at: place.database)
    for try await batch in log.records().batches() {
      #expect(throws: DecodingError.self) { try ledger.book(batch) }
    }
    #expect(try ledger.payments == 0)
    #expect(try ledger.next == .zero)
    try await log.close()
  }

  @Test("Records that are missing are not passed over")
  func missing() async throws {
    let place = try Place()
    let log = try await Log.open(at: place.log)
    try await log.append(payments: 0..<8)
    let ledger = try Ledger(at: place.database)
    for try await batch in log.records(from: .offset(Offset(3))).batches() {
      #expect(throws: LostRecords.self) { try ledger.book(batch) }
    }
    try await log.close()
  }
}

/// A directory that goes with the test.
final class Place: Sendable {
  let folder: String
  var log: String { folder + "/log" }
  var database: String { folder + "/ledger.db" }

  init() throws {
    folder = FileManager.default.temporaryDirectory.path + "/ledger-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }
}

/// Payment number `n`: every number has an account, one of seven, and an amount of its own.
func payment(_ number: Int) -> Payment { Payment(account: "a\(number % 7)", amount: Int64(number * number + 1)) }

extension Log {
  func append(payments numbers: Range<Int>) async throws {
    try await append(contentsOf: try numbers.map { try JSONEncoder().encode(payment($0)) })
  }
}

extension Ledger {
  /// Each of these payments is booked, once, and no other.
  func expectEverything(_ numbers: Range<Int>) throws {
    #expect(try payments == Int64(numbers.count))
    for account in 0..<7 {
      let mine = numbers.filter { $0 % 7 == account }
      let balance = try balance(of: "a\(account)")
      #expect(balance.payments == Int64(mine.count), "account \(account)")
      #expect(balance.amount == mine.reduce(0) { $0 + payment($1).amount }, "account \(account)")
    }
  }
}
