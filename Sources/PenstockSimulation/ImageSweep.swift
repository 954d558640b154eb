import PenstockLog
import PenstockTestKit
import Synchronization

/// Damages a full segment of 1 MiB and the one after it, in every way of a kind. Then it compares what readers get with
/// what was written.
///
/// A record is served with its own bytes or reported lost (``DamagedReading``). Only blocks that the damage touched may
/// be lost.
package struct ImageSweep {
  package struct Count: Sendable {
    package var tried = 0
    /// Damaged bytes that nothing reads: everything was served.
    package var harmless = 0
    /// Wrong bytes served, or a loss not reported.
    package var silent: [String] = []
    /// The most blocks lost at once, and the limit: as many as one damage touches. A cut loses everything after it.
    package var blocksLost = 0
    package let limit: Int
    /// Records lost that the damage did not touch, and more blocks than may be.
    package var excess: [String] = []

    init(limit: Int = 1) { self.limit = limit }

    package var isClean: Bool { silent.isEmpty && excess.isEmpty }

    mutating func lose(_ blocks: Int, _ what: @autoclosure () -> String) {
      blocksLost = max(blocksLost, blocks)
      if blocks > limit { excess.append("\(what()): \(blocks) blocks are lost, \(limit) at most may be") }
    }
  }

  /// A fault that a test injects to see it found.
  package enum InjectedFault: Sendable {
    /// Damage takes the next block's header with it, as a reader would that does not find its way again.
    case losesTheNext
    /// A record is served with other bytes.
    case servesAnother
    /// Who looks for one record, and reads nothing before it, is shown its neighbour.
    case seeksTheNext
  }

  private let disk: SimulatedFileSystem
  private let configuration: LogConfiguration
  private let digests: [UInt64]
  private let path: String
  private let blocks: [BlockHeader]
  private let image: [UInt8]
  private let header: SegmentHeader
  private let injectedFault: InjectedFault?

  /// How long the image is, in bytes, and how many blocks it has.
  package var extent: (bytes: Int, blocks: Int) { (image.count, blocks.count) }

  package init(segmentBytes: Int = 1 << 20, seed: UInt64 = 1, injecting injectedFault: InjectedFault? = nil) throws {
    self.injectedFault = injectedFault
    var configuration = LogConfiguration()
    configuration.segmentBytes = segmentBytes
    configuration.encoders = 0
    configuration.sealing = .off
    self.configuration = configuration
    disk = SimulatedFileSystem(seed: seed)
    var random = SplitMix64(seed: seed)
    let writer = try LogOpening.open("/log", configuration, Self.environment(disk, seed))
    var digests: [UInt64] = []
    while writer.view.set.segments.count < 2 || digests.count % 50 != 0 {
      var batch = RecordBatch()
      for _ in 0..<(1 + random.below(4)) {
        var record = Array("\(digests.count) ".utf8)
        for _ in 0..<random.below(220) { withUnsafeBytes(of: random.next()) { record.append(contentsOf: $0) } }
        digests.append(History.digest(record))
        batch.append(record)
      }
      _ = try writer.write([batch])
      try writer.synchronize()
      try writer.publish()
    }
    if injectedFault == .servesAnother { digests[digests.count / 2] ^= 1 }
    self.digests = digests
    try writer.close()
    guard let path = disk.filePaths.first(where: { $0.hasSuffix(".seg") }), let image = disk.contents(path) else {
      throw Violation(.honestWorkSucceeds, "there is no segment")
    }
    self.path = path
    self.image = image
    let file = ImageFile(image)
    let header = try SegmentScanner.readHeader(file, ImageFile.handle, path: path)
    self.header = header
    let scanner = SegmentScanner(file, ImageFile.handle, header)
    var cursor = SegmentScanner.ScanPosition(startOf: header)
    var blocks: [BlockHeader] = []
    while case .block(let block, let next) = try scanner.look(at: cursor, proving: true) {
      blocks.append(block)
      cursor = next
    }
    self.blocks = blocks
  }

  private static func environment(_ disk: SimulatedFileSystem, _ seed: UInt64) -> LogEnvironment {
    .simulated(disk, salts: SimulationSalts(seed: seed))
  }

  // MARK: - Every bit

  /// Flips every `stride`-th bit from the beginning to the last block's end, and looks at the block that holds it.
  package func bits(stride: Int = 1, part: Int = 0, of parts: Int = 1) throws -> Count {
    var count = Count()
    let file = ImageFile(image)
    let scanner = SegmentScanner(file, ImageFile.handle, header)
    var cursor = SegmentScanner.ScanPosition(startOf: header)
    if part == 0 { try headerBits(file, stride, upTo: Int(cursor.position), &count) }
    for (number, block) in blocks.enumerated() {
      guard case .block(_, let next) = try scanner.look(at: cursor, proving: true) else { break }
      let start = Int(cursor.position)
      let used = start + block.totalLength
      for bit in Swift.stride(from: start * 8, to: Int(next.position) * 8, by: stride) where number % parts == part {
        file.flip(bit)
        let found = try scanner.look(at: cursor, proving: true)
        var lost = 0
        if case .block = found {} else { lost = try blocksLost(number, at: cursor, scanner, file) }
        file.flip(bit)
        count.tried += 1
        if case .block(let header, _) = found {
          // Nothing is read after the block's last byte.
          if bit / 8 >= used, header == block {
            count.harmless += 1
          } else {
            count.silent.append("bit \(bit % 8) of byte \(bit / 8) is not noticed")
          }
        } else if bit / 8 >= used {
          count.silent.append("byte \(bit / 8) is of no block, and block \(number) is lost with it")
        } else {
          count.lose(lost, "bit \(bit % 8) of byte \(bit / 8)")
        }
      }
      cursor = next
    }
    return count
  }

  /// How many blocks a reader misses. The reader follows the headers, and searches for the next one after a bad header.
  private func blocksLost(
    _ number: Int, at cursor: SegmentScanner.ScanPosition, _ scanner: SegmentScanner, _ file: ImageFile
  ) throws -> Int {
    let next = number + 1 < blocks.count ? blocks[number + 1] : nil
    let spoiled = injectedFault == .losesTheNext ? next.map { Int($0.position) * 8 } : nil
    if let spoiled { file.flip(spoiled) }
    defer { if let spoiled { file.flip(spoiled) } }
    if spoiled == nil, case .block(let believed, _) = try scanner.look(at: cursor, proving: false) {
      // Its payload alone is wrong.
      return believed == blocks[number] ? 1 : blocks.count - number
    }
    let later = try scanner.findBlock(from: cursor.position + scanner.stride, offset: cursor.offset)
    return blocks[number...].count { $0.baseOffset < later?.baseOffset ?? Offset(.max) }
  }

  private func headerBits(_ file: ImageFile, _ stride: Int, upTo end: Int, _ count: inout Count) throws {
    for bit in Swift.stride(from: 0, to: end * 8, by: stride) {
      file.flip(bit)
      defer { file.flip(bit) }
      count.tried += 1
      do throws(LogError) {
        let found = try SegmentScanner.readHeader(file, ImageFile.handle, path: path)
        if found == header { count.harmless += 1 } else { count.silent.append("bit \(bit) of the header is believed") }
      } catch {}
    }
  }

  // MARK: - Whole openings

  /// Zeroes every sector, truncates at every sector, swaps pages and copies pages of another log. Each time it opens
  /// the log and reads it to its end.
  package func openings(stride: Int = 1, part: Int = 0, of parts: Int = 1) throws -> [(String, Count)] {
    let places = Swift.stride(from: 512 * part, to: image.count, by: 512 * stride * parts)
    var zeroed = Count(), cut = Count(limit: .max), swapped = Count(limit: 2), stale = Count(), flipped = Count()
    let zeros = [UInt8](repeating: 0, count: 512)
    let other = try ImageSweep(segmentBytes: configuration.segmentBytes, seed: header.baseOffset.rawValue &+ 77)
    for position in places {
      let page = position / 4096 * 4096
      judge("sector \(position) zeroed", [(position, zeros)], &zeroed)
      judge(
        "bit \(position % 8) of byte \(position) flipped",
        [(position, [image[position] ^ (1 << UInt8(position / 512 % 8))])], &flipped)
      judge("cut at \(position)", [], cutting: position, &cut)
      guard page == position, page > 0 else { continue }
      let far = (page * 7 / 4096 % (image.count / 4096)) * 4096
      judge("pages \(page) and \(far) swapped", [(page, bytes(far)), (far, bytes(page))], &swapped)
      judge("page \(page) of another log", [(page, other.bytes(page))], &stale)
    }
    return [
      ("openings after a flip", flipped), ("zeroed sectors", zeroed), ("truncations", cut), ("swapped pages", swapped),
      ("pages of another log", stale),
    ]
  }

  private func bytes(_ page: Int) -> [UInt8] { Array(image[page..<min(page + 4096, image.count)]) }

  private func judge(_ what: String, _ writes: [(Int, [UInt8])], cutting end: Int? = nil, _ count: inout Count) {
    count.tried += 1
    let found = disk.processKill()
    for (position, bytes) in writes { found.overwrite(path, at: position, bytes) }
    if injectedFault == .losesTheNext, let first = writes.first?.0,
      let next = blocks.first(where: { Int($0.position) > first })
    {
      found.flipBit(path, at: Int(next.position), bit: 0)
    }
    if let end { found.install(path, Array(image[..<end])) }
    let untouched = found.processKill()
    do throws(LogError) {
      let reading = DamagedReading(
        try LogOpening.open("/log", configuration, Self.environment(found, 5)), of: digests)
      let lost = reading.lost
      count.silent += reading.flaws.map { "\(what): \($0)" }
      if reading.served + lost.count != digests.count {
        count.silent.append("\(what): \(reading.served) of \(digests.count) are served, \(lost.count) reported lost")
      }
      if lost.isEmpty { count.harmless += 1 }
      if let end { exact(what, end, lost, &count) } else { exact(what, writes, lost, &count) }
      try seek(what, near: end ?? writes[0].0, on: untouched, lost, &count)
    } catch {
      // Refused is honest, and more than the damage of an older segment may cost.
      if error.code == .damaged {
        count.excess.append("\(what): the log is refused, \(error)")
      } else {
        count.silent.append("\(what): opening fails with \(error)")
      }
    }
  }

  /// Reads a record at the damage, or of a block next to it, by itself: a process that has read nothing of the segment
  /// finds its block in another way, and must come to the same.
  private func seek(
    _ what: String, near position: Int, on found: SimulatedFileSystem, _ lost: Set<UInt64>, _ count: inout Count
  ) throws(LogError) {
    let touched = blocks.lastIndex { Int($0.position) <= position } ?? 0
    let block = blocks[max(0, min(blocks.count - 1, touched + count.tried % 3 - 1))]
    let number = Int(block.baseOffset.rawValue) + count.tried % block.recordCount
    let view = try LogOpening.open("/log", configuration, Self.environment(found, 5)).view
    do throws(LogError) {
      let shown = injectedFault == .seeksTheNext ? number + 1 : number
      let batch = try view.batch(from: Offset(UInt64(shown)), maxRecords: 1, maxBytes: 8 << 20)
      if batch.map({ History.digests(of: $0) }) != [digests[number]] {
        count.silent.append("\(what): record \(number), sought alone, is wrong")
      } else if lost.contains(UInt64(number)) {
        count.silent.append("\(what): record \(number) is there when it is sought alone, and lost else")
      }
    } catch {
      guard error.gap != nil, lost.contains(UInt64(number)) else {
        count.silent.append("\(what): record \(number), sought alone, is met with \(error)")
        return
      }
    }
  }

  /// Only records of the blocks that were written over are lost. One header page stands in for the other.
  private func exact(_ what: String, _ writes: [(Int, [UInt8])], _ lost: Set<UInt64>, _ count: inout Count) {
    guard !lost.isEmpty else { return }
    var rest = lost
    var blocksLost = 0
    for block in blocks {
      let records = block.baseOffset.rawValue..<block.endOffset.rawValue
      guard records.contains(where: lost.contains) else { continue }
      blocksLost += 1
      let start = Int(block.position)
      let isTouched = writes.contains { $0.0 < start + block.totalLength && start < $0.0 + $0.1.count }
      if isTouched { rest.subtract(records) }
    }
    count.lose(blocksLost, what)
    if let first = rest.min() {
      count.excess.append("\(what): \(rest.count) records from \(first) on are lost, and were not touched")
    }
  }

  /// Of a segment that was cut, every block before the cut is served.
  private func exact(_ what: String, _ end: Int, _ lost: Set<UInt64>, _ count: inout Count) {
    for block in blocks where Int(block.position) + block.totalLength <= end && end > 4096 {
      if lost.contains(block.baseOffset.rawValue) {
        count.excess.append("\(what): the block at \(block.position), before the cut, is lost")
        return
      }
    }
  }
}

/// One file in memory whose bits can be flipped in place.
final class ImageFile: PassingFileSystem {
  static let handle = OpenFileHandle(rawValue: 3)
  /// Nothing is on it: what an image cannot do fails.
  let base: any FileSystem = SimulatedFileSystem()
  private let bytes: Mutex<[UInt8]>

  init(_ bytes: [UInt8]) { self.bytes = Mutex(bytes) }

  func flip(_ bit: Int) { bytes.withLock { $0[bit / 8] ^= 1 << UInt8(bit % 8) } }

  func read(_ file: OpenFileHandle, into buffer: UnsafeMutableRawBufferPointer, at position: UInt64)
    throws(FileSystemError) -> Int
  {
    bytes.withLock { bytes in
      let start = min(Int(position), bytes.count)
      let count = min(buffer.count, bytes.count - start)
      bytes.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[start..<start + count])) }
      return count
    }
  }
  func dropCache(_ file: OpenFileHandle) throws(FileSystemError) -> Bool { true }
  func size(_ file: OpenFileHandle) throws(FileSystemError) -> UInt64 { UInt64(bytes.withLock { $0.count }) }
  func open(_ path: String, _ mode: OpenMode) throws(FileSystemError) -> OpenFileHandle { Self.handle }
  func close(_ file: OpenFileHandle) {}
  func path(_ path: String, names file: OpenFileHandle) throws(FileSystemError) -> Bool { true }
}
