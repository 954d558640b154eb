import HTTPTypes
import Hummingbird
import NIOCore
import NIOHTTP1

/// The host that a request names. A pure check.
///
/// A proxy and the service must read the same host. So exactly one is taken: a second `Host`, or a target in absolute
/// form that names another host, is an error (RFC 9112, 3.2).
enum RequestHost {
  /// `host`, `host:port` or `[address]:port` (RFC 3986, 3.2.2 and 3.2.3). Without user information. Empty is allowed:
  /// it names nobody.
  static func isWellFormed(_ text: some StringProtocol) -> Bool {
    var rest = Array(text.utf8)[...]
    if rest.first == UInt8(ascii: "[") {
      guard let end = rest.firstIndex(of: UInt8(ascii: "]")) else { return false }
      let inner = rest[(rest.startIndex + 1)..<end]
      guard !inner.isEmpty, inner.allSatisfy({ isHostByte($0) || $0 == UInt8(ascii: ":") }) else { return false }
      rest = rest[(end + 1)...]
    } else {
      rest = rest.drop { isHostByte($0) }
    }
    guard let colon = rest.popFirst() else { return true }
    return colon == UInt8(ascii: ":") && rest.count <= 5 && rest.allSatisfy { (0x30...0x39).contains($0) }
  }

  /// Letters, digits, and what names, addresses and percent-encoding use besides.
  private static func isHostByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    default: "-._~%!$&'()*+,;=".utf8.contains(byte)
    }
  }

  /// HTTP/1.0, which needs no `Host` and knows no interim answers, and what came before.
  static func isFormer(_ version: HTTPVersion) -> Bool {
    version.major < 1 || (version.major == 1 && version.minor == 0)
  }

  /// Whether a head of HTTP/1 names one host, in one way.
  static func isSound(_ head: HTTPRequestHead) -> Bool {
    let hosts = head.headers["Host"]
    guard hosts.count == 1 || (hosts.isEmpty && isFormer(head.version)) else { return false }
    let host = hosts.first
    if let host, !isWellFormed(host) { return false }
    guard let authority = authority(ofTarget: head.uri) else { return true }
    guard isWellFormed(authority) else { return false }
    return host.map { $0.lowercased() == authority.lowercased() } ?? true
  }

  /// Whether a request that came through the codec names one host. In HTTP/1 the first `Host` is the authority by then,
  /// and what is left is a second one. In HTTP/2 `host` may repeat the authority.
  static func isSound(_ request: HTTPRequest) -> Bool {
    let authority = request.authority ?? ""
    guard isWellFormed(authority) else { return false }
    guard let name = HTTPField.Name("Host"), let host = request.headerFields[name] else { return true }
    return host.lowercased() == authority.lowercased()
  }

  /// The authority of a target in absolute form, as in `http://host:80/path`; nil for every other form.
  private static func authority(ofTarget target: String) -> Substring? {
    guard let first = target.utf8.first, first != UInt8(ascii: "/"), first != UInt8(ascii: "*"),
      let scheme = target.utf8.firstIndex(of: UInt8(ascii: ":"))
    else { return nil }
    let rest = target[target.utf8.index(after: scheme)...]
    guard rest.hasPrefix("//") else { return nil }
    return rest.dropFirst(2).prefix { $0 != "/" && $0 != "?" && $0 != "#" }
  }
}

/// Stands before the codec in a connection of HTTP/1, where a request's head is still as it came.
///
/// - Refuses a head that does not name one host in one way: 400, and the connection ends.
/// - Takes `Expect` from a request of HTTP/1.0, whose client does not know an interim answer (RFC 9110, 10.1.1).
/// - Sends `100 Continue` when it is told that a body will be read. Then a client that waits for it sends the body at
///   once, and does not send one that is refused.
/// - Ends the answer to `HEAD` with its head. Where the length is not known the encoder would otherwise write the end
///   of a chunked body, and the client would take that for the next answer.
final class HeadGuard: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias InboundOut = HTTPServerRequestPart
  typealias OutboundIn = HTTPServerResponsePart
  typealias OutboundOut = HTTPServerResponsePart

  /// Triggered on the channel when the body is wanted.
  struct BodyIsWanted: Sendable {}

  /// Of each request that is not answered yet, oldest first: whether it is a `HEAD`.
  private var unanswered = CircularBuffer<Bool>()
  private var isRefused = false

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    // What follows a refused head is not looked at: where it ends depends on whom one asks.
    if isRefused { return }
    guard case .head(var head) = Self.unwrapInboundIn(data) else { return context.fireChannelRead(data) }
    guard RequestHost.isSound(head) else {
      isRefused = true
      // Answered as every head that cannot be read.
      return context.fireErrorCaught(HTTPParserError.invalidHeaderToken)
    }
    if RequestHost.isFormer(head.version) { head.headers.remove(name: "Expect") }
    unanswered.append(head.method == .HEAD)
    context.fireChannelRead(Self.wrapInboundOut(.head(head)))
  }

  /// Puts one into a pipeline that speaks HTTP/1; in a stream of HTTP/2 there is nothing to do.
  static func install(in pipeline: ChannelPipeline.SynchronousOperations) {
    guard let decoder = try? pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self) else { return }
    try? pipeline.addHandler(HeadGuard(), position: .after(decoder))
  }

  func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
    guard event is BodyIsWanted else { return context.triggerUserOutboundEvent(event, promise: promise) }
    let head = HTTPResponseHead(version: .http1_1, status: .continue)
    context.writeAndFlush(Self.wrapOutboundOut(.head(head)), promise: promise)
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    let isForHead = unanswered.first == true
    switch Self.unwrapOutboundIn(data) {
    case .head: context.write(data, promise: promise)
    case .body:
      if isForHead { promise?.succeed() } else { context.write(data, promise: promise) }
    case .end:
      _ = unanswered.popFirst()
      if isForHead { promise?.succeed() } else { context.write(data, promise: promise) }
    }
  }
}

extension ServiceContext {
  /// Asks for the body of a request whose client waits to be asked. Call it before the body is read.
  func askForBody(of request: Request) {
    guard !isStream, request.headers[.expect] != nil else { return }
    channel.triggerUserOutboundEvent(HeadGuard.BodyIsWanted(), promise: nil)
  }
}

extension Request {
  /// Whether it expects something that no one here can do.
  var expectsTheUnknown: Bool { headers[.expect].map { $0.lowercased() != "100-continue" } ?? false }
}

extension Response {
  /// The same, for a `HEAD` without its content: the head that `GET` would be answered with.
  func withoutContent(for request: Request) -> Response {
    guard request.method == .head else { return self }
    // Not by its length: that of an empty body would stand where none is known.
    return Response(
      status: status, headers: headers, body: ResponseBody(contentLength: nil) { try await $0.finish(nil) })
  }
}
