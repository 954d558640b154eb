/// A part of a range of records, as it can be sent on.
package enum StoredPiece: Sendable {
  /// A whole block, compressed as it is stored.
  case frame(StoredFrame)
  /// Records that are a part of their block: whoever sends them compresses them anew.
  case records(Range<Offset>)

  package var offsets: Range<Offset> {
    switch self {
    case .frame(let frame): frame.offsets
    case .records(let offsets): offsets
    }
  }
}

/// One zstd frame: records, each followed by one line feed.
package struct StoredFrame: Sendable {
  package let offsets: Range<Offset>
  /// The frame, proven by its checksum. Any zstd reader decompresses it.
  package let bytes: [UInt8]
  /// What it decompresses to, in bytes.
  package let rawLength: Int
  /// Whether some record contains a line feed, so that lines are not records: a consumer of lines renders these anew.
  package let containsLineFeed: Bool
}

extension LogView {
  /// The records of `range` as pieces in order: every block that lies in it whole as the zstd frame it is stored as, what is
  /// cut from a block as a range. Frames, and each range compressed with a line feed behind every record, decompress to
  /// exactly the records, each with a line feed.
  ///
  /// Nothing is decompressed. Holds the frames in memory: choose the range accordingly. Throws `.outOfRange`, and a gap.
  package func storedFrames(in range: Range<Offset>) throws(LogError) -> [StoredPiece] {
    guard !range.isEmpty, range.upperBound <= end else {
      throw LogError(
        .outOfRange, "records \(range.lowerBound) ..< \(range.upperBound) are not in the log, which ends at \(end)",
        place: .init(offset: range.lowerBound))
    }
    var pieces: [StoredPiece] = []
    var offset = range.lowerBound
    while offset < range.upperBound {
      let from = offset
      let found = try withBlock(holding: from) { (segment, entry) throws(LogError) -> StoredPiece in
        guard entry.baseOffset == from, entry.endOffset <= range.upperBound else {
          return .records(from..<min(entry.endOffset, range.upperBound))
        }
        let (header, frame) = try segment.storedFrame(entry)
        return .frame(
          StoredFrame(
            offsets: entry.baseOffset..<entry.endOffset, bytes: frame, rawLength: header.rawLength,
            containsLineFeed: header.flags & BlockFormat.lengthsFlag != 0))
      }
      guard let piece = found else {
        throw LogError(.outOfRange, "the log ended while it was read", place: .init(offset: from))
      }
      offset = piece.offsets.upperBound
      if case .records(let offsets) = piece, case .records(let before)? = pieces.last {
        pieces[pieces.count - 1] = .records(before.lowerBound..<offsets.upperBound)
      } else {
        pieces.append(piece)
      }
    }
    return pieces
  }
}
