import Foundation
import PenstockLog
import PenstockToolSupport

/// A log of many segments that takes little disk. It is one full segment, repeated, each time with the headers of its
/// place in the log. The newest segment and those in which a bench searches are whole, because a file with many holes
/// lies in many pieces on the disk. Every other segment is a header, an index and a hole.
struct LongLog {
  /// A record to look for.
  struct SeekTarget {
    let path: String
    let offset: Offset
    let blockOffset: Offset
    let time: Timestamp
    let position: UInt64
    let length: Int
  }

  let path: String
  let segments: Int
  private(set) var places: [SeekTarget] = []
  private static let lookups = 8
  /// Between two segments' append times.
  private static let step: Int64 = 60_000_000_000

  init(at path: String, bytes: Int) async throws {
    self.path = path
    let template = try await Template(at: path)
    segments = max(3, bytes / template.size)
    let chosen = Set((1...Self.lookups).map { 1 + $0 * (segments - 2) / (Self.lookups + 1) })
    for number in 1..<segments {
      let isLast = number == segments - 1
      let file = try template.replicate(
        number, step: Self.step * Int64(number), isWhole: isLast || chosen.contains(number), hasIndex: !isLast)
      guard chosen.contains(number), !isLast else { continue }
      let block = file.blocks[(number * 7919) % file.blocks.count]
      places.append(
        SeekTarget(
          path: file.path, offset: block.baseOffset + block.recordCount / 2, blockOffset: block.baseOffset,
          time: block.appendTime, position: block.position, length: block.totalLength))
    }
    try template.finish(segments)
  }
}

/// A closed log of one full segment, and what is needed to write its like.
private struct Template {
  let path: String
  let header: SegmentHeader
  let blocks: [BlockHeader]
  let bytes: [UInt8]
  var size: Int { bytes.count }
  private var records: Int { blocks.reduce(0) { $0 + $1.recordCount } }

  init(at path: String) async throws {
    self.path = path
    let log = try await Log.open(at: path)
    try await BenchEvents.warmUp(log, BenchEvents.batches(of: 1000, for: 64_000))
    try await log.close()
    let reader = try await LogReader.open(at: path)
    defer { reader.close() }
    let set = reader.view.set
    let first = set.segments[0]
    let (file, header) = try first.open()
    let end = try first.entries(upTo: set.end(ofSegmentAt: 0)).last?.endPosition ?? 0
    let bytes = try file.fileSystem.readAll(file.handle, count: Int(end), at: 0)
    self.header = header
    self.bytes = bytes
    blocks = try first.entries(upTo: set.end(ofSegmentAt: 0)).map { entry in
      try bytes.withUnsafeBytes {
        try BlockHeader(decoding: UnsafeRawBufferPointer(rebasing: $0[Int(entry.position)...]), seed: header.seed)
      }
    }
    for segment in set.segments.dropFirst() { try FileManager.default.removeItem(atPath: segment.path) }
  }

  /// The headers of the segment that has `number` before it, and the digest of the last.
  private func place(_ number: Int, step: Int64, previousChain: UInt64) -> (SegmentHeader, [BlockHeader], UInt64) {
    var header = header
    header.sequence = UInt64(number + 1)
    header.baseOffset = Offset(UInt64(number * records))
    header.previousChain = previousChain
    header.begunAt = Timestamp(nanoseconds: header.begunAt.nanoseconds + step)
    var chain = SegmentScanner.ScanPosition(startOf: header).chain ?? 0
    var moved: [BlockHeader] = []
    for var block in blocks {
      block.segment = header.sequence
      block.baseOffset = block.baseOffset + number * records
      block.appendTime = Timestamp(nanoseconds: block.appendTime.nanoseconds + step)
      block.chain = chain
      chain = encoded(block).withUnsafeBytes { Chain.link($0) }
      moved.append(block)
    }
    return (header, moved, chain)
  }

  private func encoded(_ block: BlockHeader) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: BlockFormat.headerSize)
    bytes.withUnsafeMutableBytes { block.encode(into: $0, seed: header.seed) }
    return bytes
  }

  /// Writes one segment: all of its blocks or a hole, and the index that every segment but the newest ends in.
  func replicate(
    _ number: Int, step: Int64, isWhole: Bool, hasIndex: Bool
  ) throws -> (path: String, blocks: [BlockHeader]) {
    let (header, moved, _) = place(number, step: step, previousChain: 0)
    let name = SegmentName(sequence: header.sequence, baseOffset: header.baseOffset)
    let path = LogPaths(path).segment(name)
    let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Failure(.cannot, "io", "could not create \(path)") }
    defer { close(descriptor) }
    func put(_ bytes: [UInt8], _ position: UInt64) throws {
      guard pwrite(descriptor, bytes, bytes.count, off_t(position)) == bytes.count else {
        throw Failure(.cannot, "io", "could not write \(path): \(String(cString: strerror(errno)))")
      }
    }
    if isWhole {
      try put(bytes, 0)
      for block in moved { try put(encoded(block), block.position) }
    }
    try put(header.encoded(), 0)
    let index = hasIndex ? SegmentFooter.encoded(moved.map(BlockEntry.init), at: UInt64(size), header) : []
    try put(index, UInt64(size))
    guard ftruncate(descriptor, off_t(size + index.count)) == 0, fdatasync(descriptor) == 0 else {
      throw Failure(.cannot, "io", "could not size \(path): \(String(cString: strerror(errno)))")
    }
    return (path, moved)
  }

  /// Says in META and COMMIT that the log was closed after its newest segment.
  func finish(_ segments: Int) throws {
    let fileSystem = LogEnvironment.system.fileSystem
    let paths = LogPaths(path)
    let (slots, value) = try SlotFile.open(
      fileSystem, paths.meta, kind: LogMeta.slotKind, slotSize: LogMeta.slotSize)
    var meta = try LogMeta(decoding: value)
    let end = CommitPoint.End(
      segment: UInt64(segments), position: UInt64(size), offset: Offset(UInt64(segments * records)))
    meta.cleanEnd = end
    try slots.write(meta.encoded())
    let commitPoint = try LogDirectory.openCommitPoint(fileSystem, paths)
    try CommitPoint(durable: end, visible: end, epoch: meta.epoch).encoded(logID: meta.logID).withUnsafeBytes {
      try fileSystem.writeAll(commitPoint.handle, $0, at: 0)
    }
  }
}
