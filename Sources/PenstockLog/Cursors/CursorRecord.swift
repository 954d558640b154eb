/// A cursor in the form that its slot stores.
///
/// Little endian: u16 version · 16 bytes log UUID · name · u64 committed · u32 epoch · u8 has receipt, receipt ·
/// u8 number of open intents, each: u8 delivered · id · u64 first · u64 end · 32 bytes digest · plan · i64 created at ·
/// u8 has lost records, u64 first, u64 end (version 1 ends before this) · version 3: for each open intent
/// u8 has a rejection reason, the reason; u8 number of reserved ranges, each: u64 first · u64 end;
/// u32 consecutive dead letters · version 4: for each open intent u16 events that are sent one by one, or 0; if above
/// 0: a bit for each settled event in whole bytes · u8 has a condemned event, u16 its number, the reason.
/// Name, receipt, id, plan and reason are a u16 length and bytes.
package struct CursorRecord: Hashable, Sendable {
  /// The newest version that is read. The log writes the oldest version that can hold the state. An earlier penstock
  /// can use a cursor without reserved ranges, dead letters and events that are sent one by one. It refuses any other
  /// cursor, instead of misreading it.
  private static let version: UInt16 = 4

  let logID: [UInt8]
  let name: String
  package var state: CursorState

  init(logID: [UInt8], name: String, state: CursorState) {
    self.logID = logID
    self.name = name
    self.state = state
  }

  func encoded() -> [UInt8] {
    var bytes: [UInt8] = []
    func put(_ field: some Collection<UInt8>) {
      bytes.append(littleEndian: UInt16(field.count))
      bytes.append(contentsOf: field)
    }
    let version = neededVersion
    bytes.append(littleEndian: version)
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
    guard version > 2 else { return bytes }
    for open in state.inFlight {
      bytes.append(open.rejectionReason == nil ? 0 : 1)
      if let reason = open.rejectionReason { put(reason.utf8) }
    }
    bytes.append(UInt8(state.reserved.count))
    for range in state.reserved {
      bytes.append(littleEndian: range.lowerBound.rawValue)
      bytes.append(littleEndian: range.upperBound.rawValue)
    }
    bytes.append(littleEndian: state.consecutiveDeadLetters)
    guard version > 3 else { return bytes }
    for open in state.inFlight {
      bytes.append(littleEndian: UInt16(open.events?.count ?? 0))
      guard let events = open.events else { continue }
      bytes.append(contentsOf: events.bits)
      bytes.append(events.condemned == nil ? 0 : 1)
      guard let condemned = events.condemned else { continue }
      bytes.append(littleEndian: UInt16(condemned.event))
      put(condemned.reason.utf8)
    }
    return bytes
  }

  private var neededVersion: UInt16 {
    if state.inFlight.contains(where: { $0.events != nil }) { return 4 }
    let needs3 =
      !state.reserved.isEmpty || state.consecutiveDeadLetters > 0
      || state.inFlight.contains { $0.rejectionReason != nil }
    return needs3 ? 3 : 2
  }

  init(decoding bytes: [UInt8]) throws(LogError) {
    var reader = ByteReader(bytes, of: "the cursor")
    func field() throws(LogError) -> [UInt8] { try reader.take(Int(try reader.take(UInt16.self))) }
    func text() throws(LogError) -> String { String(decoding: try field(), as: UTF8.self) }
    let version = try reader.take(UInt16.self)
    guard (1...Self.version).contains(version) else {
      throw LogError(
        .futureFormat, "the cursor has version \(version), this penstock knows \(Self.version); use a newer one")
    }
    logID = try reader.take(16)
    name = try text()
    let committed = Offset(try reader.take(UInt64.self))
    let epoch = try reader.take(UInt32.self)
    let receipt = try reader.take(UInt8.self) == 1 ? try text() : nil
    let cursor = name
    func range(_ what: String) throws(LogError) -> Range<Offset> {
      let (first, end) = (try reader.take(UInt64.self), try reader.take(UInt64.self))
      guard first <= end else { throw LogError(.damaged, "the cursor \(cursor) contradicts itself: \(what) records") }
      return Offset(first)..<Offset(end)
    }
    var inFlight: [CursorState.OpenIntent] = []
    for _ in 0..<(try reader.take(UInt8.self)) {
      let isDelivered = try reader.take(UInt8.self) == 1
      let id = DeliveryID(try text())
      let records = try range("a batch's")
      let intent = Intent(
        id: id, first: records.lowerBound, end: records.upperBound, contentDigest: try reader.take(32),
        plan: try field(), createdAt: Timestamp(nanoseconds: try reader.take(Int64.self)))
      inFlight.append(CursorState.OpenIntent(intent: intent, isDelivered: isDelivered))
    }
    var lost: Range<Offset>?
    if version > 1, try reader.take(UInt8.self) == 1 { lost = try range("lost") }
    var reserved: [Range<Offset>] = []
    var consecutiveDeadLetters: UInt32 = 0
    if version > 2 {
      for index in inFlight.indices where try reader.take(UInt8.self) == 1 {
        inFlight[index].rejectionReason = try text()
      }
      for _ in 0..<(try reader.take(UInt8.self)) { reserved.append(try range("reserved")) }
      consecutiveDeadLetters = try reader.take(UInt32.self)
    }
    if version > 3 {
      for index in inFlight.indices {
        let count = Int(try reader.take(UInt16.self))
        guard count > 0 else { continue }
        let bits = try reader.take((count + 7) / 8)
        var condemned: SettledEvents.Condemned?
        if try reader.take(UInt8.self) == 1 {
          condemned = SettledEvents.Condemned(event: Int(try reader.take(UInt16.self)), reason: try text())
        }
        inFlight[index] = inFlight[index].with(SettledEvents(restoring: count, bits: bits, condemned: condemned))
      }
    }
    state = CursorState(
      restoring: committed, epoch: epoch, inFlight: inFlight, lastReceipt: receipt, lost: lost, reserved: reserved,
      consecutiveDeadLetters: consecutiveDeadLetters)
    // The checksum is valid, so this is an error of penstock or a forgery. Neither may have effects.
    if let violation = state.violations(durableEnd: Offset(.max)).first {
      throw LogError(.damaged, "the cursor \(name) contradicts itself: \(violation)")
    }
  }
}
