import Foundation
import PenstockLog
import PenstockSupport
import PenstockToolSupport

// The names and values of the format's fields, for text and JSON.
extension InspectCommand {
  static func fields(_ header: SegmentHeader) -> [(String, JSON)] {
    plainFields(header) + sealFields(header.seal)
  }

  private static func sealFields(_ seal: SegmentSeal?) -> [(String, JSON)] {
    guard let seal else { return [("sealed", .bool(false))] }
    return [
      ("sealed", .bool(true)), ("originalBytes", .number(seal.originalBytes)),
      ("originalStoredBytes", .number(seal.originalStoredBytes)), ("originalBlocks", .number(seal.originalBlocks)),
      ("originalChain", .string(hex(seal.chain))), ("endOffset", .number(seal.endOffset.rawValue)),
      ("footerPosition", .number(seal.footerPosition)), ("fileLength", .number(seal.fileLength)),
      ("lastAppendTime", .string(HumanFormat.time(seal.lastAppendTime))),
    ]
  }

  private static func plainFields(_ header: SegmentHeader) -> [(String, JSON)] {
    [
      ("sequence", .number(header.sequence)), ("baseOffset", .number(header.baseOffset.rawValue)),
      ("epoch", .number(header.epoch)), ("log", .string(LogMeta.hex(header.logID))),
      ("salt", .string(LogMeta.hex(header.salt))), ("previousChain", .string(hex(header.previousChain))),
      ("begunAt", .string(HumanFormat.time(header.begunAt))), ("version", .number(SegmentHeader.version)),
      ("incompatibleFeatures", .string(hex(header.incompatibleFeatures))),
      ("readOnlyFeatures", .string(hex(header.readOnlyFeatures))),
      ("compatibleFeatures", .string(hex(header.compatibleFeatures))),
    ]
  }

  static func fields(_ block: BlockHeader) -> [(String, JSON)] {
    [
      ("position", .number(block.position)), ("length", .number(block.totalLength)),
      ("baseOffset", .number(block.baseOffset.rawValue)), ("records", .number(block.recordCount)),
      ("rawLength", .number(block.rawLength)), ("storedLength", .number(block.storedLength)),
      ("trailerLength", .number(block.trailerLength)), ("paddingLength", .number(block.paddingLength)),
      ("flags", .number(block.flags)), ("segment", .number(block.segment)), ("epoch", .number(block.epoch)),
      ("durableUpTo", .number(block.durableUpTo)), ("appendTime", .string(HumanFormat.time(block.appendTime))),
      ("earliestEvent", time(block.eventTimes?.lowerBound)), ("latestEvent", time(block.eventTimes?.upperBound)),
      ("chain", .string(hex(block.chain))), ("payloadChecksum", .string(hex(block.payloadChecksum))),
      ("trailerChecksum", .string(hex(block.trailerChecksum))),
    ]
  }

  static func json(_ finding: SegmentReport) -> JSON {
    var members: [(String, JSON)] = [
      ("path", .string(finding.path)), ("fileBytes", .number(finding.fileBytes)),
      ("usedBytes", .number(finding.usedBytes)), ("blocks", .number(finding.blocks)),
      ("records", .number(finding.records)), ("end", .number(finding.end.rawValue)),
      ("problems", .array(finding.problems.map { .string($0.description) })),
    ]
    if let header = finding.header { members += fields(header) }
    return .object(members + sizes(finding))
  }

  /// The size of the records: uncompressed, as written, and as sealed.
  static func sizes(_ finding: SegmentReport) -> [(String, JSON)] {
    let raw = finding.rawBytes
    let before = finding.bytesBeforeSealing ?? finding.usedBytes
    var members: [(String, JSON)] = [("rawBytes", .number(raw)), ("ratioWritten", ratio(before, of: raw))]
    if finding.bytesBeforeSealing != nil { members.append(("ratioSealed", ratio(finding.fileBytes, of: raw))) }
    return members
  }

  /// Bytes on disk for each byte of records.
  private static func ratio(_ bytes: UInt64, of raw: Int) -> JSON {
    raw == 0 ? .null : .number(Double(bytes) / Double(raw))
  }

  private static func time(_ nanoseconds: Int64?) -> JSON {
    nanoseconds.map { .string(HumanFormat.time(Timestamp(nanoseconds: $0))) } ?? .null
  }

  static func hex(_ value: some FixedWidthInteger & UnsignedInteger) -> String {
    let digits = String(value, radix: 16)
    return "0x" + String(repeating: "0", count: value.bitWidth / 4 - digits.count) + digits
  }

  static func hex(_ bytes: [UInt8]) -> String { bytes.map { String(format: "%02x", $0) }.joined() }

  /// A hex dump: sixteen bytes per line, with file position and ASCII text.
  static func dump(_ bytes: [UInt8], from position: UInt64) -> String {
    stride(from: 0, to: bytes.count, by: 16).map { start in
      let row = bytes[start..<min(start + 16, bytes.count)]
      let digits = row.map { String(format: "%02x", $0) }.joined(separator: " ")
      let text = row.map { (0x20...0x7E).contains($0) ? String(Unicode.Scalar($0)) : "." }.joined()
      let gap = String(repeating: " ", count: 47 - digits.count)
      return String(format: "%08llx  ", position + UInt64(start)) + digits + gap + "  " + text
    }.joined(separator: "\n")
  }
}

extension JSON {
  /// For a table: text without its quotes.
  var plain: String {
    switch self {
    case .string(let text): text
    case .null: "–"
    default: text
    }
  }
}
