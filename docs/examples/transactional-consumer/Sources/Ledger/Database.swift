import CSQLite

/// What SQLite said, and about what.
public struct DatabaseError: Error, CustomStringConvertible {
  public let description: String
}

/// One connection to an SQLite file: as much of it as the ledger needs.
public final class Database {
  private let handle: OpaquePointer

  public init(_ path: String) throws(DatabaseError) {
    var opened: OpaquePointer?
    let code = sqlite3_open_v2(path, &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nil)
    guard code == SQLITE_OK, let opened else {
      sqlite3_close(opened)
      throw DatabaseError(description: "\(path): \(String(cString: sqlite3_errstr(code)))")
    }
    handle = opened
    sqlite3_busy_timeout(handle, 10_000)
  }

  deinit { sqlite3_close(handle) }

  /// Runs statements that have no parameters and no answer.
  public func run(_ statements: String) throws(DatabaseError) {
    try check(sqlite3_exec(handle, statements, nil, nil, nil), statements)
  }

  /// All of the body's changes are durable when it returns, or none of them is there.
  public func transaction(_ body: () throws -> Void) throws {
    try run("BEGIN IMMEDIATE")
    do {
      try body()
      try run("COMMIT")
    } catch {
      try? run("ROLLBACK")
      throw error
    }
  }

  /// Runs one statement; returns its rows, of whole numbers alone.
  @discardableResult
  public func rows(_ statement: String, _ values: Value...) throws(DatabaseError) -> [[Int64]] {
    var prepared: OpaquePointer?
    try check(sqlite3_prepare_v2(handle, statement, -1, &prepared, nil), statement)
    defer { sqlite3_finalize(prepared) }
    for (index, value) in values.enumerated() {
      let place = Int32(index + 1)
      switch value {
      case .number(let number): try check(sqlite3_bind_int64(prepared, place, number), statement)
      case .text(let text): try check(sqlite3_bind_text(prepared, place, text, -1, copied), statement)
      }
    }
    var rows: [[Int64]] = []
    while true {
      switch sqlite3_step(prepared) {
      case SQLITE_ROW: rows.append((0..<sqlite3_column_count(prepared)).map { sqlite3_column_int64(prepared, $0) })
      case SQLITE_DONE: return rows
      case let code: try check(code, statement)
      }
    }
  }

  public enum Value {
    case number(Int64)
    case text(String)
  }

  /// SQLITE_TRANSIENT: SQLite makes a copy of the text.
  private var copied: sqlite3_destructor_type? { unsafeBitCast(-1, to: sqlite3_destructor_type.self) }

  private func check(_ code: Int32, _ statement: String) throws(DatabaseError) {
    guard code == SQLITE_OK else {
      throw DatabaseError(description: "\(statement): \(String(cString: sqlite3_errmsg(handle)))")
    }
  }
}
