import Foundation
import Synchronization

@testable import PenstockSinks

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

extension AsyncHTTPTransport {
  /// What comes of a request; the transport is closed after it.
  func only(
    _ url: String, body: [UInt8]? = nil, timeout: Duration = .seconds(120)
  ) async -> Result<TransportResponse, TransportError> {
    let result = await ask(url, body: body, timeout: timeout)
    await close()
    return result
  }

  func ask(
    _ url: String, body: [UInt8]? = nil, timeout: Duration = .seconds(120)
  ) async -> Result<TransportResponse, TransportError> {
    let request = TransportRequest(
      method: body == nil ? "GET" : "POST", url: url, headers: [], body: body ?? [], timeout: timeout)
    do throws(TransportError) { return .success(try await send(request)) } catch { return .failure(error) }
  }
}

extension Result<TransportResponse, TransportError> {
  var kind: TransportError.Kind? { if case .failure(let error) = self { error.kind } else { nil } }
}

/// A TCP server on the loopback address that reads a request's head and answers each connection with the same bytes.
/// Tests can so answer what no well-behaved server does.
final class CannedServer: Sendable {
  let port: Int
  private let listener: Int32
  private let accepted = Atomic(0)
  private let isStopped = Atomic(false)

  /// - Parameters:
  ///   - reply: nil ends the connection without an answer, an empty one never answers.
  ///   - keepsOpen: whether a connection stays open behind the answer.
  init(reply: [UInt8]?, keepsOpen: Bool = false) throws {
    #if canImport(Glibc)
      let stream = Int32(SOCK_STREAM.rawValue)
    #else
      let stream = SOCK_STREAM
    #endif
    let listener = socket(AF_INET, stream, 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        bind(listener, pointer, length) == 0 && listen(listener, 16) == 0
          && getsockname(listener, pointer, &length) == 0
      }
    }
    guard isBound else { throw CocoaError(.featureUnsupported) }
    self.listener = listener
    port = Int(UInt16(bigEndian: address.sin_port))
    let server = self
    Thread.detachNewThread { server.serve(reply, keepsOpen) }
  }

  var connections: Int { accepted.load(ordering: .acquiring) }

  /// Ends the listening; the thread ends with it, and closes the socket.
  func stop() { if !isStopped.exchange(true, ordering: .relaxed) { shutdown(listener, Int32(SHUT_RDWR)) } }

  private func serve(_ reply: [UInt8]?, _ keepsOpen: Bool) {
    var kept: [Int32] = []
    while true {
      let connection = accept(listener, nil, nil)
      guard connection >= 0 else { break }
      accepted.add(1, ordering: .releasing)
      var head: [UInt8] = []
      var byte: UInt8 = 0
      while !head.suffix(4).elementsEqual("\r\n\r\n".utf8), recv(connection, &byte, 1, 0) == 1 { head.append(byte) }
      if let reply, reply.isEmpty {
        kept.append(connection)
        continue
      }
      var sent = 0
      while let reply, sent < reply.count {
        let count = reply.withUnsafeBytes {
          send(connection, $0.baseAddress.map { $0 + sent }, reply.count - sent, noSignal)
        }
        if count <= 0 { break }
        sent += count
      }
      if keepsOpen {
        kept.append(connection)
        continue
      }
      // Read what is left: closing with unread bytes would reset the connection and take the answer with it.
      shutdown(connection, Int32(SHUT_WR))
      while reply != nil, recv(connection, &byte, 1, 0) == 1 {}
      close(connection)
    }
    for connection in kept { close(connection) }
    close(listener)
  }

  #if canImport(Glibc)
    private var noSignal: Int32 { Int32(MSG_NOSIGNAL) }
  #else
    private var noSignal: Int32 { 0 }
  #endif
}

/// A name service with the answers of a test, in order. It repeats the last one.
final class NamedHosts: HostResolver {
  private struct State {
    var answers: [[String]]
    var questions: [String] = []
  }
  private let state: Mutex<State>

  /// - Parameter answers: an empty one is a name that is not known.
  init(_ answers: [String]...) { state = Mutex(State(answers: answers)) }

  var questions: [String] { state.withLock { $0.questions } }

  func addresses(of host: String) async throws(TransportError) -> [IPAddress] {
    let answer = state.withLock { state in
      state.questions.append(host)
      return state.answers.count > 1 ? state.answers.removeFirst() : state.answers[0]
    }
    if answer.isEmpty { throw TransportError(.unknownHost, host) }
    return answer.compactMap { IPAddress($0) }
  }
}

/// A name service that never answers.
struct SilentHosts: HostResolver {
  func addresses(of host: String) async throws(TransportError) -> [IPAddress] {
    try? await Task.sleep(for: .seconds(3600))
    throw TransportError(.cancelled)
  }
}
