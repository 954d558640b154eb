import HummingbirdCore
import HummingbirdHTTP2
import Logging
import NIOCore

// How long clients are borne where Hummingbird's own timers do not look.

/// Closes a TLS connection on which no request is begun in time.
///
/// Hummingbird's timers begin behind the handshake, and over HTTP/2 they only ask the client to end: who says nothing would keep its
/// connection.
final class IdleTimeoutHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  /// For a client that is asked to end (GOAWAY) to do so, before it is cut off.
  static let grace = TimeAmount.seconds(5)

  private let limit: TimeAmount
  private var requests = 0
  private var task: Scheduled<Void>?
  /// As long as the connection is open.
  private var context: ChannelHandlerContext?

  init(after limit: TimeAmount) { self.limit = limit }

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    schedule(in: limit)
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    self.context = nil
    task?.cancel()
  }

  func requestBegan() {
    requests += 1
    task?.cancel()
  }

  func requestEnded() {
    requests -= 1
    if requests == 0 { schedule(in: limit + Self.grace) }
  }

  private func schedule(in time: TimeAmount) {
    guard let context else { return }
    // Not through the handlers behind, of which TLS would first say goodbye.
    task = context.eventLoop.assumeIsolated().scheduleTask(in: time) { context.close(promise: nil) }
  }
}

/// Stands in every connection of HTTP/1.1 and every stream of HTTP/2: says that the connection is in use, and closes it when its client
/// does not take what is sent, which would hold its place, and what it was sent, for as long as it likes.
final class WriteTimeoutHandler: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = NIOAny

  private let limit: TimeAmount
  private var task: Scheduled<Void>?
  private var idle: IdleTimeoutHandler?

  init(writesWithin limit: TimeAmount = ServiceContext.writeTime) { self.limit = limit }

  func handlerAdded(context: ChannelHandlerContext) {
    // A connection's parent is what listens; a stream's is its connection. HTTP/1.1 is watched by Hummingbird from here on.
    let connection = context.channel.parent.flatMap { $0.parent == nil ? nil : $0 } ?? context.channel
    idle = try? connection.pipeline.syncOperations.handler(type: IdleTimeoutHandler.self)
    idle?.requestBegan()
    HeadGuard.install(in: context.pipeline.syncOperations)
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    task?.cancel()
    idle?.requestEnded()
    idle = nil
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable {
      task?.cancel()
      task = nil
    } else if task == nil {
      task = context.eventLoop.assumeIsolated().scheduleTask(in: limit) { context.close(promise: nil) }
    }
    context.fireChannelWritabilityChanged()
  }
}

/// HTTP/1.1 and HTTP/2 over TLS, with an end for who says nothing.
struct TimeoutTLSChannel: ServerChildChannel {
  let base: HTTP2UpgradeChannel
  let patience: TimeAmount

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<HTTP2UpgradeChannel.Value> {
    do {
      try channel.pipeline.syncOperations.addHandler(IdleTimeoutHandler(after: patience))
    } catch {
      return channel.eventLoop.makeFailedFuture(error)
    }
    return base.setup(channel: channel, logger: logger)
  }

  func handle(value: HTTP2UpgradeChannel.Value, logger: Logger) async {
    await base.handle(value: value, logger: logger)
  }
}
