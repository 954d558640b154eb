public import PenstockDelivery
public import PenstockLog

/// A log in memory: every record is durable as soon as it is appended.
public final class InMemorySource: RecordSource {
  private struct State: Sendable {
    var blocks: [DecodedBlock] = []
    var end = Offset.zero
    var isClosed = false
    var readError: LogError?
    var waiting: [UInt64: Offset] = [:]
    var lastID: UInt64 = 0
  }

  /// The log's id.
  public let logID: String
  private let state = AsyncCondition(State())
  private let timeOfDay: any WallClock
  private let clock: any DeliveryClock

  /// - Parameters:
  ///   - logID: 32 hexadecimal digits.
  ///   - timeOfDay: Gives append times.
  ///   - clock: Measures the timeouts of waits.
  public init(
    logID: String = "00112233445566778899aabbccddeeff", timeOfDay: any WallClock = ManualClock(),
    clock: any DeliveryClock = SystemDeliveryClock()
  ) {
    self.logID = logID
    self.timeOfDay = timeOfDay
    self.clock = clock
  }

  /// Appends records as one block, so that they become visible together.
  @discardableResult
  public func append(_ records: [[UInt8]]) -> Range<Offset> {
    guard !records.isEmpty else { return state.value.end..<state.value.end }
    var payload: [UInt8] = []
    let ends = records.map { record in
      payload += record
      payload.append(UInt8(ascii: "\n"))
      return UInt32(payload.count - 1)
    }
    let time = timeOfDay.now()
    return state.update { [payload] state in
      let first = state.end
      state.blocks.append(DecodedBlock(baseOffset: first, appendTime: time, payload: payload, ends: ends))
      state.end = first + records.count
      return first..<state.end
    }
  }

  @discardableResult
  /// Appends the UTF-8 bytes of texts.
  public func append(_ records: String...) -> Range<Offset> { append(records.map { Array($0.utf8) }) }

  /// Ends all waits; reads fail from now on.
  public func close() { state.update { $0.isClosed = true } }

  /// Makes every read fail, until it is called with nil.
  public func failReads(with error: LogError?) { state.update { $0.readError = error } }

  /// Every record so far.
  public var allRecords: [[UInt8]] {
    var records: [[UInt8]] = []
    forEachRecord { records.append(Array($0.bytes)) }
    return records
  }

  package func forEachRecord(_ body: (RecordView) -> Void) {
    for block in state.value.blocks { block.forEachRecord(in: 0..<block.count, body) }
  }

  /// Returns when a reader waits for records past `offset`.
  public func untilSomebodyWaits(past offset: Offset) async {
    _ = await state.wait { $0.waiting.values.contains(offset) }
  }

  /// The end of the log.
  public var end: Offset { state.value.end }
  public var durableEnd: Offset { get async { state.value.end } }

  public func records(from first: Offset, maxRecords: Int, maxBytes: Int) async throws(LogError) -> Batch? {
    let state = try readable()
    guard first <= state.end else { throw LogError(.outOfRange, "no record", location: .init(offset: first)) }
    var slices: [BlockSlice] = []
    var (records, bytes) = (maxRecords, maxBytes)
    for block in state.blocks where block.endOffset > first && records > 0 {
      let start = max(first, block.baseOffset) - block.baseOffset
      let count = block.prefixCount(from: start, maxRecords: records, maxBytes: bytes, atLeastOne: slices.isEmpty)
      guard count > 0 else { break }
      let slice = BlockSlice(block: block, indices: start..<start + count)
      slices.append(slice)
      (records, bytes) = (records - count, bytes - slice.byteCount)
      guard slice.end == block.endOffset else { break }
    }
    return slices.isEmpty ? nil : Batch(slices: slices)
  }

  public func records(in range: Range<Offset>) async throws(LogError) -> Batch {
    let state = try readable()
    guard !range.isEmpty, range.upperBound <= state.end else {
      throw LogError(.outOfRange, "no records \(range)", location: .init(offset: range.lowerBound))
    }
    let slices = state.blocks.compactMap { block -> BlockSlice? in
      let (low, high) = (max(range.lowerBound, block.baseOffset), min(range.upperBound, block.endOffset))
      return low < high ? BlockSlice(block: block, indices: low - block.baseOffset..<high - block.baseOffset) : nil
    }
    return Batch(slices: slices)
  }

  public func waitForRecords(past offset: Offset, timeout: Duration?) async -> Bool {
    let id = state.update { state in
      state.lastID += 1
      state.waiting[state.lastID] = offset
      return state.lastID
    }
    defer { state.update { $0.waiting[id] = nil } }
    guard let timeout else { return await becomesVisible(offset) }
    let deadline = clock.now() + timeout
    return await withTaskGroup(of: Bool.self) { group in
      group.addTask { await self.becomesVisible(offset) }
      group.addTask { [clock] in
        try? await clock.sleep(until: deadline)
        return false
      }
      let first = await group.next() ?? false
      group.cancelAll()
      return first
    }
  }

  private func becomesVisible(_ offset: Offset) async -> Bool {
    _ = await state.wait { $0.end > offset || $0.isClosed }
    return state.value.end > offset
  }

  private func readable() throws(LogError) -> State {
    let state = state.value
    if state.isClosed { throw LogError(.closed, "the log is closed") }
    if let error = state.readError { throw error }
    return state
  }
}
