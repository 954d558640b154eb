import Ledger
import PenstockLog

/// Books the payments of a log, without end: `Consumer LOG DATABASE`. You may kill it at any time, so nothing here
/// shuts it down.
@main
struct Consumer {
  static func main() async throws {
    let arguments = CommandLine.arguments
    guard arguments.count == 3 else { fatalError("usage: Consumer LOG DATABASE") }
    // Another process writes the log; a program that writes it itself takes the cursor of its `Log`.
    let log = try await LogReader.open(at: arguments[1])
    let ledger = try Ledger(at: arguments[2])
    // The database says what is booked. The cursor says how far the log may forget, and keeps a second consumer out.
    // `penstock status` shows its lag.
    let cursor = try await log.cursor(named: "ledger", startingAt: .offset(try ledger.next))
    while let batch = try await cursor.next(upTo: .init(records: 100)) {
      try ledger.book(batch)
      // Killed between these two lines, it gets the equal batch again, and the ledger knows it.
      try await cursor.commit(batch)
    }
  }
}
