import Hummingbird
import NIOCore
import PenstockLog

/// What goes with one request.
struct ServiceContext: InitializableFromSource {
  let channel: any Channel
  /// Whether it came as one of many over an HTTP/2 connection.
  let isStream: Bool
  /// Unique enough to find it in a log.
  let id: String

  /// How long a client may take for what it was sent.
  static let writeTime = TimeAmount.seconds(60)

  init(source: ApplicationRequestContextSource) {
    channel = source.channel
    // A connection's parent is what listens; a stream's is its connection.
    isStream = source.channel.parent?.parent != nil
    let word = Randomness.system.word()
    let digits = String(word, radix: 16)
    id = String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// Writes a piece of a long answer. A client that does not take it in time is cut off: it would hold its place, and what was
  /// read for it, for as long as it likes.
  func write(
    _ buffer: ByteBuffer, to writer: inout any ResponseBodyWriter, within limit: TimeAmount = writeTime
  ) async throws {
    let cutOff = channel.eventLoop.scheduleTask(in: limit) { [channel] in channel.close(mode: .all, promise: nil) }
    defer { cutOff.cancel() }
    try await writer.write(buffer)
  }
}
