import Foundation
import PenstockToolSupport

/// Blocking TCP on loopback, for stubs and probes.
enum LoopbackSocket {
  #if os(Linux)
    private static let stream = Int32(SOCK_STREAM.rawValue)
    private static let tcp = Int32(IPPROTO_TCP)
  #else
    private static let stream = SOCK_STREAM
    private static let tcp = IPPROTO_TCP
  #endif

  /// Many destinations connect at once. A connection that does not fit waits a second.
  private static let backlog: Int32 = 4096

  static func listen() throws(Failure) -> (descriptor: Int32, port: Int) {
    let descriptor = socket(AF_INET, stream, 0)
    keepFromChildren(descriptor)
    var address = address(port: 0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        bind(descriptor, pointer, length) == 0 && Foundation.listen(descriptor, backlog) == 0
          && getsockname(descriptor, pointer, &length) == 0
      }
    }
    guard descriptor >= 0, bound else { throw failure("listen on loopback") }
    return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
  }

  static func connect(port: Int) throws(Failure) -> Int32 {
    let descriptor = socket(AF_INET, stream, 0)
    var address = address(port: UInt16(port))
    let result = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Foundation.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard descriptor >= 0, result == 0 else { throw failure("connect to port \(port) of loopback") }
    sendAtOnce(descriptor)
    return descriptor
  }

  /// A child that is started later does not inherit it.
  static func keepFromChildren(_ descriptor: Int32) { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }

  static func sendAtOnce(_ descriptor: Int32) {
    var yes: Int32 = 1
    setsockopt(descriptor, tcp, TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
  }

  /// All of it; false when the other side is gone.
  static func send(_ bytes: ArraySlice<UInt8>, to descriptor: Int32) -> Bool {
    bytes.withUnsafeBytes { bytes in
      var sent = 0
      while sent < bytes.count {
        #if os(Linux)
          let flags = Int32(MSG_NOSIGNAL)
        #else
          let flags: Int32 = 0
        #endif
        let count = Foundation.send(descriptor, bytes.baseAddress.map { $0 + sent }, bytes.count - sent, flags)
        guard count > 0 else { return false }
        sent += count
      }
      return true
    }
  }

  private static func address(port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr = in_addr(s_addr: UInt32(0x7F00_0001).bigEndian)
    return address
  }

  private static func failure(_ verb: String) -> Failure {
    Failure(.cannot, "network", "could not \(verb): \(String(cString: strerror(errno)))")
  }
}

/// A client that does nothing but send bodies over one connection and read the answers' heads.
struct RawClient {
  private let descriptor: Int32

  init(port: Int) throws(Failure) { descriptor = try LoopbackSocket.connect(port: port) }

  func end() { close(descriptor) }

  /// Puts one body, and reads the answer.
  func put(_ body: [UInt8], hash: String) throws {
    let head =
      "PUT / HTTP/1.1\r\nHost: localhost\r\nx-amz-content-sha256: \(hash)\r\nContent-Length: \(body.count)\r\n\r\n"
    var reader = HTTPReader(descriptor, room: 16 << 10)
    guard LoopbackSocket.send(Array(head.utf8)[...], to: descriptor),
      LoopbackSocket.send(body[...], to: descriptor), let answer = reader.head(), reader.skip(answer.contentLength)
    else { throw Failure(.bad, "bench", "the probe's connection has ended") }
  }

  /// Sends bodies of these sizes, one after the other; how many seconds that took.
  func send(_ sizes: [Int], method: String) throws -> Double {
    let body = [UInt8](repeating: UInt8(ascii: "x"), count: sizes.max() ?? 0)
    var reader = HTTPReader(descriptor)
    return try seconds { () throws in
      for size in sizes {
        let head = "\(method) / HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(size)\r\n\r\n"
        guard LoopbackSocket.send(Array(head.utf8)[...], to: descriptor),
          LoopbackSocket.send(body[..<size], to: descriptor),
          let answer = reader.head(), reader.skip(answer.contentLength)
        else { throw Failure(.bad, "bench", "the probe's connection has ended") }
      }
    }
  }
}

/// The monotonic clock, in nanoseconds: the same in every process of this machine.
enum BenchClock {
  static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// Blocks until that moment.
  static func sleep(until moment: UInt64) {
    while true {
      let now = now()
      guard now < moment else { return }
      usleep(useconds_t(min((moment - now) / 1000 + 1, 500_000)))
    }
  }
}
