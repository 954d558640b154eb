import NIOCore

/// Closes a connection whose client is still sending.
///
/// A close with unread bytes resets the connection, and the client would see the reset instead of its answer (RFC 9112,
/// 9.6). So the service closes its own direction first. For a moment it discards what arrives, ahead of every other
/// handler.
final class LingeringClose: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  /// The longest time that it discards input.
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

  // Without a consumer NIO stops reading, so each completed read starts the next.
  func handlerAdded(context: ChannelHandlerContext) { context.read() }
  func channelRead(context: ChannelHandlerContext, data: NIOAny) {}
  func channelReadComplete(context: ChannelHandlerContext) { context.read() }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard let event = event as? ChannelEvent, event == .inputClosed else {
      context.fireUserInboundEventTriggered(event)
      return
    }
    // Both directions are closed now.
    context.close(promise: nil)
  }
}
