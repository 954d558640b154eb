/// The sections of a block's trailer, parsed and joined.
///
/// A section of any kind refers to records by their index in the block. When blocks are joined, each kind needs a rule
/// for its sections: ``joins`` is the list, and every new kind adds one. A block with a kind that this version cannot
/// join stays a block of its own, its sections copied unchanged. So no unknown section is dropped.
struct TrailerSections: Hashable, Sendable {
  struct Section: Hashable, Sendable {
    var kind: UInt16
    var bytes: [UInt8]

    init(kind: UInt16, bytes: [UInt8]) {
      self.kind = kind
      self.bytes = bytes
    }
  }

  /// One block's section, as it goes into a joined one.
  struct Part: Hashable, Sendable {
    var bytes: [UInt8]
    /// The new index of the block's first record: add it to every record index.
    var firstRecord: Int
    var recordCount: Int
  }
  /// The joined section; nil when the parts cannot be joined.
  typealias Join = @Sendable ([Part]) -> [UInt8]?

  /// The join rules by kind. Record lengths, append times and the payload's checksum have none: the code that joins the
  /// records writes them again.
  static let joins: [UInt16: Join] = [ProducerTrailer.section: ProducerTrailer.joined]
  private static let rewritten: Set<UInt16> = [
    BlockFormat.lengthsSection, BlockFormat.appendTimesSection, BlockFormat.contentChecksumSection,
  ]

  private(set) var sections: [Section] = []

  init() {}

  /// Parses a validated trailer. Throws when its lengths do not add up.
  init(parsing trailer: UnsafeRawBufferPointer) throws(BlockFlaw) {
    var position = 0
    while position < trailer.count {
      guard position + 8 <= trailer.count else { throw BlockFlaw("a trailer section is cut short") }
      let end = position + 8 + Int(trailer.get(UInt32.self, at: position + 4))
      guard end <= trailer.count else { throw BlockFlaw("a trailer section passes the trailer's end") }
      append(kind: trailer.get(UInt16.self, at: position), Array(trailer[(position + 8)..<end]))
      position = end
    }
  }

  /// The bytes of the first section of a kind.
  subscript(kind: UInt16) -> [UInt8]? { sections.first { $0.kind == kind }?.bytes }

  mutating func append(kind: UInt16, _ bytes: [UInt8]) { sections.append(Section(kind: kind, bytes: bytes)) }

  func encoded() -> [UInt8] {
    var bytes: [UInt8] = []
    for section in sections {
      bytes.append(littleEndian: section.kind)
      bytes.append(littleEndian: UInt16(0))
      bytes.append(littleEndian: UInt32(section.bytes.count))
      bytes.append(contentsOf: section.bytes)
    }
    return bytes
  }

  /// All sections except those that the code that joins records writes again.
  var carried: TrailerSections {
    var carried = TrailerSections()
    carried.sections = sections.filter { !Self.rewritten.contains($0.kind) }
    return carried
  }

  /// Whether a block of so many records with these sections can be part of a joined one.
  func canBeJoined(recordCount: Int, joins: [UInt16: Join] = joins) -> Bool {
    carried.sections.allSatisfy { section in
      joins[section.kind]?([Part(bytes: section.bytes, firstRecord: 0, recordCount: recordCount)]) != nil
    }
  }

  /// The joined carried sections of several blocks, in order of kind; nil when they cannot be joined. A single block's
  /// sections stay as they are.
  static func joined(
    _ blocks: [(sections: TrailerSections, recordCount: Int)], joins: [UInt16: Join] = joins
  ) -> TrailerSections? {
    if blocks.count == 1 { return blocks[0].sections.carried }
    var parts: [UInt16: [Part]] = [:]
    var first = 0
    for block in blocks {
      for section in block.sections.carried.sections {
        parts[section.kind, default: []].append(
          Part(bytes: section.bytes, firstRecord: first, recordCount: block.recordCount))
      }
      first += block.recordCount
    }
    var result = TrailerSections()
    for (kind, parts) in parts.sorted(by: { $0.key < $1.key }) {
      guard let bytes = joins[kind]?(parts) else { return nil }
      result.append(kind: kind, bytes)
    }
    return result
  }
}
