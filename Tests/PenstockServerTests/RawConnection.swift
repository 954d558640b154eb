import Foundation

/// A connection on which a test says every byte itself.
final class RawConnection: Sendable {
  struct Failure: Error { let call: String, reason: Int32 }

  /// How long it waits for a byte. Long, because only a failing test waits for it.
  private static let timeout = timeval(tv_sec: 20, tv_usec: 0)
  private let descriptor: Int32

  /// To a port of this machine.
  init(port: Int) throws {
    #if canImport(Glibc)
      let stream = Int32(SOCK_STREAM.rawValue)
    #else
      let stream = SOCK_STREAM
    #endif
    descriptor = socket(AF_INET, stream, 0)
    guard descriptor >= 0 else { throw Failure(call: "socket", reason: errno) }
    var timeout = Self.timeout
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(UInt16(port)).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let isConnected = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
    guard isConnected else { throw Failure(call: "connect", reason: errno) }
  }

  deinit { close(descriptor) }

  func send(_ text: String) throws {
    let bytes = Array(text.utf8)
    guard Foundation.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
      throw Failure(call: "send", reason: errno)
    }
  }

  /// Everything until the other side closes, which may be by a reset. It waits, so it has a thread of its own: the
  /// service runs on those that tasks share.
  func readToEnd() async throws -> String {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread { [self] in continuation.resume(with: Result { try read() }) }
    }
  }

  /// What comes until it ends in `text`. On a thread of its own, as ``readToEnd()``.
  func read(upTo text: String) async throws -> String {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread { [self] in continuation.resume(with: Result { try read(until: Array(text.utf8)) }) }
    }
  }

  private func read(until end: [UInt8]) throws -> String {
    var all: [UInt8] = []
    var byte: UInt8 = 0
    while !all.suffix(end.count).elementsEqual(end) {
      let count = recv(descriptor, &byte, 1, 0)
      guard count >= 0 else { throw Failure(call: "recv", reason: errno) }
      if count == 0 { break }
      all.append(byte)
    }
    return String(decoding: all, as: UTF8.self)
  }

  private func read() throws -> String {
    var all: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count == 0 || (count < 0 && errno == ECONNRESET) { return String(decoding: all, as: UTF8.self) }
      guard count > 0 else { throw Failure(call: "recv", reason: errno) }
      all += buffer[..<count]
    }
  }
}

/// A certificate for `localhost` that nobody believes, and its key. For a server that a test does not shake hands with.
enum UselessCertificate {
  static func write(to directory: String) throws -> ServiceFiles {
    let files = ServiceFiles(certificate: directory + "/cert.pem", key: directory + "/key.pem")
    try PenstockServerTests.write(certificate, to: files.certificate)
    try PenstockServerTests.write(key, to: files.key)
    return files
  }

  struct ServiceFiles { let certificate, key: String }

  private static let certificate = """
    -----BEGIN CERTIFICATE-----
    MIIBfzCCASWgAwIBAgIUeayJBSHZ7BU1YcKUZVFtU69ziJMwCgYIKoZIzj0EAwIw
    FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyODE3NDQxM1oYDzIxMjYxMTA0
    MTc0NDEzWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
    PQMBBwNCAARkc/Zk0cahaSNnXlxc82UoTBaCdF9KppiIxnuAZqtQMERP5g4+0V7n
    MOethnR+J9JU2O9w32/M9V/a2J+58reYo1MwUTAdBgNVHQ4EFgQUre3wVh/+ZTdz
    sR9q9y/l8HYdokkwHwYDVR0jBBgwFoAUre3wVh/+ZTdzsR9q9y/l8HYdokkwDwYD
    VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEA2GN8SlDv9WvKzOueBREX
    4KdJZVEz8wzFbCT6faHonDMCIDKLj5gci8+2RYERkyy9KH0//SCCmGEB7cj+pwEF
    hrFI
    -----END CERTIFICATE-----
    """

  private static let key = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgMH++ZWYegS4Z6jSs
    fsUBSJvyWOrQrL3u9iU6BKgbxiihRANCAARkc/Zk0cahaSNnXlxc82UoTBaCdF9K
    ppiIxnuAZqtQMERP5g4+0V7nMOethnR+J9JU2O9w32/M9V/a2J+58reY
    -----END PRIVATE KEY-----
    """
}
