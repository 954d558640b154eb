import Hummingbird
import NIOCore
import PenstockLog

/// The channel and the id of one request.
struct ServiceContext: InitializableFromSource {
  let channel: any Channel
  /// Whether the request came on an HTTP/2 stream.
  let isStream: Bool
  /// The value of `X-Request-Id`: 64 random bits in hexadecimal.
  let id: String

  /// How long a client may take to read a piece of an answer.
  static let writeTime = TimeAmount.seconds(60)

  init(source: ApplicationRequestContextSource) {
    channel = source.channel
    // The parent of a connection is the listener; the parent of a stream is its connection.
    isStream = source.channel.parent?.parent != nil
    let word = Randomness.system.word()
    let digits = String(word, radix: 16)
    id = String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// Writes a piece of a long answer. A client that does not read it in time is disconnected; otherwise it would keep
  /// its connection and the memory of the piece.
  func write(
    _ buffer: ByteBuffer, to writer: inout any ResponseBodyWriter, within limit: TimeAmount = writeTime
  ) async throws {
    let cutOff = channel.eventLoop.scheduleTask(in: limit) { [channel] in channel.close(mode: .all, promise: nil) }
    defer { cutOff.cancel() }
    try await writer.write(buffer)
  }
}
