/// Splits streaming input into its lines, in bounded memory.
///
/// A line ends with LF or CRLF; the last one may end with the input (a CR at the very end is dropped too). Lines of
/// nothing but white space are counted and skipped. How the input is cut into chunks makes no difference. A line that
/// lies within one chunk is handed on without a copy; of one that does not, at most `maxLineBytes` are held.
///
/// Lines are not read as JSON here: that is the validator's work.
public struct NDJSONSplitter: Sendable {
  /// Where a line stands in the input.
  public struct Line: Hashable, Sendable {
    /// The record's number, counted from 0, blank lines left out.
    public let record: Int
    /// The line's number, counted from 1, blank lines included: what an editor shows.
    public let number: Int
    /// The byte of the input at which the line starts, counted from 0.
    public let position: Int

    public init(record: Int, number: Int, position: Int) {
      self.record = record
      self.number = number
      self.position = position
    }
  }

  /// The longest line allowed, without its line ending, in bytes.
  public let maxLineBytes: Int
  /// How many lines have been handed on.
  public private(set) var records = 0
  /// How many lines of nothing but white space have been skipped.
  public private(set) var blankLines = 0
  /// Bytes of a line whose end has not come yet.
  public var unfinishedBytes: Int { held.count + (holdsReturn ? 1 : 0) }

  /// The bytes of the line under way that came with earlier chunks.
  private var held: [UInt8] = []
  /// Whether a CR followed them: part of the line ending if an LF comes next, and of the line if not.
  private var holdsReturn = false
  /// Bytes of the line under way, where it was refused and the rest of it is passed over; nil where it was not.
  private var droppedBytes: Int?
  private var lineNumber = 1
  private var linePosition = 0
  private var failure: EventError?

  public init(maxLineBytes: Int) {
    precondition(maxLineBytes > 0, "a line limit must be positive")
    self.maxLineBytes = maxLineBytes
  }

  /// Takes the next bytes of the input and calls `body` with each line that they complete.
  ///
  /// The bytes that `body` sees are the line without its ending, and are valid during the call only.
  ///
  /// - Throws: `EventError` with code `recordTooLong` as soon as a line is known to be too long, `byteOrderMark` for one
  ///   at the start of the input, or what `body` throws. From then on the splitter only throws that error again.
  public mutating func feed(
    _ chunk: UnsafeRawBufferPointer,
    _ body: (UnsafeRawBufferPointer, Line) throws(EventError) -> Void
  ) throws(EventError) {
    try feed(chunk, refused: { (error) throws(EventError) in throw error }, body)
  }

  /// The same, for an input whose other lines are wanted although one is no good: `refused` is called with why a line
  /// is not handed on, and where it returns the line is passed over, and counts as a record. At most `maxLineBytes` of
  /// it are held.
  ///
  /// - Throws: what `refused` or `body` throws.
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
  /// - Throws: as `feed` does.
  public mutating func finish(
    _ body: (UnsafeRawBufferPointer, Line) throws(EventError) -> Void
  ) throws(EventError) {
    try finish(refused: { (error) throws(EventError) in throw error }, body)
  }

  /// The same, for an input whose other lines are wanted although one is no good; as ``feed(_:refused:_:)``.
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

  /// Keeps a piece of a line whose end has not come.
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
      return goOn(behind: dropped + 1)
    }
    // Taken out while `body` looks at it, and put back so that its memory serves the next line.
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

  /// Hands on one line and moves to the next, which starts `lineBytes` further on.
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
    goOn(behind: lineBytes)
  }

  private mutating func goOn(behind lineBytes: Int) {
    lineNumber += 1
    linePosition += lineBytes
  }

  private func tooLong() -> EventError {
    EventError(.recordTooLong, "the line is longer than \(maxLineBytes) bytes", position: maxLineBytes)
      .inRecord(records, startingAt: linePosition)
  }
}
