/// Renders records, one at a time, as the body of one delivery.
///
/// Call `begin` once, `append` for each record, `finish` once. The bytes depend only on the records and the selection,
/// so rendering a delivery again gives the same body.
public protocol EventRenderer: Sendable {
  /// Begins a body: appends what comes before the first record.
  mutating func begin(_ output: inout [UInt8])
  /// Appends one record. O(bytes).
  mutating func append(_ record: UnsafeRawBufferPointer, to output: inout [UInt8])
  /// Ends the body: appends what comes after the last record.
  mutating func finish(_ output: inout [UInt8])
}

/// Renders a JSON array: `[`, the records joined with `,`, `]`.
///
/// Appends records as the selection renders them, so the body is JSON if each of them is.
public struct ArrayRenderer: EventRenderer {
  /// The fields that are rendered.
  public let selection: FieldSelection
  private var hasRecords = false

  /// A renderer of these fields.
  public init(selection: FieldSelection = .all) { self.selection = selection }

  /// Appends `[`.
  public mutating func begin(_ output: inout [UInt8]) {
    hasRecords = false
    output.append(UInt8(ascii: "["))
  }

  /// Appends the record, after a comma unless it is the first. O(bytes).
  public mutating func append(_ record: UnsafeRawBufferPointer, to output: inout [UInt8]) {
    if hasRecords { output.append(UInt8(ascii: ",")) }
    hasRecords = true
    selection.render(record, into: &output)
  }

  /// Appends `]`.
  public mutating func finish(_ output: inout [UInt8]) { output.append(UInt8(ascii: "]")) }
}

/// Renders rows: each record and a line feed.
///
/// A record is always one row. If it contains a line feed, each line feed and carriage return in it becomes a space. In
/// JSON these occur only between tokens, where a space means the same. Records that are not JSON are treated alike. A
/// record without a line feed is unchanged.
public struct NDJSONRenderer: EventRenderer {
  /// The fields that are rendered.
  public let selection: FieldSelection

  /// A renderer of these fields.
  public init(selection: FieldSelection = .all) { self.selection = selection }

  /// Appends nothing: rows need no opening.
  public mutating func begin(_ output: inout [UInt8]) {}

  /// Appends the record as one row, with its line feed. O(bytes).
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

/// Renders one record unchanged, as a bare object.
public struct SingleRenderer: EventRenderer {
  /// The fields that are rendered.
  public let selection: FieldSelection
  private var hasRecord = false

  /// A renderer of these fields.
  public init(selection: FieldSelection = .all) { self.selection = selection }

  /// Appends nothing: a bare object needs no opening.
  public mutating func begin(_ output: inout [UInt8]) { hasRecord = false }

  /// Appends the record. A second one before the next `begin` is a programming error and stops the program.
  public mutating func append(_ record: UnsafeRawBufferPointer, to output: inout [UInt8]) {
    precondition(!hasRecord, "a single body holds one record")
    hasRecord = true
    selection.render(record, into: &output)
  }

  /// Appends nothing: a bare object needs no closing.
  public mutating func finish(_ output: inout [UInt8]) {}
}
