/// Inspects a log's files as they are: takes no lock, writes nothing, repairs nothing. It works while a writer writes,
/// up to the end that was durable when the inspector was made. Every method blocks the calling thread.
///
/// Readers serve what they can and report the rest as a gap. The inspector reports what exactly is wrong, and where.
package struct LogInspector: Sendable {
  package let path: String
  package let meta: LogMeta
  package let commitPoint: CommitPoint?
  /// One past the last durable record, from META and the commit point.
  package let end: Offset
  /// In order; those that were begun at or before `end`.
  package let segments: [SegmentName]
  /// Files in the data directory that do not belong to the log.
  let unknownFiles: [String]
  let environment: LogEnvironment
  let paths: LogPaths

  /// Throws `.notALog`, `.futureFormat`, `.damaged`, `.io`.
  package init(_ path: String, environment: LogEnvironment = .system) throws(LogError) {
    let paths = LogPaths(path)
    // `LogFollower` throws when there is no log.
    _ = try LogFollower(environment, paths)
    meta = try LogMeta(
      decoding: try SlotFile.peek(
        environment.fileSystem, paths.meta, kind: LogMeta.slotKind, slotSize: LogMeta.slotSize))
    commitPoint = try CommitPoint.read(environment.fileSystem, paths, logID: meta.logID)
    // First the end, then the list: when an end is written, its segments exist.
    let end = max(commitPoint?.durable.offset ?? .zero, meta.cleanEnd?.offset ?? .zero)
    let (names, unknown) = try LogDirectory.listSegments(environment.fileSystem, paths)
    // Retention has dropped the segments below the start, but not yet removed them.
    let start = meta.start?.sequence ?? 0
    segments = names.filter { $0.baseOffset <= end && $0.sequence >= start }
    unknownFiles = unknown
    self.end = end
    self.path = path
    self.environment = environment
    self.paths = paths
  }

  package var logID: String { LogMeta.hex(meta.logID) }

  package func path(of segment: SegmentName) -> String { paths.segment(segment) }

  /// Whether the newest segment is exactly as an orderly close left it. Opening the log for writing would then find
  /// nothing to recover.
  package var isClosedCleanly: Bool {
    guard let clean = meta.cleanEnd, let newest = segments.last, newest.sequence == clean.segment,
      clean.offset == end, let size = try? size(of: newest)
    else { return false }
    return size == clean.position
  }

  /// A segment file's length in bytes, including zeros filled ahead. With `beforeItsHeader` it prefetches the header.
  package func size(of segment: SegmentName, beforeItsHeader: Bool = false) throws(LogError) -> UInt64 {
    do throws(FileSystemError) {
      let file = OpenFile(environment.fileSystem, try environment.fileSystem.open(path(of: segment), .readOnly))
      if beforeItsHeader { environment.fileSystem.prefetch(file.handle, 0..<UInt64(SegmentHeader.size)) }
      return try environment.fileSystem.size(file.handle)
    } catch {
      throw LogError(error, while: "read a segment's size")
    }
  }

  /// Where the records of a segment should end: at the next one's beginning, or at the log's end.
  func limit(ofSegmentAt index: Int) -> Offset {
    index + 1 < segments.count ? segments[index + 1].baseOffset : end
  }

  /// Walks all segments in order, each linked to the one before.
  ///
  /// `segmentDone` runs after each segment and returns whether to continue. O(bytes), or O(blocks) with
  /// ``InspectionDepth/headers``.
  package func walk(
    _ depth: InspectionDepth, visit: (SegmentName, BlockHeader, [UInt8]) -> Void = { _, _, _ in },
    segmentDone: (SegmentReport) -> Bool = { _ in true }
  ) -> [SegmentReport] {
    var reports: [SegmentReport] = []
    for index in segments.indices {
      let report = inspect(segmentAt: index, depth, after: reports.last) { visit(segments[index], $0, $1) }
      reports.append(report)
      if !segmentDone(report) { break }
    }
    return reports
  }

  /// The bytes that the blocks of these records take in their files. O(blocks).
  package func storedBytes(of records: Range<Offset>) -> UInt64 {
    var bytes: UInt64 = 0
    for index in segments.indices where limit(ofSegmentAt: index) > records.lowerBound {
      guard segments[index].baseOffset < records.upperBound else { break }
      _ = inspect(segmentAt: index, .headers, after: nil) { block, _ in
        if block.baseOffset < records.upperBound, block.endOffset > records.lowerBound {
          bytes += UInt64(block.totalLength)
        }
      }
    }
    return bytes
  }

  /// The problems of the cursors: each must be readable, consistent, and not past the end.
  package func cursorProblems() throws(LogError) -> [InspectionProblem] {
    var problems: [InspectionProblem] = []
    for (name, state) in try CursorStore.states(environment.fileSystem, paths, of: meta.logID) {
      // Not a file, but what an operator looks for.
      let path = paths.cursors + "/" + name
      do throws(LogError) {
        // The cursor and the log may have advanced since the end was read.
        let end = max(end, try LogInspector(self.path, environment: environment).end)
        problems += try state.get().violations(durableEnd: end).map { InspectionProblem(path: path, message: $0) }
      } catch {
        problems.append(InspectionProblem(path: path, message: error.description))
      }
    }
    return problems
  }
}

/// How much an inspection reads.
package enum InspectionDepth: Int, Comparable, Sendable {
  /// Segment and block headers: enough to find every block, without reading payloads.
  case headers
  /// Also every checksum and every payload, decompressed and split into records.
  case contents
  /// Also every checksum a second time, by the table implementation instead of the processor's instruction.
  case deep

  package static func < (a: InspectionDepth, b: InspectionDepth) -> Bool { a.rawValue < b.rawValue }
}

/// One problem in a log's files.
package struct InspectionProblem: Hashable, Sendable, CustomStringConvertible {
  package var path: String
  /// The byte in that file.
  package var position: UInt64?
  /// The records concerned.
  package var offsets: Range<Offset>?
  package var message: String

  init(path: String, position: UInt64? = nil, offsets: Range<Offset>? = nil, message: String) {
    self.path = path
    self.position = position
    self.offsets = offsets
    self.message = message
  }

  package var description: String {
    var text = path
    if let position { text += ", byte \(position)" }
    if let offsets { text += ", records \(offsets.lowerBound) ..< \(offsets.upperBound)" }
    return text + ": " + message
  }
}
