import HummingbirdCore
import HummingbirdHTTP2
import Logging
import NIOCore

// Timeouts for clients that Hummingbird's own timers do not cover.

/// Closes a TLS connection on which no request begins in time.
///
/// Hummingbird's timers begin after the handshake. Over HTTP/2 they only ask the client to close, so a silent client
/// would keep its connection.
final class IdleTimeoutHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  /// How long a client may take to close after GOAWAY.
  static let grace = TimeAmount.seconds(5)

  private let limit: TimeAmount
  private var requests = 0
  private var task: Scheduled<Void>?
  /// Set while the connection is open.
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
    // Directly, not through the later handlers: TLS would first send close_notify and wait.
    task = context.eventLoop.assumeIsolated().scheduleTask(in: time) { context.close(promise: nil) }
  }
}

/// Closes a connection whose client does not read its answer in time, and reports to ``IdleTimeoutHandler`` that a
/// request is in progress. It is in every HTTP/1.1 connection and every HTTP/2 stream. Without it, a client that stops
/// reading would keep its connection, and the memory of its answer, forever.
final class WriteTimeoutHandler: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = NIOAny

  private let limit: TimeAmount
  private var task: Scheduled<Void>?
  private var idle: IdleTimeoutHandler?

  init(writesWithin limit: TimeAmount = ServiceContext.writeTime) { self.limit = limit }

  func handlerAdded(context: ChannelHandlerContext) {
    // The parent of a connection is the listener; the parent of a stream is its connection. Hummingbird watches idle
    // HTTP/1.1 from here on.
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

/// HTTP/1.1 and HTTP/2 over TLS, with an idle timeout that covers the handshake.
struct TimeoutTLSChannel: ServerChildChannel {
  let base: HTTP2UpgradeChannel
  let idleTimeout: TimeAmount

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<HTTP2UpgradeChannel.Value> {
    do {
      try channel.pipeline.syncOperations.addHandler(IdleTimeoutHandler(after: idleTimeout))
    } catch {
      return channel.eventLoop.makeFailedFuture(error)
    }
    return base.setup(channel: channel, logger: logger)
  }

  func handle(value: HTTP2UpgradeChannel.Value, logger: Logger) async {
    await base.handle(value: value, logger: logger)
  }
}
