import HTTPTypes
import Hummingbird
import NIOCore
import NIOHTTP1

/// Checks the host that a request names. Pure functions.
///
/// A proxy and the service must agree on the host. So a request must name exactly one: a second `Host`, or a target in
/// absolute form with another host, is an error (RFC 9112, 3.2).
enum RequestHost {
  /// Whether the text is `host`, `host:port` or `[address]:port` (RFC 3986, 3.2.2 and 3.2.3), without user information.
  /// An empty host is allowed.
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

  /// Letters, digits, and the other characters of names, addresses and percent-encoding.
  private static func isHostByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    default: "-._~%!$&'()*+,;=".utf8.contains(byte)
    }
  }

  /// Whether the version is HTTP/1.0 or older, which needs no `Host` and has no interim answers.
  static func isFormer(_ version: HTTPVersion) -> Bool {
    version.major < 1 || (version.major == 1 && version.minor == 0)
  }

  /// Whether an HTTP/1 head names exactly one host.
  static func isSound(_ head: HTTPRequestHead) -> Bool {
    let hosts = head.headers["Host"]
    guard hosts.count == 1 || (hosts.isEmpty && isFormer(head.version)) else { return false }
    let host = hosts.first
    if let host, !isWellFormed(host) { return false }
    guard let authority = authority(ofTarget: head.uri) else { return true }
    guard isWellFormed(authority) else { return false }
    return host.map { $0.lowercased() == authority.lowercased() } ?? true
  }

  /// Whether a decoded request names exactly one host. For HTTP/1 the codec has moved the first `Host` into the
  /// authority, so a remaining one is a second one. For HTTP/2 `host` may repeat the authority.
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

/// A handler before the HTTP/1 codec, where the request's head is still unchanged.
///
/// - Refuses a head that does not name exactly one host: 400, and the connection closes.
/// - Removes `Expect` from a request of HTTP/1.0, whose client does not know interim answers (RFC 9110, 10.1.1).
/// - Sends `100 Continue` when the service is about to read the body. A client that waits for it then sends the body at
///   once, and does not send a body that is refused.
/// - Ends the answer to `HEAD` after its head. Otherwise the encoder would end a chunked body when the length is
///   unknown, and the client would take that end for the next answer.
final class HeadGuard: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias InboundOut = HTTPServerRequestPart
  typealias OutboundIn = HTTPServerResponsePart
  typealias OutboundOut = HTTPServerResponsePart

  /// Triggered on the channel when the service is about to read the body.
  struct BodyIsWanted: Sendable {}

  /// For each unanswered request, oldest first: whether it is a `HEAD`.
  private var unanswered = CircularBuffer<Bool>()
  private var isRefused = false

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    // Bytes after a refused head are ignored: proxies and servers may disagree about where it ends.
    if isRefused { return }
    guard case .head(var head) = Self.unwrapInboundIn(data) else { return context.fireChannelRead(data) }
    guard RequestHost.isSound(head) else {
      isRefused = true
      // Answered like every malformed head.
      return context.fireErrorCaught(HTTPParserError.invalidHeaderToken)
    }
    if RequestHost.isFormer(head.version) { head.headers.remove(name: "Expect") }
    unanswered.append(head.method == .HEAD)
    context.fireChannelRead(Self.wrapInboundOut(.head(head)))
  }

  /// Adds a guard to an HTTP/1 pipeline. An HTTP/2 stream needs none.
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
  /// Sends `100 Continue` when the client waits for it. Call it before the body is read.
  func askForBody(of request: Request) {
    guard !isStream, request.headers[.expect] != nil else { return }
    channel.triggerUserOutboundEvent(HeadGuard.BodyIsWanted(), promise: nil)
  }
}

extension Request {
  /// Whether `Expect` asks for anything but `100-continue`.
  var expectsTheUnknown: Bool { headers[.expect].map { $0.lowercased() != "100-continue" } ?? false }
}

extension Response {
  /// For a `HEAD` request: this answer without content, with the head that `GET` would get.
  func withoutContent(for request: Request) -> Response {
    guard request.method == .head else { return self }
    // Without a length: the empty body would otherwise announce a length of 0.
    return Response(
      status: status, headers: headers, body: ResponseBody(contentLength: nil) { try await $0.finish(nil) })
  }
}
