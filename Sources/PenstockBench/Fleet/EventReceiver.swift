import Dispatch
import Foundation
import PenstockToolSupport
import Synchronization

/// Receives for any number of webhooks, says yes to everything and notes each event. One queue serves all connections,
/// so that a thousand of them cost no thousand threads. It runs in this process; who sends is measured in another.
final class EventReceiver: Sendable {
  private struct State {
    var listener: (any DispatchSourceRead)?
    var connections: [Int32: Connection] = [:]
    var buffer = [UInt8](repeating: 0, count: 256 << 10)
    var ledger: EventLedger
  }

  private struct Connection {
    var source: any DispatchSourceRead
    var requests = RequestBytes()
  }

  let port: Int
  private let queue = DispatchQueue(label: "penstock-bench.receiver")
  private let delay: Duration
  private let state: Mutex<State>

  /// Listens on a port of loopback that the kernel picks.
  ///
  /// - Parameter delay: How long it takes for an answer; zero: none, it answers at once.
  init(_ ledger: EventLedger, delay: Duration = .zero) throws(Failure) {
    let (listener, port) = try LoopbackSocket.listen()
    self.port = port
    self.delay = delay
    state = Mutex(State(ledger: ledger))
    state.withLock { state in
      let source = DispatchSource.makeReadSource(fileDescriptor: listener, queue: queue)
      source.setEventHandler { [weak self] in self?.admit(listener) }
      source.setCancelHandler { close(listener) }
      state.listener = source
      source.resume()
    }
  }

  /// What has arrived so far.
  var ledger: EventLedger { state.withLock { $0.ledger } }

  func end() {
    state.withLock { state in
      state.listener?.cancel()
      for connection in state.connections.values { connection.source.cancel() }
      (state.listener, state.connections) = (nil, [:])
    }
  }

  private func admit(_ listener: Int32) {
    let connection = accept(listener, nil, nil)
    guard connection >= 0 else { return }
    LoopbackSocket.keepFromChildren(connection)
    LoopbackSocket.sendAtOnce(connection)
    state.withLock { state in
      let source = DispatchSource.makeReadSource(fileDescriptor: connection, queue: queue)
      source.setEventHandler { [weak self] in self?.read(connection) }
      source.setCancelHandler { close(connection) }
      state.connections[connection] = Connection(source: source)
      source.resume()
    }
  }

  /// Reads once; the source calls again while there is more.
  private func read(_ connection: Int32) {
    let requests: [RequestBytes.Request] = state.withLock { state in
      let count = recv(connection, &state.buffer, state.buffer.count, 0)
      guard count > 0 else {
        state.connections.removeValue(forKey: connection)?.source.cancel()
        return []
      }
      return state.connections[connection]?.requests.take(state.buffer[..<count]) ?? []
    }
    for request in requests {
      guard delay > .zero else {
        answer(request, connection)
        continue
      }
      queue.asyncAfter(deadline: .now() + delay / .seconds(1)) { [self] in answer(request, connection) }
    }
  }

  private func answer(_ request: RequestBytes.Request, _ connection: Int32) {
    let isOpen = state.withLock { state in
      guard state.connections[connection] != nil else { return false }
      state.ledger.note(request.marks, at: request.destination, now: BenchClock.now())
      return true
    }
    if isOpen { _ = LoopbackSocket.send(Self.yes[...], to: connection) }
  }

  private static let yes = Array("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".utf8)
}

/// The bytes of one connection, from which whole requests come. A value without a socket.
struct RequestBytes: Sendable {
  struct Request: Sendable {
    /// The last part of the path: the number of the webhook.
    var destination: Int?
    var marks: [EventMark]
  }

  private var bytes: [UInt8] = []
  /// The request whose body is not complete yet, and where its body begins.
  private var open: (head: StubRequest, start: Int)?

  /// The requests that are complete now.
  mutating func take(_ more: ArraySlice<UInt8>) -> [Request] {
    bytes.append(contentsOf: more)
    var requests: [Request] = []
    while let request = next() { requests.append(request) }
    return requests
  }

  private mutating func next() -> Request? {
    if open == nil, let stop = Self.emptyLine(bytes) {
      open = (StubRequest(head: String(decoding: bytes[..<stop], as: UTF8.self)), stop + 4)
    }
    guard let (head, start) = open, bytes.count >= start + head.contentLength else { return nil }
    let end = start + head.contentLength
    var request = Request(destination: head.target.split(separator: "/").last.flatMap { Int($0) }, marks: [])
    bytes.withUnsafeBytes { bytes in
      EventMark.forEach(in: UnsafeRawBufferPointer(rebasing: bytes[start..<end])) { request.marks.append($0) }
    }
    bytes.removeSubrange(..<end)
    open = nil
    return request
  }

  private static func emptyLine(_ bytes: [UInt8]) -> Int? {
    var index = 0
    while index + 3 < bytes.count {
      if bytes[index] == 13, bytes[index + 1] == 10, bytes[index + 2] == 13, bytes[index + 3] == 10 { return index }
      index += 1
    }
    return nil
  }
}
