@testable import PenstockLog
import PenstockTestKit

/// A disk with the directories of a log, and nothing in them.
func logDirectory() throws(LogError) -> SimulatedFileSystem {
  let disk = SimulatedFileSystem()
  try LogDirectory.create(disk, TestLog.paths)
  return disk
}

/// An intent whose digest and plan tell its end.
func intent(
  _ first: UInt64, _ end: UInt64, id: String? = nil, digest: Int = 32, plan: Int = 0, singleEvents: Int? = nil
) -> Intent {
  Intent(
    id: DeliveryID(id ?? "\(first)-\(end)"), first: Offset(first), end: Offset(end),
    contentDigest: [UInt8](repeating: UInt8(truncatingIfNeeded: end), count: digest),
    plan: [UInt8](repeating: 9, count: plan), createdAt: Timestamp(nanoseconds: -1),
    singleEvents: singleEvents)
}

extension SimulatedFileSystem {
  /// Flips a bit of the value in both slots of a cursor's place; with `withName`, also one of the name.
  func damageCursor(_ name: String, withName: Bool = false) throws {
    let path = TestLog.paths.slots(.small)
    let bytes = contents(path) ?? []
    let marker = [UInt8(name.utf8.count)] + Array(name.utf8) + [0]
    let slots = stride(from: 0, to: bytes.count, by: SlotImage.bytes(.small)).filter {
      bytes[($0 + 32)...].starts(with: marker)
    }
    guard slots.count == 2 else { throw FileSystemError(.notFound, verb: .read, path: "the slots of \(name)") }
    for slot in slots {
      flipBit(path, at: slot + SlotImage.headSize, bit: 3)
      if withName { flipBit(path, at: slot + 33, bit: 0) }
    }
  }
}

/// A manifest of a replay of everything.
func replay(_ id: String, end: Offset = Offset(3)) -> ReplayManifest {
  ReplayManifest(
    id: id, from: .beginning, to: .end, first: .zero, end: end, destination: "d", createdAt: Timestamp(nanoseconds: 5))
}

extension SlotName: ExpressibleByStringLiteral {
  /// A cursor of that name.
  public init(stringLiteral text: String) { self.init(.cursor, text) }
}
