/// A cursor as its slot holds it.
///
/// Little endian: u16 version 2 · 16 bytes log UUID · name · u64 committed · u32 epoch · u8 has receipt, receipt · u8 number of
/// open intents, each: u8 delivered · id · u64 first · u64 end · 32 bytes digest · plan · i64 created at · u8 has lost records, u64 first, u64 end (version 1 ends before this).
/// Name, receipt, id and plan are a u16 length and bytes.
package struct CursorRecord: Hashable, Sendable {
  private static let version: UInt16 = 2

  package let logID: [UInt8]
  package let name: String
  package var state: CursorState

  package init(logID: [UInt8], name: String, state: CursorState) {
    self.logID = logID
    self.name = name
    self.state = state
  }

  package func encoded() -> [UInt8] {
    var bytes: [UInt8] = []
    func put(_ field: some Collection<UInt8>) {
      bytes.append(littleEndian: UInt16(field.count))
      bytes.append(contentsOf: field)
    }
    bytes.append(littleEndian: Self.version)
    bytes.append(contentsOf: logID)
    put(name.utf8)
    bytes.append(littleEndian: state.committed.rawValue)
    bytes.append(littleEndian: state.epoch)
    bytes.append(state.lastReceipt == nil ? 0 : 1)
    if let receipt = state.lastReceipt { put(receipt.utf8) }
    bytes.append(UInt8(state.inFlight.count))
    for open in state.inFlight {
      bytes.append(open.isDelivered ? 1 : 0)
      put(open.intent.id.rawValue.utf8)
      bytes.append(littleEndian: open.intent.first.rawValue)
      bytes.append(littleEndian: open.intent.end.rawValue)
      bytes.append(contentsOf: open.intent.contentDigest)
      put(open.intent.plan)
      bytes.append(littleEndian: open.intent.createdAt.nanoseconds)
    }
    bytes.append(state.lost == nil ? 0 : 1)
    if let lost = state.lost {
      bytes.append(littleEndian: lost.lowerBound.rawValue)
      bytes.append(littleEndian: lost.upperBound.rawValue)
    }
    return bytes
  }

  package init(decoding bytes: [UInt8]) throws(LogError) {
    var reader = ByteReader(bytes, of: "the cursor")
    func field() throws(LogError) -> [UInt8] { try reader.take(Int(try reader.take(UInt16.self))) }
    func text() throws(LogError) -> String { String(decoding: try field(), as: UTF8.self) }
    let version = try reader.take(UInt16.self)
    guard (1...Self.version).contains(version) else {
      throw LogError(.futureFormat, "the cursor has version \(version), this penstock knows \(Self.version)")
    }
    logID = try reader.take(16)
    name = try text()
    let committed = Offset(try reader.take(UInt64.self))
    let epoch = try reader.take(UInt32.self)
    let receipt = try reader.take(UInt8.self) == 1 ? try text() : nil
    var inFlight: [CursorState.OpenIntent] = []
    for _ in 0..<(try reader.take(UInt8.self)) {
      let isDelivered = try reader.take(UInt8.self) == 1
      let intent = Intent(
        id: DeliveryID(try text()), first: Offset(try reader.take(UInt64.self)),
        end: Offset(try reader.take(UInt64.self)), contentDigest: try reader.take(32), plan: try field(),
        createdAt: Timestamp(nanoseconds: try reader.take(Int64.self)))
      inFlight.append(CursorState.OpenIntent(intent: intent, isDelivered: isDelivered))
    }
    var lost: Range<Offset>?
    if version > 1, try reader.take(UInt8.self) == 1 {
      let (first, end) = (try reader.take(UInt64.self), try reader.take(UInt64.self))
      guard first <= end else { throw LogError(.damaged, "the cursor \(name) contradicts itself: lost records") }
      lost = Offset(first)..<Offset(end)
    }
    state = CursorState(
      restoring: committed, epoch: epoch, inFlight: inFlight, lastReceipt: receipt, lost: lost)
    // The checksum held, so this is our own mistake or a forgery; either way it must not be acted on.
    if let violation = state.violations(durableEnd: Offset(.max)).first {
      throw LogError(.damaged, "the cursor \(name) contradicts itself: \(violation)")
    }
  }
}
