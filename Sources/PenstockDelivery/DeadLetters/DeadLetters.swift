public import PenstockLog

/// The dead letters of one log, for reading: which cursors have some, how many, and their content. Takes no lock and
/// writes nothing. Any process may use it while deliveries run.
public struct DeadLetters: Sendable {
  /// A letter and its number among those of its cursor.
  public struct Numbered: Sendable, Hashable {
    /// The letter's number, counted from 0.
    public let number: Offset
    /// The letter.
    public let letter: DeadLetter

    package init(number: Offset, letter: DeadLetter) {
      self.number = number
      self.letter = letter
    }
  }

  /// Some letters, and where the next ones begin.
  public struct Page: Sendable, Hashable {
    /// The letters, in the order of their numbers.
    public let letters: [Numbered]
    /// The next letter's number; nil when there is none.
    public let next: Offset?
  }

  private let directory: String
  private let environment: LogEnvironment

  /// - Parameters:
  ///   - directory: The directory given to ``DeadLetterLog``.
  ///   - environment: The file system, the clock and other dependencies.
  public init(in directory: String, environment: LogEnvironment = .system) {
    self.directory = directory
    self.environment = environment
  }

  /// The cursors that have a dead-letter directory, sorted.
  public func cursors() throws(LogError) -> [String] {
    do throws(FileSystemError) {
      return try environment.fileSystem.list(directory).sorted()
    } catch {
      if error.code == .notFound { return [] }
      throw LogError(error, while: "list the dead letters")
    }
  }

  /// How many letters a cursor has, without those that retention has deleted. 0 when it has no dead-letter directory.
  public func count(of cursor: String) async throws(LogError) -> Int {
    guard let reader = try await reader(cursor) else { return 0 }
    defer { reader.close() }
    return reader.end - reader.first
  }

  /// Up to `limit` letters of a cursor, from a number on, oldest first. O(letters).
  public func list(
    of cursor: String, from number: Offset = .zero, limit: Int = 100
  ) async throws(LogError) -> [Numbered] {
    try await page(of: cursor, from: number, limit: limit, maxBytes: .max).letters
  }

  /// Up to `limit` letters of a cursor, from a number on, oldest first, with at most `maxBytes` of records together.
  /// Returns at least one letter, if there is one. O(letters).
  public func page(
    of cursor: String, from number: Offset = .zero, limit: Int = 100, maxBytes: Int = 4 << 20
  ) async throws(LogError) -> Page {
    guard let reader = try await reader(cursor) else { return Page(letters: [], next: nil) }
    defer { reader.close() }
    let first = max(number, reader.first)
    guard first < reader.end, limit > 0 else { return Page(letters: [], next: nil) }
    var (found, left): ([Numbered], Int) = ([], maxBytes)
    var end = min(reader.end, first + limit)
    try await DeadLetterSource.forEachLetter(of: reader, in: first..<end) { number, letter in
      left -= letter.record.count
      if left < 0, !found.isEmpty {
        end = number
        return false
      }
      found.append(.init(number: number, letter: letter))
      return true
    }
    return Page(letters: found, next: end < reader.end ? end : nil)
  }

  /// One letter; nil when there is none with that number.
  public func letter(_ number: Offset, of cursor: String) async throws(LogError) -> DeadLetter? {
    let found = try await list(of: cursor, from: number, limit: 1).first
    return found?.number == number ? found?.letter : nil
  }

  /// The position of a destination's redelivery of a cursor's letters: all below this number were sent again, including
  /// rejected ones. Nil when there was no redelivery.
  public func redelivered(of cursor: String, to destination: String) async throws(LogError) -> Offset? {
    guard let reader = try await reader(cursor) else { return nil }
    defer { reader.close() }
    return try await Self.place(of: destination, in: reader)
  }

  /// The numbers of the letters that a ``Redelivery`` would send; empty when there is nothing to send.
  ///
  /// - Parameters:
  ///   - scope: Which letters to send.
  ///   - cursor: The cursor whose letters these are.
  ///   - destination: The name of the destination they would be sent to.
  public func pending(
    _ scope: RedeliveryScope, of cursor: String, to destination: String
  ) async throws(LogError) -> Range<Offset> {
    guard let reader = try await reader(cursor) else { return .zero ..< .zero }
    defer { reader.close() }
    let (first, end) = (reader.first, reader.end)
    switch scope {
    case .all: return first..<end
    case .one(let number): return first <= number && number < end ? number..<(number + 1) : end..<end
    case .remaining: return min(max(first, try await Self.place(of: destination, in: reader) ?? first), end)..<end
    }
  }

  private static func place(of destination: String, in reader: LogReader) async throws(LogError) -> Offset? {
    let state = try await reader.view.offload(.short) { () throws(LogError) in
      try reader.cursorState(named: destination)
    }
    return state?.committed
  }

  /// The letters of a cursor as records that can be delivered again; nil when it has none.
  public func source(of cursor: String) async throws(LogError) -> DeadLetterSource? {
    try await reader(cursor).map(DeadLetterSource.init)
  }

  private func reader(_ cursor: String) async throws(LogError) -> LogReader? {
    let path = DeadLetterLog.path(in: directory, cursor: cursor)
    guard try cursors().contains(cursor) else { return nil }
    return try await LogReader.open(at: path, environment: environment)
  }
}
