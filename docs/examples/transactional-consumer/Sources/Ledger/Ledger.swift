import Foundation
import PenstockLog

/// A payment, as it is in the log: `{"account":"a7","amount":13}`.
public struct Payment: Codable, Sendable {
  public var account: String
  public var amount: Int64

  public init(account: String, amount: Int64) {
    self.account = account
    self.amount = amount
  }
}

/// The balances of all accounts, and how far in the log they reach. Both are in one database, and one transaction moves
/// both.
///
/// That is the whole trick. At no moment is a payment booked and its offset not, or the other way round. So each
/// payment is booked exactly once, whatever ends the process, although adding to a balance twice would be wrong.
public struct Ledger {
  private let database: Database

  public init(at path: String) throws {
    database = try Database(path)
    // FULL: what is committed survives a power cut too, as what the log acknowledged does.
    try database.run(
      """
      PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
      CREATE TABLE IF NOT EXISTS balances
        (account TEXT PRIMARY KEY, amount INTEGER NOT NULL, payments INTEGER NOT NULL);
      CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY CHECK (one = 1), next INTEGER NOT NULL);
      INSERT OR IGNORE INTO place VALUES (1, 0);
      """)
  }

  /// The offset of the first record that is not booked.
  public var next: Offset {
    get throws { Offset(UInt64(try database.rows("SELECT next FROM place")[0][0])) }
  }

  /// Books what is not booked yet, and returns the number of those payments. A batch, or a part of one, that comes
  /// again changes nothing.
  @discardableResult
  public func book(_ batch: Batch) throws -> Int {
    var booked = 0
    try database.transaction {
      // Read inside the transaction: a second consumer, by mistake, would wait here and then see what the first did.
      let next = try next
      guard batch.first <= next else { throw LostRecords(expected: next, found: batch.first) }
      try batch.forEachRecord { record in
        guard record.offset >= next else { return }
        let payment = try JSONDecoder().decode(Payment.self, from: Data(record.bytes))
        try database.rows(
          """
          INSERT INTO balances VALUES (?, ?, 1)
          ON CONFLICT (account) DO UPDATE SET amount = amount + excluded.amount, payments = payments + 1
          """, .text(payment.account), .number(payment.amount))
        booked += 1
      }
      if booked > 0 { try database.rows("UPDATE place SET next = ?", .number(Int64(batch.end.rawValue))) }
    }
    return booked
  }

  /// Of one account: the sum, and how many payments it is made of.
  public func balance(of account: String) throws -> (amount: Int64, payments: Int64) {
    let row = try database.rows("SELECT amount, payments FROM balances WHERE account = ?", .text(account)).first
    return (row?[0] ?? 0, row?[1] ?? 0)
  }

  /// Of all accounts together.
  public var payments: Int64 {
    get throws { try database.rows("SELECT coalesce(sum(payments), 0) FROM balances")[0][0] }
  }
}

/// The log has nothing before `found`, and the ledger is not that far.
public struct LostRecords: Error {
  public let expected: Offset
  public let found: Offset
}
