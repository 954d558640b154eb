import FuzzKit
@testable import PenstockServer

extension FuzzTarget {
  static let receiver: [FuzzTarget] = [FuzzTarget(name: "receiver", body: receiverBody)]

  /// The receiver stores what was sent: as many rows as elements, and not more bytes than the body and its ends.
  @Sendable private static func receiverBody(_ input: UnsafeRawBufferPointer) {
    let body = Array(input)
    _ = ReceiverBody.parameter("key", in: String(decoding: body, as: UTF8.self))
    guard let rows = try? ReceiverBody.rows(of: body) else { return }
    require(rows.bytes.count <= body.count + rows.count + 1, "more rows than body")
    require(rows.bytes.isEmpty == (rows.count == 0), "rows without events")
    guard rows.count == 1 else { return }
    require(
      (try? ReceiverBody.rows(of: [UInt8(ascii: "[")] + rows.bytes + [UInt8(ascii: "]")]))?.bytes == rows.bytes,
      "another row")
  }
}
