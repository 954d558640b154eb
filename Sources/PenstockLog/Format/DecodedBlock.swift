/// A block's records, decompressed and validated. Immutable, so all readers share it.
package final class DecodedBlock: Sendable {
  package let baseOffset: Offset
  let appendTimes: AppendTimes
  /// Every record followed by one line feed.
  let payload: BlockPayload
  /// For each record, one past its last byte in `payload` (the position of its line feed).
  let ends: [UInt32]
  /// The zstd frame from which ``payload`` was decompressed, so that a caller can pass it on instead of compressing
  /// again. Nil unless the reader retains frames. Nil also where some record contains a line feed: then lines are not
  /// records.
  let frame: [UInt8]?
  /// CRC-32C of ``payload`` as the block's trailer says it; nil where there is no frame, or the trailer does not say.
  let contentChecksum: UInt32?

  package var count: Int { ends.count }
  package var endOffset: Offset { baseOffset + ends.count }
  /// The memory of the block, in bytes.
  var footprint: Int { payload.count + ends.count * 4 + (frame?.count ?? 0) }

  /// - Precondition: `ends` rises and its last element is the position of the payload's last byte.
  init(
    baseOffset: Offset, appendTimes: AppendTimes, payload: BlockPayload, ends: [UInt32], frame: [UInt8]? = nil,
    contentChecksum: UInt32? = nil
  ) {
    precondition(ends.last.map { Int($0) + 1 == payload.count } ?? payload.isEmpty)
    self.baseOffset = baseOffset
    self.appendTimes = appendTimes
    self.payload = payload
    self.ends = ends
    self.frame = frame
    self.contentChecksum = contentChecksum
  }

  /// A block whose records were all appended at one time.
  package convenience init(baseOffset: Offset, appendTime: Timestamp, payload: [UInt8], ends: [UInt32]) {
    self.init(baseOffset: baseOffset, appendTimes: AppendTimes(appendTime), payload: BlockPayload(payload), ends: ends)
  }

  /// When the log received the first record.
  var appendTime: Timestamp { appendTimes.first }

  /// One past the last byte of the records before `index`, line feeds included.
  func start(of index: Int) -> Int { index == 0 ? 0 : Int(ends[index - 1]) + 1 }

  /// The records' bytes together, without line feeds.
  func byteCount(of indices: Range<Int>) -> Int {
    guard !indices.isEmpty else { return 0 }
    return Int(ends[indices.upperBound - 1]) - start(of: indices.lowerBound) - (indices.count - 1)
  }

  /// How many records from `index` on fit `maxRecords` and `maxBytes`; at least one when `atLeastOne` and there is one.
  package func prefixCount(from index: Int, maxRecords: Int, maxBytes: Int, atLeastOne: Bool) -> Int {
    let rest = index..<count
    // In most calls all the rest fits.
    if rest.count <= maxRecords, byteCount(of: rest) <= maxBytes { return rest.count }
    var taken = 0
    var bytes = 0
    while index + taken < count, taken < maxRecords {
      let size = Int(ends[index + taken]) - start(of: index + taken)
      if bytes + size > maxBytes, !(taken == 0 && atLeastOne) { break }
      bytes += size
      taken += 1
    }
    return taken
  }

  package func forEachRecord<Failure: Error>(
    in indices: Range<Int>, _ body: (RecordView) throws(Failure) -> Void
  ) throws(Failure) {
    guard !indices.isEmpty else { return }
    var failure: Failure?
    payload.withUnsafeBytes { bytes in
      ends.withUnsafeBufferPointer { ends in
        var position = start(of: indices.lowerBound)
        let steps = appendTimes.steps
        var step = appendTimes.stepCount { $0.index <= indices.lowerBound }
        var time = appendTimes.time(of: indices.lowerBound)
        for index in indices {
          if step < steps.count, steps[step].index == index {
            time = steps[step].time
            step += 1
          }
          let end = Int(ends[index])
          let view = RecordView(
            offset: baseOffset + index, appendTime: time,
            bytes: UnsafeRawBufferPointer(rebasing: bytes[position..<end]))
          do throws(Failure) { try body(view) } catch {
            failure = error
            return
          }
          position = end + 1
        }
      }
    }
    if let failure { throw failure }
  }
}

extension DecodedBlock {
  /// The block that these batches become, for readers that wait for it. Up to 64 KiB, where joining is cheaper than
  /// decoding.
  convenience init?(small batches: some Collection<RecordBatch>, at place: BlockAddress) {
    let bytes = batches.reduce(0) { $0 + $1.payload.count }
    guard bytes <= 64 << 10 else { return nil }
    var payload: [UInt8] = []
    var ends: [UInt32] = []
    payload.reserveCapacity(bytes)
    for batch in batches {
      let start = UInt32(payload.count)
      ends.append(contentsOf: batch.ends.lazy.map { start + $0 })
      payload.append(contentsOf: batch.payload)
    }
    self.init(baseOffset: place.baseOffset, appendTime: place.appendTime, payload: payload, ends: ends)
  }
}
