internal import Synchronization

/// Small durable values by name: the seam between what is stored (a cursor) and where (on one machine, table files).
///
/// A value is replaced whole, and each move names the revision that it follows. Only the holder of a name moves it; a
/// process holds a name until it releases it or ends. After a failure other than `.noSpace` a value is as before or as
/// wanted; the next holder finds which.
///
/// Safe from any thread; one call at a time. Every method blocks the calling thread.
package final class Slots: Sendable {
  /// Nil once closed.
  private let table: Mutex<SlotTable?>

  /// Opens the tables of a log, and makes them, and their directory, where there are none.
  package init(_ fileSystem: any FileSystem, _ paths: LogPaths) throws(LogError) {
    var opened: SlotTable?
    try LogDirectory.restoringCursors(fileSystem, paths) { () throws(LogError) in
      opened = try SlotTable(fileSystem, paths)
    }
    guard let opened else { preconditionFailure("the tables were not opened") }
    table = Mutex(opened)
  }

  /// Takes names, and returns the value of each that is durable now, nil for none: two syncs for all. Refused: `.held`,
  /// and `.failed` with `.damaged`, `.poisoned`, `.io`.
  package func hold(_ names: [SlotName]) -> [Result<SlotValue?, SlotRefusal>] {
    table.withLock { table in
      table?.hold(names) ?? names.map { _ in .failure(.failed(Self.closed)) }
    }
  }

  package func release(_ name: SlotName) { table.withLock { $0?.release(name) } }

  /// Releases all names and closes the files. Later calls are refused with `.closed`.
  package func close() { table.withLock { $0 = nil } }

  private static let closed = LogError(.closed, "the tables of cursors are closed")

  /// Makes a group of moves of held names durable: one write for each, one sync for each table. Returns each one's new
  /// revision, or why it was refused; the others are not affected.
  package func write(_ moves: [SlotMove]) -> [Result<UInt64, SlotRefusal>] {
    table.withLock { table in
      table?.write(moves) ?? moves.map { _ in .failure(.failed(Self.closed)) }
    }
  }

  /// Erases a damaged value of which not even the name can be read, by the label of its place. Returns false when there
  /// is none.
  func eraseNameless(_ label: String) throws(LogError) -> Bool {
    try table.withLock { (table) throws(LogError) in
      guard let table else { throw Self.closed }
      return try table.eraseNameless(label)
    }
  }

  /// Removes a value that no process holds, also a damaged one, and runs `body` before another process can take the
  /// name. Returns false when there is none of that name. Throws `.cursorHeld`.
  package func discard(
    _ name: SlotName, then body: @Sendable () throws(LogError) -> Void
  ) throws(LogError) -> Bool {
    try table.withLock { (table) throws(LogError) in
      guard let table else { throw Self.closed }
      return try table.discard(name, then: body)
    }
  }
}
