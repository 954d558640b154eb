/// Seals one segment: reads the original, writes the new file, proves both equal, and replaces the original. Blocks the
/// calling thread.
///
/// Order of effects: the new file's bytes are durable → proven by reading them back → it takes the name, atomically →
/// the directory is durable. A crash, or a failure, at any point leaves the original or the proven new file under the
/// name. It leaves at most one other file, which the next opening removes.
package struct SegmentSealer: Sendable {
  package enum Outcome: Hashable, Sendable {
    case sealed(SegmentSeal)
    case wasSealed
    /// Left as it is, and why: damage is evidence, and is not moved.
    case left(String)
    /// Retention dropped it first.
    case dropped
  }
  let fileSystem: any FileSystem
  let paths: LogPaths
  let settings: SealingSettings
  let randomBytes: @Sendable () -> [UInt8]

  package init(
    _ fileSystem: any FileSystem, _ paths: LogPaths, _ settings: SealingSettings,
    randomBytes: @escaping @Sendable () -> [UInt8]
  ) {
    self.fileSystem = fileSystem
    self.paths = paths
    self.settings = settings
    self.randomBytes = randomBytes
  }

  /// Seals a segment of the log that `view` reads; from then on readers open the new file. `pace` receives the number
  /// of bytes read or written; it may sleep, and may throw to stop.
  ///
  /// Throws `.noSpace` and `.io`. Readers then still see the original; when only the directory could not be synced,
  /// they may see it again after a crash.
  package func seal(
    _ job: SealingPlan.Job, in view: LogView, pace: (Int) throws(LogError) -> Void = { _ throws(LogError) in }
  ) throws(LogError) -> Outcome {
    do throws(LogError) {
      return try sealNow(job, in: view, pace)
    } catch {
      // Its file, or the next segment's, may be gone.
      guard view.contains(job.segment) || error.code == .cancelled else { return .dropped }
      throw error
    }
  }

  private func sealNow(
    _ job: SealingPlan.Job, in view: LogView, _ pace: (Int) throws(LogError) -> Void
  ) throws(LogError) -> Outcome {
    guard view.contains(job.segment) else { return .dropped }
    let path = paths.segment(job.segment)
    let file = try open(path)
    let header = try SegmentScanner.readHeader(fileSystem, file.handle, path: path)
    if header.isSealed { return .wasSealed }
    guard header.isWritable else { return .left("it has features of a later version") }
    let original = SegmentBlocks(file, header, limit: job.end, path: path)
    var sealed = try SealedFile(
      fileSystem, paths.sealing(job.segment), of: header, salt: randomBytes(), level: settings.level)
    var isPublished = false
    defer { if !isPublished { try? fileSystem.remove(sealed.path) } }
    do throws(LogError) {
      let seal = try write(original, into: &sealed, before: job.next, pace)
      let finished = try sealed.finish(seal)
      try prove(sealed.path, original, pace)
      try publish(sealed.path, of: job.segment, in: view, &isPublished)
      guard isPublished else { return .dropped }
      return finished.seal.map { .sealed($0) } ?? .left("it has no seal")
    } catch {
      guard error.code == .damaged else { throw error }
      return .left(error.description)
    }
  }

  private func open(_ path: String) throws(LogError) -> OpenFile {
    do throws(FileSystemError) {
      return OpenFile(fileSystem, try fileSystem.open(path, .readOnly))
    } catch {
      throw LogError(error, while: "open a segment")
    }
  }

  /// Writes all blocks, joined; returns the facts about the original. Throws `.damaged` unless the original is whole to
  /// its last byte and the next segment confirms its end.
  private func write(
    _ original: SegmentBlocks, into sealed: inout SealedFile, before next: SegmentName,
    _ pace: (Int) throws(LogError) -> Void
  ) throws(LogError) -> SegmentSeal {
    var original = original
    var seal = SegmentSeal()
    var group: SealGroup?
    var blocks: [BlockEntry] = []
    while let block = try original.next() {
      try pace(block.header.totalLength)
      seal.originalStoredBytes += UInt64(block.header.storedLength)
      seal.originalBlocks += 1
      blocks.append(BlockEntry(block.header))
      seal.lastAppendTime = block.block.appendTimes.time(of: block.block.count - 1)
      if group?.take(block) == true { continue }
      if let full = group { try sealed.write(full) }
      group = SealGroup(block, limit: settings.blockBytes)
    }
    if let last = group { try sealed.write(last) }
    seal.originalBytes = original.cursor.position
    seal.chain = try confirmedChain(original, blocks, next)
    return seal
  }

  private func confirmedChain(
    _ original: SegmentBlocks, _ blocks: [BlockEntry], _ next: SegmentName
  ) throws(LogError) -> UInt64 {
    let path = paths.segment(next)
    let file = try open(path)
    let following = try withExtendedLifetime(file) { () throws(LogError) in
      try SegmentScanner.readHeader(fileSystem, file.handle, path: path)
    }
    let isComplete: Bool
    do throws(FileSystemError) {
      isComplete = try original.scanner.hasOnlyIndex(after: blocks)
    } catch {
      throw LogError(error, while: "read the end of a segment")
    }
    guard original.cursor.offset == original.limit, let chain = original.cursor.chain,
      following.previousChain == chain, following.baseOffset == original.limit, isComplete
    else {
      throw LogError(
        .damaged, "the next segment does not continue this one",
        location: .init(path: path, position: original.cursor.position, offset: original.cursor.offset))
    }
    return chain
  }

  private func prove(
    _ path: String, _ original: SegmentBlocks, _ pace: (Int) throws(LogError) -> Void
  ) throws(LogError) {
    var original = original
    let sealed = try open(path)
    do throws(FileSystemError) {
      // The proof reads what the disk holds, not what memory was asked to write.
      _ = try fileSystem.synchronizeThenDropCache(sealed.handle)
    } catch {
      throw LogError(error, while: "sync a sealed segment and read it back")
    }
    try SealProof.prove(sealed, path: path, equals: &original, pace)
  }

  /// Gives the proven file the segment's name, durably. Does nothing when the log no longer has the segment.
  private func publish(
    _ sealed: String, of segment: SegmentName, in view: LogView, _ isPublished: inout Bool
  ) throws(LogError) {
    do throws(FileSystemError) {
      isPublished = try view.replaceFile(of: segment) { () throws(FileSystemError) in
        try fileSystem.replace(paths.segment(segment), with: sealed)
      }
      guard isPublished else { return }
      try fileSystem.synchronizeDirectory(paths.data)
    } catch {
      throw LogError(error, while: "publish a sealed segment")
    }
  }

  /// Removes the files of interrupted sealings. It need not be durable: such a file is harmless.
  static func removeLeftovers(_ fileSystem: any FileSystem, _ paths: LogPaths) throws(FileSystemError) {
    for name in try fileSystem.list(paths.data).sorted() where LogPaths.isSealing(name) {
      try fileSystem.removeIfPresent(paths.data + "/" + name)
    }
  }
}
