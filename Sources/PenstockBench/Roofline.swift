import Foundation
import PenstockLog

/// The most a streaming append could reach: threads that do nothing but compress the same blocks, and one that writes
/// them in order into a file of zeros and syncs. No queue of callers, no offsets, no checksum of ours, no readers.
struct Roofline {
  /// The payloads of the blocks; used again and again.
  let blocks: [[UInt8]]
  let level = LogConfiguration().compressionLevel

  /// Joins whole batches into blocks as the log would.
  init(_ batches: [RecordBatch]) {
    let limit = LogConfiguration().blockBytes
    var blocks: [[UInt8]] = [[]]
    for batch in batches {
      if let last = blocks.last, !last.isEmpty, last.count + batch.payload.count > limit { blocks.append([]) }
      blocks[blocks.count - 1] += batch.payload
    }
    self.blocks = blocks
  }

  /// Compresses, writes and syncs at least `bytes` bytes of payload; returns bytes a second.
  func run(_ path: String, bytes: Int, threads: Int) throws -> Double {
    let mean = blocks.reduce(0) { $0 + $1.count } / blocks.count
    let turns = max(1, (bytes + mean - 1) / mean)
    let stored = try blocks.map {
      try $0.withUnsafeBytes { BlockFormat.alignedUp(try Zstd.compress($0, level: level).count) }
    }
    let room = (0..<turns).reduce(0) { $0 + stored[$1 % stored.count] }
    let probe = try RawProbe(path, bytes: room)
    defer { probe.end() }
    let line = AssemblyLine(blocks: blocks, turns: turns, threads: threads)
    var done = 0
    for turn in 0..<turns { done += blocks[turn % blocks.count].count }
    let took = try seconds { () throws in try line.run(level: level, into: probe) }
    return Double(done) / took
  }
}

/// Encoders that hand frames to a writer in order, through a ring.
///
/// `@unchecked Sendable`: `condition` protects all that changes; a slot's bytes belong to the encoder that took its
/// number until it is marked ready, then to the writer until it is marked free.
private final class AssemblyLine: @unchecked Sendable {
  private let condition = NSCondition()
  private let blocks: [[UInt8]]
  private let turns: Int
  private let threads: Int
  private let slots: [UnsafeMutableRawBufferPointer]
  private var lengths: [Int?]
  private var next = 0
  private var written = 0
  private var failure: (any Error)?

  init(blocks: [[UInt8]], turns: Int, threads: Int) {
    self.blocks = blocks
    self.turns = turns
    self.threads = threads
    let bound = Zstd.compressBound(blocks.map(\.count).max() ?? 0) + BlockFormat.alignment
    slots = (0..<(2 * threads + 2)).map { _ in
      let slot = UnsafeMutableRawBufferPointer.allocate(byteCount: bound, alignment: BlockFormat.alignment)
      slot.initializeMemory(as: UInt8.self, repeating: 0)
      return slot
    }
    lengths = slots.map { _ in nil }
  }

  deinit { for slot in slots { slot.deallocate() } }

  func run(level: Int, into probe: RawProbe) throws {
    for _ in 0..<threads {
      let thread = Thread { [self] in
        do { try encode(level) } catch { fail(error) }
      }
      thread.start()
    }
    var position = 0
    while let ready = take() {
      for (slot, length) in ready {
        let whole = UnsafeRawBufferPointer(rebasing: slots[slot][..<BlockFormat.alignedUp(length)])
        try probe.write(whole, at: position)
        position += whole.count
      }
      try probe.synchronize()
      release(ready.map(\.slot))
    }
    if let failure = condition.withLock({ failure }) { throw failure }
  }

  private func encode(_ level: Int) throws {
    let compressor = try ZstdCompressor(level: level)
    while let turn = condition.withLock({ ticket() }) {
      let slot = turn % slots.count
      let length = try blocks[turn % blocks.count].withUnsafeBytes { try compressor.compress($0, into: slots[slot]) }
      condition.withLock {
        lengths[slot] = length
        condition.broadcast()
      }
    }
  }

  private func ticket() -> Int? {
    while next < turns, next - written >= slots.count, failure == nil { condition.wait() }
    guard next < turns, failure == nil else { return nil }
    defer { next += 1 }
    return next
  }

  /// All frames that are ready, in order; nil at the end.
  private func take() -> [(slot: Int, length: Int)]? {
    condition.withLock {
      while failure == nil, written < turns, lengths[written % slots.count] == nil { condition.wait() }
      guard failure == nil, written < turns else { return nil }
      var ready: [(slot: Int, length: Int)] = []
      while ready.count < slots.count, written + ready.count < turns {
        let slot = (written + ready.count) % slots.count
        guard let length = lengths[slot] else { break }
        ready.append((slot, length))
      }
      return ready
    }
  }

  private func release(_ taken: [Int]) {
    condition.withLock {
      for slot in taken { lengths[slot] = nil }
      written += taken.count
      condition.broadcast()
    }
  }

  private func fail(_ error: any Error) {
    condition.withLock {
      failure = error
      condition.broadcast()
    }
  }
}
