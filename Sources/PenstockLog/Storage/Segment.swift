internal import Synchronization

/// A file that closes itself with its last reference: a reader may still read a segment that retention has removed.
package final class OpenFile: Sendable {
  package let fileSystem: any FileSystem
  package let handle: OpenFileHandle

  package init(_ fileSystem: any FileSystem, _ handle: OpenFileHandle) {
    self.fileSystem = fileSystem
    self.handle = handle
  }

  deinit { fileSystem.close(handle) }
}

/// One segment, as readers see it: a name, a file and an index of blocks. The first use opens the file and builds the
/// index. Building it reads block headers, never payloads.
package final class Segment: Sendable {
  package let name: SegmentName
  package let path: String
  let fileSystem: any FileSystem
  /// The log to which the segment must belong; nil where that is not known.
  private let logID: [UInt8]?

  private struct State {
    var file: OpenFile?
    var header: SegmentHeader?
    /// Stays known after ``release()``.
    var segmentStart: SegmentStart?
    /// The file's size, once only sealing can change it. Stays known after ``release()``.
    var settledBytes: Int?
    var entries: [BlockEntry] = []
    /// How far the index reaches; nil before the first read.
    var scanned: SegmentScanner.ScanPosition?
    /// The entries come from a footer.
    var isFromFooter = false
    /// Whether the disk could not read some pages when the index was made from the blocks.
    var hasUnreadablePages = false
    /// The footer was wrong: from then on the index is made from the blocks themselves.
    var distrustsFooter = false

    mutating func forgetIndex() {
      entries = []
      scanned = nil
      isFromFooter = false
      hasUnreadablePages = false
    }
  }
  private let state = Mutex(State())

  /// What a search among segments needs of a header. Sealing changes none of it.
  struct SegmentStart: Hashable, Sendable {
    var begunAt: Timestamp
    /// Of all earlier segments; nil where it is not known.
    var latestEventTime: Int64?
  }

  init(_ fileSystem: any FileSystem, _ name: SegmentName, path: String, logID: [UInt8]? = nil) {
    self.fileSystem = fileSystem
    self.logID = logID
    self.name = name
    self.path = path
  }

  /// The segment that the writer is filling, with what the writer already knows.
  convenience init(
    _ fileSystem: any FileSystem, path: String, header: SegmentHeader, entries: [BlockEntry],
    scanned: SegmentScanner.ScanPosition
  ) {
    self.init(fileSystem, SegmentName(sequence: header.sequence, baseOffset: header.baseOffset), path: path)
    state.withLock {
      $0.header = header
      $0.segmentStart = SegmentStart(begunAt: header.begunAt, latestEventTime: header.latestEventTime)
      $0.entries = entries
      $0.scanned = scanned
    }
  }

  /// Adds blocks that the writer has made durable.
  func append(_ entries: [BlockEntry], scanned: SegmentScanner.ScanPosition) {
    state.withLock {
      $0.entries.append(contentsOf: entries)
      $0.scanned = scanned
    }
  }

  /// One small read the first time; no file stays open. Blocks the calling thread.
  func segmentStart() throws(LogError) -> SegmentStart {
    try state.withLock { state throws(LogError) in
      if let known = state.segmentStart { return known }
      let wasOpen = state.file != nil
      _ = try open(&state)
      if !wasOpen { state.file = nil }
      guard let segmentStart = state.segmentStart else { preconditionFailure("an open segment has no start") }
      return segmentStart
    }
  }

  /// Prefetches what ``segmentStart()`` reads and, on request, the index. A hint, which opens the file and closes it.
  func prefetchHeader(andIndex: Bool = false) {
    let isKnown = state.withLock { $0.segmentStart != nil && (!andIndex || $0.scanned != nil) }
    guard !isKnown, let handle = try? fileSystem.open(path, .readOnly) else { return }
    let file = OpenFile(fileSystem, handle)
    withExtendedLifetime(file) {
      fileSystem.prefetch(handle, ColdReadPlan.header)
      if andIndex { ColdReadPlan().expectReads(fileSystem, handle) }
    }
  }

  /// The open file and the validated header.
  package func open() throws(LogError) -> (OpenFile, SegmentHeader) {
    try state.withLock { state throws(LogError) in try open(&state) }
  }

  /// - Parameter look: What the caller will read next; the disk can prefetch it together with the header.
  private func open(
    _ state: inout sending State, for look: ColdReadPlan? = nil
  ) throws(LogError) -> (OpenFile, SegmentHeader) {
    if let file = state.file, let header = state.header { return (file, header) }
    let file: OpenFile
    do throws(FileSystemError) {
      file = OpenFile(fileSystem, try fileSystem.open(path, .readOnly))
    } catch {
      throw LogError(error, while: "open a segment")
    }
    look?.expectReads(fileSystem, file.handle)
    let header = try SegmentScanner.readHeader(fileSystem, file.handle, path: path)
    guard header.sequence == name.sequence, header.baseOffset == name.baseOffset else {
      throw LogError(
        .damaged, "the file's name and its header disagree (segment \(header.sequence), offset \(header.baseOffset))",
        location: .init(path: path))
    }
    guard logID == nil || header.logID == logID else {
      throw LogError(.damaged, "the segment belongs to another log", location: .init(path: path))
    }
    state.file = file
    state.header = header
    state.segmentStart = SegmentStart(begunAt: header.begunAt, latestEventTime: header.latestEventTime)
    return (file, header)
  }

  /// Forgets the file, its header and the index, all together. The next use opens the file again; it is the sealed file
  /// where the segment has been sealed meanwhile. A read in progress keeps the old file open.
  func release() {
    state.withLock {
      $0.file = nil
      $0.header = nil
      $0.forgetIndex()
    }
  }

  /// Another file has the name now.
  func replaced() {
    state.withLock { $0.settledBytes = nil }
    release()
  }

  /// The file's size; zero when it is gone.
  ///
  /// - Parameter isSettled: From now on only a caller of ``replaced()`` changes the file, so its size is read once.
  func fileBytes(isSettled: Bool) throws(LogError) -> Int {
    // Under the lock, so that the size of a replaced file is not kept for its successor.
    try state.withLock { state throws(LogError) in
      if isSettled, let known = state.settledBytes { return known }
      do throws(FileSystemError) {
        let file = OpenFile(fileSystem, try fileSystem.open(path, .readOnly))
        let bytes = Int(clamping: try fileSystem.size(file.handle))
        if isSettled { state.settledBytes = bytes }
        return bytes
      } catch {
        if error.code == .notFound { return 0 }
        throw LogError(error, while: "read a segment's size")
      }
    }
  }

  /// The blocks in order, as far as they hold records below `end`. Blocks that do not validate are left out, so a hole
  /// between two entries is a gap.
  package func entries(upTo end: Offset) throws(LogError) -> [BlockEntry] {
    try state.withLock { state throws(LogError) in
      try extendIndex(&state, upTo: end)
      return state.entries
    }
  }

  /// The block that holds `offset`, or else the first one after it, as far as there are any that hold records below
  /// `end`.
  ///
  /// - Parameter isFull: `end` is where its records end finally.
  func search(
    _ offset: Offset, upTo end: Offset, isFull: Bool
  ) throws(LogError) -> (found: BlockEntry?, next: BlockEntry?) {
    try state.withLock { state throws(LogError) in
      if isFull, let block = try lookNearby(&state, offset, upTo: end) { return (block, nil) }
      try extendIndex(&state, upTo: end)
      let (found, next) = state.entries.search(offset)
      return (found, next < state.entries.count ? state.entries[next] : nil)
    }
  }

  /// The block that holds `offset`, found without the index, where its block is as large as the others. Only for the
  /// first read of the file, at a record in its middle. A second read justifies building the index.
  private func lookNearby(
    _ state: inout sending State, _ offset: Offset, upTo end: Offset
  ) throws(LogError) -> BlockEntry? {
    guard state.file == nil, state.scanned == nil, offset > name.baseOffset else { return nil }
    let look = ColdReadPlan(at: offset, in: name.baseOffset, end)
    let (file, header) = try open(&state, for: look)
    // The way by the index meets the same error again, and reports it.
    guard let size = try? fileSystem.size(file.handle), let nearby = look.neighbourhood(fileBytes: size),
      let block = try? SegmentScanner(fileSystem, file.handle, header).block(
        holding: offset, in: nearby, of: name.baseOffset..<end)
    else { return nil }
    return BlockEntry(block)
  }

  /// Its blocks as its own index lists them, without a walk; nil where it has no readable index. Throws `.damaged`, and
  /// `.io` where its header cannot be read. Blocks the calling thread.
  func index() throws(LogError) -> [BlockEntry]? {
    let (file, header) = try open()
    return readIndex(file, header)?.blocks
  }

  /// An unreadable index counts as none: the blocks give the same answer.
  private func readIndex(_ file: OpenFile, _ header: SegmentHeader) -> SegmentFooter.Index? {
    try? SegmentFooter.read(fileSystem, file.handle, header)
  }

  private func extendIndex(_ state: inout sending State, upTo end: Offset) throws(LogError) {
    // Pages that were unreadable then may be readable now.
    if state.hasUnreadablePages { state.forgetIndex() }
    if let scanned = state.scanned, scanned.offset >= end { return }
    let (file, header) = try open(&state, for: state.scanned == nil ? ColdReadPlan() : nil)
    // An unreadable page hides its block, not the blocks after it.
    let readable = SkippingFileSystem(fileSystem)
    let scanner = SegmentScanner(readable, file.handle, header)
    var cursor = state.scanned ?? SegmentScanner.ScanPosition(startOf: header)
    var entries = state.entries
    do throws(FileSystemError) {
      if state.scanned == nil, !state.distrustsFooter, let index = readIndex(file, header) {
        state.isFromFooter = true
        entries = index.blocks
        cursor.position = index.position
        cursor.offset = entries.last?.endOffset ?? header.baseOffset
        cursor.chain = nil
      }
      var ahead = HeaderPrefetch()
      var finder = BlockFinder(scanner)
      while cursor.offset < end {
        if let range = ahead.next(at: cursor.position) { fileSystem.prefetch(file.handle, range) }
        if case .block(let block, let next) = try scanner.look(at: cursor, proving: false) {
          entries.append(BlockEntry(block))
          cursor = next
        } else if let later = try finder.next(from: cursor.position + scanner.stride, offset: cursor.offset) {
          cursor.position = later.position
          cursor.offset = later.baseOffset
          cursor.chain = nil
        } else {
          break
        }
      }
    } catch {
      throw LogError(error, while: "read block headers")
    }
    state.entries = entries
    state.scanned = cursor
    state.hasUnreadablePages = state.hasUnreadablePages || readable.hasSkipped
  }

  /// Why there is a hole between two blocks, as far as the index knows.
  var reasonOfHole: Gap.Reason { state.withLock { $0.hasUnreadablePages ? .unreadable : .damaged } }

  /// A block is not where the footer says, or not whole. From now on the index is made from the blocks themselves.
  private func distrustFooter() {
    state.withLock {
      guard $0.isFromFooter else { return }
      $0.distrustsFooter = true
      $0.forgetIndex()
    }
  }

  /// Whether nothing but zeros and the index follow the last block, or sealing has noted so. O(bytes after it). Blocks
  /// the calling thread.
  func isWhole() throws(LogError) -> Bool {
    let entries = try entries(upTo: Offset(.max))
    let (file, header) = try open()
    if let seal = header.seal { return entries.last?.endOffset == seal.endOffset }
    do throws(FileSystemError) {
      return try SegmentScanner(fileSystem, file.handle, header).hasOnlyIndex(after: entries)
    } catch {
      throw LogError(error, while: "read the end of a segment")
    }
  }

  /// Reads, validates and decompresses a block. Blocks the calling thread.
  func decode(_ entry: BlockEntry, with reader: BlockReader) throws(LogError) -> DecodedBlock {
    try prove(entry, with: reader) { (block, bytes, seed) throws(BlockFlaw) in
      try BlockDecoder.decode(block, bytes, seed: seed, with: reader)
    }
  }

  /// Reads and validates a block, and does not decompress it; nil where it must be decoded. Blocks the calling thread.
  func unopened(
    _ entry: BlockEntry, with reader: BlockReader, unpackedBy readers: BlockReaders
  ) throws(LogError) -> PackedBlock? {
    try prove(entry, with: reader) { (block, bytes, seed) throws(BlockFlaw) in
      try BlockDecoder.unopened(block, bytes, seed: seed, unpackedBy: readers)
    }
  }

  /// Reads a block's bytes; returns how many there are. Throws a gap for a block that the disk cannot read. ``LogView``
  /// accepts that gap only after a second read fails as well.
  private func read(
    _ entry: BlockEntry, of file: OpenFile, into buffer: UnsafeMutableRawBufferPointer
  ) throws(LogError) -> Int {
    do throws(FileSystemError) { return try fileSystem.readAll(file.handle, into: buffer, at: entry.position) } catch {
      guard error.code == .inputOutput else { throw LogError(error, while: "read a block") }
      throw LogError(Gap(first: entry.baseOffset, end: entry.endOffset, reason: .unreadable, path: path))
    }
  }

  /// Reads a block, checks that it is the one in the index, and passes it to `body`. Throws a gap when the block or
  /// `body` rejects the bytes.
  private func prove<Result>(
    _ entry: BlockEntry, with reader: BlockReader,
    _ body: (BlockHeader, UnsafeRawBufferPointer, _ seed: UInt32) throws(BlockFlaw) -> Result
  ) throws(LogError) -> Result {
    let (file, header) = try open()
    let seed = header.seed
    let result = try reader.withBuffer(entry.length) { (buffer) throws(LogError) -> Result? in
      guard try read(entry, of: file, into: buffer) == entry.length else { return nil }
      let bytes = UnsafeRawBufferPointer(buffer)
      guard let found = try? BlockHeader(decoding: bytes, seed: seed),
        BlockEntry(found).isSame(as: entry)
      else { return nil }
      return try? body(found, bytes, seed)
    }
    guard let result else {
      distrustFooter()
      throw LogError(Gap(first: entry.baseOffset, end: entry.endOffset, reason: .damaged, path: path))
    }
    return result
  }
}
