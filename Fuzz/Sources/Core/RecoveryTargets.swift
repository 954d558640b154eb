import FuzzKit
@testable import PenstockLog

extension FuzzTarget {
  static let recovery: [FuzzTarget] = [
    FuzzTarget(name: "segment", body: segment),
    FuzzTarget(name: "slots", body: slots),
  ]

  nonisolated(unsafe) private static let image = SegmentImage()

  /// A segment of eight blocks after the input was written over parts of it. Each block that recovery serves is proven
  /// and fits its neighbours. It is one that was written, or the input has forged its checksums too.
  @Sendable private static func segment(_ input: UnsafeRawBufferPointer) {
    let forged = image.change(input)
    defer { image.restore() }
    let scanner = SegmentScanner(image.fileSystem, image.handle, image.header)
    let recovery = TailRecovery(
      environment: image.environment, paths: LogPaths("/"), file: image.file, path: "/s", header: image.header,
      isStrict: false)
    guard let finding = try? recovery.examine(DurabilityEvidence()) else { return }
    var (position, offset) = (UInt64(SegmentHeader.size), image.header.baseOffset)
    for entry in finding.entries {
      require(entry.position >= position && entry.baseOffset >= offset, "blocks that overlap")
      (position, offset) = (entry.endPosition, entry.endOffset)
      if !forged { require(image.blocks.contains { $0.isSame(as: entry) }, "a block that nobody wrote") }
    }
    require(finding.writtenEnd >= offset, "an end before the last block")
    for range in finding.badRanges { require(range.upperBound <= UInt64(image.count), "bad bytes behind the end") }
    if !forged {
      let lost = finding.gaps.reduce(0) { $0 + ($1.end - $1.first) }
      let served = finding.entries.reduce(0) { $0 + $1.count }
      require(Offset(1000) + lost + served == finding.last.offset, "records neither served nor told")
    }
    _ = try? scanner.hasOnlyIndex(after: finding.entries)
    _ = try? SegmentFooter.read(image.fileSystem, image.handle, image.header)
  }

  private static let disk = ImageFileSystem(count: 256)

  /// A file of two slots: what is read is the value of the newest intact one, and never more than a slot holds.
  @Sendable private static func slots(_ input: UnsafeRawBufferPointer) {
    guard input.count >= 2 else { return }
    disk.fill(input.from(1))
    // By the first byte's lowest bits either slot's checksum is put right.
    for slot in 0..<2 where input[0] & UInt8(1 << slot) != 0 { disk.seal(slot: slot, size: 128, kind: 2) }
    guard let value = try? SlotFile.peek(disk, "/slots", kind: 2, slotSize: 128) else { return }
    require(value.count <= 128 - SlotFile.headerSize, "a value longer than its slot")
    let found = (0..<2).contains {
      disk.bytes[($0 * 128 + SlotFile.headerSize)...].prefix(value.count).elementsEqual(value)
    }
    require(found, "a value that is in neither slot")
  }
}

/// A small segment in memory that is changed and put back.
private final class SegmentImage {
  let header = SegmentHeader(
    logID: [UInt8](repeating: 7, count: 16), sequence: 1, epoch: 5, baseOffset: Offset(1000),
    salt: [UInt8](repeating: 9, count: 16), previousChain: 0, begunAt: Timestamp(nanoseconds: 1))
  let blocks: [BlockEntry]
  let fileSystem: ImageFileSystem
  let handle = OpenFileHandle(rawValue: 3)
  let file: OpenFile
  let environment: LogEnvironment
  private let original: [UInt8]
  private var touched: [Range<Int>] = []
  var count: Int { original.count }

  init() {
    var bytes = header.encoded()
    guard var encoder = try? BlockEncoder(level: 1) else { fatalError("no compressor") }
    var written: [BlockEntry] = []
    var chain = header.chain
    let seed = header.seed
    for number in 0..<8 {
      let block = EncodedBlock()
      var batch = RecordBatch()
      for record in 0...number { batch.append("{\"block\":\(number),\"record\":\(record)}") }
      do { try encoder.compress([batch], into: block) } catch { fatalError("\(error)") }
      let place = BlockAddress(
        position: UInt64(bytes.count), baseOffset: written.last?.endOffset ?? header.baseOffset, segment: 1, epoch: 5,
        durableUpTo: UInt64(bytes.count), appendTime: Timestamp(nanoseconds: Int64(10 + number)), chain: chain,
        seed: seed)
      block.finish(at: place) { (header, content) in
        bytes += Array(content)
        written.append(BlockEntry(header))
        chain = Chain.link(UnsafeRawBufferPointer(rebasing: content[..<BlockFormat.headerSize]))
      }
    }
    blocks = written
    bytes += [UInt8](repeating: 0, count: 8192)
    original = bytes
    let disk = ImageFileSystem(count: bytes.count)
    bytes.withUnsafeBytes { disk.fill($0) }
    fileSystem = disk
    file = OpenFile(fileSystem, handle)
    environment = LogEnvironment(
      fileSystem: fileSystem, clock: StillClock(), randomBytes: { [UInt8](repeating: 1, count: 16) })
  }

  /// The input is a list of changes: u16 position, u8 how, u8 value. Says whether a checksum was forged.
  func change(_ input: UnsafeRawBufferPointer) -> Bool {
    var forged = false
    for start in stride(from: 0, to: min(input.count, 256) - 3, by: 4) {
      let place = 8192 + Int(input.get(UInt16.self, at: start)) % (original.count - 8192)
      let (how, value) = (input[start + 2], input[start + 3])
      switch how % 8 {
      case 0: write(at: place, [value])
      case 1: write(at: place, [fileSystem.bytes[place] ^ (1 << (value % 8))])
      case 2: write(at: place & ~511, [UInt8](repeating: 0, count: 512))
      case 3: write(at: place & ~4095, Array(original[(8192 + Int(value) % 8 * 4096)...].prefix(4096)))
      case 4: write(at: place & ~4095 + Int(value) % 112, [UInt8(truncatingIfNeeded: place)])
      case 5: write(at: place & ~4095 + Int(value) % 112, [UInt8](repeating: 255, count: 8))
      case 6: fileSystem.length = place
      default:
        // Whatever was changed of the header now looks intact.
        let page = place & ~4095
        guard page + 112 <= original.count else { break }
        let sum = Checksum.of(Array(fileSystem.bytes[page..<(page + 108)]), seed: header.seed)
        write(at: page + 108, withUnsafeBytes(of: sum.littleEndian) { Array($0) })
        forged = true
      }
    }
    return forged
  }

  private func write(at place: Int, _ new: [UInt8]) {
    let end = min(place + new.count, original.count)
    for index in place..<end { fileSystem.bytes[index] = new[index - place] }
    touched.append(place..<end)
  }

  func restore() {
    for range in touched { for index in range { fileSystem.bytes[index] = original[index] } }
    touched.removeAll(keepingCapacity: true)
    fileSystem.length = original.count
  }
}

private struct StillClock: WallClock {
  func now() -> Timestamp { Timestamp(nanoseconds: 0) }
}

/// One file in memory, whatever its name; nothing is ever written to it through the seam.
///
/// `@unchecked Sendable`: a fuzzer is one thread.
private final class ImageFileSystem: FileSystem, @unchecked Sendable {
  var bytes: [UInt8]
  var length: Int

  init(count: Int) {
    bytes = [UInt8](repeating: 0, count: count)
    length = count
  }

  func fill(_ content: UnsafeRawBufferPointer) {
    length = min(content.count, bytes.count)
    for index in bytes.indices { bytes[index] = index < length ? content[index] : 0 }
  }

  /// Makes a slot look as if it had been written.
  func seal(slot: Int, size: Int, kind: UInt16) {
    let start = slot * size
    bytes.put(UInt32(0x4C53_4E50), at: start)
    bytes.put(UInt16(1), at: start + 4)
    bytes.put(kind, at: start + 6)
    let count = Int(bytes[start + 16]) % (size - SlotFile.headerSize + 1)
    bytes.put(UInt32(count), at: start + 16)
    let value = start + SlotFile.headerSize
    let sum = Checksum.of(
      Array(bytes[start..<(start + 20)] + bytes[value..<(value + count)]), seed: UInt32(kind))
    bytes.put(sum, at: start + 20)
    length = max(length, value + count)
  }

  func open(_ path: String, _ mode: OpenMode) throws(FileSystemError) -> OpenFileHandle { OpenFileHandle(rawValue: 3) }
  func close(_ file: OpenFileHandle) {}
  func read(_ file: OpenFileHandle, into buffer: UnsafeMutableRawBufferPointer, at position: UInt64)
    throws(FileSystemError) -> Int
  {
    guard position < UInt64(length) else { return 0 }
    let count = min(buffer.count, length - Int(position))
    bytes.withUnsafeBytes {
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[Int(position)..<(Int(position) + count)]))
    }
    return count
  }
  func write(
    _ file: OpenFileHandle, _ bytes: UnsafeRawBufferPointer, at position: UInt64
  ) throws(FileSystemError) -> Int {
    throw refused
  }
  func synchronize(_ file: OpenFileHandle) throws(FileSystemError) {}
  func dropCache(_ file: OpenFileHandle) throws(FileSystemError) -> Bool { true }
  func size(_ file: OpenFileHandle) throws(FileSystemError) -> UInt64 { UInt64(length) }
  func truncate(_ file: OpenFileHandle, to size: UInt64) throws(FileSystemError) { throw refused }
  func rename(_ path: String, to newPath: String) throws(FileSystemError) { throw refused }
  func replace(_ path: String, with newer: String) throws(FileSystemError) { throw refused }
  func remove(_ path: String) throws(FileSystemError) { throw refused }
  func list(_ path: String) throws(FileSystemError) -> [String] { [] }
  func makeDirectory(_ path: String) throws(FileSystemError) { throw refused }
  func synchronizeDirectory(_ path: String) throws(FileSystemError) {}
  func lock(_ file: OpenFileHandle) throws(FileSystemError) -> Bool { true }
  func lock(_ file: OpenFileHandle, _ range: Range<UInt64>) throws(FileSystemError) -> Bool { true }
  func unlock(_ file: OpenFileHandle, _ range: Range<UInt64>) throws(FileSystemError) {}
  func path(_ path: String, names file: OpenFileHandle) throws(FileSystemError) -> Bool { true }
  private var refused: FileSystemError { FileSystemError(.readOnlyFileSystem, verb: .write, path: "image") }
}
