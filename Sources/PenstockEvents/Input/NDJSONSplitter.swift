/// Splits streaming input into its lines, in bounded memory.
///
/// A line ends with LF or CRLF. The last one may end with the input; a CR at the very end is dropped too. Lines of only
/// white space are counted and skipped. How the input is cut into chunks makes no difference. A line within one chunk
/// is passed on without a copy; otherwise the splitter buffers at most `maxLineBytes`.
///
/// The splitter does not parse lines as JSON; the validator does.
public struct NDJSONSplitter: Sendable {
  /// The position of a line in the input.
  public struct Line: Hashable, Sendable {
    /// The record's number, counted from 0 without blank lines.
    public let record: Int
    /// The line's number, counted from 1 with blank lines, as in an editor.
    public let number: Int
    /// The byte of the input at which the line starts, counted from 0.
    public let position: Int

    /// A position in an input.
    public init(record: Int, number: Int, position: Int) {
      self.record = record
      self.number = number
      self.position = position
    }
  }

  /// The longest line allowed, without its line ending, in bytes.
  public let maxLineBytes: Int
  /// How many lines were passed on.
  public private(set) var records = 0
  /// How many lines of only white space were skipped.
  public private(set) var blankLines = 0
  /// Bytes of a line whose end has not arrived yet.
  public var unfinishedBytes: Int { held.count + (holdsReturn ? 1 : 0) }

  /// The bytes of the current line from earlier chunks.
  private var held: [UInt8] = []
  /// Whether a CR follows them: part of the line ending if an LF comes next, and of the line otherwise.
  private var holdsReturn = false
  /// Bytes of the current line when it was refused and its rest is skipped; nil otherwise.
  private var droppedBytes: Int?
  private var lineNumber = 1
  private var linePosition = 0
  private var failure: EventError?

  /// A splitter at the start of an input; the limit must be positive.
  public init(maxLineBytes: Int) {
    precondition(maxLineBytes > 0, "a line limit must be positive")
    self.maxLineBytes = maxLineBytes
  }

  /// Takes the next bytes of the input and calls `body` with each line that they complete.
  ///
  /// `body` gets the line without its ending. The bytes are valid only during the call.
  ///
  /// - Throws: `EventError` with code `recordTooLong` as soon as a line is too long, or `byteOrderMark` for one at the
  ///   start of the input, or what `body` throws. After that, the splitter throws the same error on every call.
  public mutating func feed(
    _ chunk: UnsafeRawBufferPointer,
    _ body: (UnsafeRawBufferPointer, Line) throws(EventError) -> Void
  ) throws(EventError) {
    try feed(chunk, refused: { (error) throws(EventError) in throw error }, body)
  }

  /// The same, but continues after a bad line. `refused` is called with the reason; when it returns, the rest of the
  /// line is skipped, and the line counts as a record. At most `maxLineBytes` of it are buffered.
  ///
  /// - Throws: What `refused` or `body` throws.
  public mutating func feed(
    _ chunk: UnsafeRawBufferPointer,
    refused: (EventError) throws(EventError) -> Void,
    _ body: (UnsafeRawBufferPointer, Line) throws(EventError) -> Void
  ) throws(EventError) {
    if let failure { throw failure }
    do {
      try split(chunk, refused, body)
    } catch {
      failure = error
      throw error
    }
  }

  /// Ends the input: calls `body` with the last line if no line feed ended it. Call it once, after the last `feed`.
  ///
  /// - Throws: As `feed` does.
  public mutating func finish(
    _ body: (UnsafeRawBufferPointer, Line) throws(EventError) -> Void
  ) throws(EventError) {
    try finish(refused: { (error) throws(EventError) in throw error }, body)
  }

  /// The same, but continues after a bad line; see ``feed(_:refused:_:)``.
  public mutating func finish(
    refused: (EventError) throws(EventError) -> Void,
    _ body: (UnsafeRawBufferPointer, Line) throws(EventError) -> Void
  ) throws(EventError) {
    if let failure { throw failure }
    if held.isEmpty, !holdsReturn, droppedBytes == nil { return }
    do {
      try emitHeld(refused, body)
    } catch {
      failure = error
      throw error
    }
  }

  private mutating func split(
    _ chunk: UnsafeRawBufferPointer, _ refused: (EventError) throws(EventError) -> Void,
    _ body: (UnsafeRawBufferPointer, Line) throws(EventError) -> Void
  ) throws(EventError) {
    var start = 0
    while start < chunk.count, let end = chunk.firstLineFeed(from: start) {
      let length = end - start
      if held.isEmpty, !holdsReturn, droppedBytes == nil {
        let hasReturn = length > 0 && chunk[end - 1] == UInt8(ascii: "\r")
        try emit(chunk.part(start..<(hasReturn ? end - 1 : end)), lineBytes: length + 1, refused, body)
      } else {
        try hold(chunk.part(start..<end), refused)
        try emitHeld(refused, body)
      }
      start = end + 1
    }
    try hold(chunk.part(start..<chunk.count), refused)
  }

  /// Buffers a piece of a line whose end has not arrived.
  private mutating func hold(
    _ piece: UnsafeRawBufferPointer, _ refused: (EventError) throws(EventError) -> Void
  ) throws(EventError) {
    if piece.isEmpty { return }
    if let dropped = droppedBytes {
      droppedBytes = dropped + piece.count
      return
    }
    let endsInReturn = piece[piece.count - 1] == UInt8(ascii: "\r")
    let kept = endsInReturn ? piece.count - 1 : piece.count
    let length = held.count + (holdsReturn ? 1 : 0) + kept
    if length > maxLineBytes {
      try refused(tooLong())
      droppedBytes = held.count + (holdsReturn ? 1 : 0) + piece.count
      held.removeAll(keepingCapacity: true)
      holdsReturn = false
      return
    }
    if holdsReturn { held.append(UInt8(ascii: "\r")) }
    held.append(contentsOf: piece.part(0..<kept))
    holdsReturn = endsInReturn
  }

  private mutating func emitHeld(
    _ refused: (EventError) throws(EventError) -> Void,
    _ body: (UnsafeRawBufferPointer, Line) throws(EventError) -> Void
  ) throws(EventError) {
    if let dropped = droppedBytes {
      droppedBytes = nil
      records += 1
      return moveToNextLine(after: dropped + 1)
    }
    // Moved out while `body` reads it, and back so that the next line reuses its memory.
    var line: [UInt8] = []
    swap(&line, &held)
    let lineBytes = line.count + (holdsReturn ? 2 : 1)
    holdsReturn = false
    defer {
      line.removeAll(keepingCapacity: true)
      swap(&line, &held)
    }
    try line.withUnsafeBufferPointer { bytes throws(EventError) in
      try emit(UnsafeRawBufferPointer(bytes), lineBytes: lineBytes, refused, body)
    }
  }

  /// Passes one line on and moves to the next, which starts `lineBytes` later.
  private mutating func emit(
    _ line: UnsafeRawBufferPointer, lineBytes: Int, _ refused: (EventError) throws(EventError) -> Void,
    _ body: (UnsafeRawBufferPointer, Line) throws(EventError) -> Void
  ) throws(EventError) {
    if line.count > maxLineBytes {
      try refused(tooLong())
      records += 1
    } else if lineNumber == 1, line.startsWithByteOrderMark {
      try refused(EventError(JSONFault(reason: .byteOrderMark, position: 0), in: line).inRecord(0, startingAt: 0))
      records += 1
    } else if line.allSatisfy(isJSONWhitespace) {
      blankLines += 1
    } else {
      try body(line, Line(record: records, number: lineNumber, position: linePosition))
      records += 1
    }
    moveToNextLine(after: lineBytes)
  }

  private mutating func moveToNextLine(after lineBytes: Int) {
    lineNumber += 1
    linePosition += lineBytes
  }

  private func tooLong() -> EventError {
    EventError(.recordTooLong, "the line is longer than \(maxLineBytes) bytes", position: maxLineBytes)
      .inRecord(records, startingAt: linePosition)
  }
}
