/// Renders records, one at a time, as the body of one delivery.
///
/// Call `begin` once, `append` for each record, `finish` once. The bytes depend on nothing but the records and the
/// selection, so a delivery rendered again is the same body.
public protocol EventRenderer: Sendable {
  mutating func begin(_ output: inout [UInt8])
  mutating func append(_ record: UnsafeRawBufferPointer, to output: inout [UInt8])
  mutating func finish(_ output: inout [UInt8])
}

/// Renders a JSON array: `[`, the records joined with `,`, `]`.
///
/// Records appear as the selection leaves them, so the body is JSON if each of them is.
public struct ArrayRenderer: EventRenderer {
  public let selection: FieldSelection
  private var hasRecords = false

  public init(selection: FieldSelection = .all) { self.selection = selection }

  public mutating func begin(_ output: inout [UInt8]) {
    hasRecords = false
    output.append(UInt8(ascii: "["))
  }

  public mutating func append(_ record: UnsafeRawBufferPointer, to output: inout [UInt8]) {
    if hasRecords { output.append(UInt8(ascii: ",")) }
    hasRecords = true
    selection.render(record, into: &output)
  }

  public mutating func finish(_ output: inout [UInt8]) { output.append(UInt8(ascii: "]")) }
}

/// Renders rows: each record and a line feed.
///
/// A record is always one row. If it contains a line feed, each line feed and carriage return in it becomes a space:
/// in JSON these can only stand between tokens, where a space means the same. (A record that is not JSON is treated
/// alike.) A record without a line feed is not touched.
public struct NDJSONRenderer: EventRenderer {
  public let selection: FieldSelection

  public init(selection: FieldSelection = .all) { self.selection = selection }

  /// Appends nothing: rows need no opening.
  public mutating func begin(_ output: inout [UInt8]) {}

  public mutating func append(_ record: UnsafeRawBufferPointer, to output: inout [UInt8]) {
    let start = output.count
    selection.render(record, into: &output)
    if record.firstLineFeed(from: 0) != nil { Self.flatten(&output, from: start) }
    output.append(UInt8(ascii: "\n"))
  }

  /// Appends nothing: rows need no closing.
  public mutating func finish(_ output: inout [UInt8]) {}

  private static func flatten(_ output: inout [UInt8], from start: Int) {
    for index in start..<output.count
    where output[index] == UInt8(ascii: "\n") || output[index] == UInt8(ascii: "\r") {
      output[index] = UInt8(ascii: " ")
    }
  }
}

/// Renders one record as it is, the bare object.
public struct SingleRenderer: EventRenderer {
  public let selection: FieldSelection
  private var hasRecord = false

  public init(selection: FieldSelection = .all) { self.selection = selection }

  /// Appends nothing: a bare object needs no opening.
  public mutating func begin(_ output: inout [UInt8]) { hasRecord = false }

  /// Appends the record; a second one before the next `begin` is a mistake of the program and stops it.
  public mutating func append(_ record: UnsafeRawBufferPointer, to output: inout [UInt8]) {
    precondition(!hasRecord, "a single body holds one record")
    hasRecord = true
    selection.render(record, into: &output)
  }

  /// Appends nothing: a bare object needs no closing.
  public mutating func finish(_ output: inout [UInt8]) {}
}
