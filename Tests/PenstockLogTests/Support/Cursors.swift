@testable import PenstockLog
import PenstockTestKit

/// A disk with the directories of a log, and nothing in them.
func logDirectory() throws(LogError) -> SimulatedFileSystem {
  let disk = SimulatedFileSystem()
  try LogDirectory.create(disk, TestLog.paths)
  return disk
}

/// An intent whose digest and plan tell its end.
func intent(_ first: UInt64, _ end: UInt64, id: String? = nil, digest: Int = 32, plan: Int = 0) -> Intent {
  Intent(
    id: DeliveryID(id ?? "\(first)-\(end)"), first: Offset(first), end: Offset(end),
    contentDigest: [UInt8](repeating: UInt8(truncatingIfNeeded: end), count: digest),
    plan: [UInt8](repeating: 9, count: plan), createdAt: Timestamp(nanoseconds: -1))
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
