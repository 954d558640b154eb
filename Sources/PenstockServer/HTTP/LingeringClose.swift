import NIOCore

/// The end of a connection whose client is still sending.
///
/// Closed with bytes unread, it would be reset, and the client would see that instead of its answer (RFC 9112, 9.6). So it is closed one
/// way, and for a moment what comes is thrown away, past everything that would hold it back or look at it.
final class LingeringClose: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  /// For longer nobody is listened to who was told that he is not.
  private static let time = TimeAmount.seconds(2)

  static func close(_ channel: any Channel) {
    channel.close(mode: .output, promise: nil)
    channel.eventLoop.execute {
      do {
        try channel.pipeline.syncOperations.addHandler(LingeringClose(), position: .first)
        channel.eventLoop.scheduleTask(in: time) { channel.close(mode: .all, promise: nil) }
      } catch {
        channel.close(mode: .all, promise: nil)
      }
    }
  }

  // Reading stands still where nobody takes what was read.
  func handlerAdded(context: ChannelHandlerContext) { context.read() }
  func channelRead(context: ChannelHandlerContext, data: NIOAny) {}
  func channelReadComplete(context: ChannelHandlerContext) { context.read() }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard let event = event as? ChannelEvent, event == .inputClosed else {
      context.fireUserInboundEventTriggered(event)
      return
    }
    // Now both sides have said all.
    context.close(promise: nil)
  }
}
