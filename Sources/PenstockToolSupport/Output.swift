import Foundation
import Synchronization

/// Standard output, gathered into large writes. Safe to use from several tasks.
///
/// When the reader has gone away, the process ends quietly, as if the signal for it had been left alone.
package final class Output: Sendable {
  package static let standard = Output()
  private static let capacity = 256 << 10
  private let buffer = Mutex<[UInt8]>([])

  /// Adds text; written when enough has come together, or by ``flush()``.
  package func write(_ text: String) { edit { $0.append(contentsOf: text.utf8) } }

  /// Adds bytes through `body`, which appends to the buffer.
  package func edit(_ body: (inout [UInt8]) -> Void) {
    buffer.withLock { buffer in
      body(&buffer)
      if buffer.count >= Self.capacity { Self.drain(&buffer) }
    }
  }

  package func flush() { buffer.withLock { Self.drain(&$0) } }

  /// Writes one line at once, because a reader waits for it.
  package func line(_ text: String) {
    write(text + "\n")
    flush()
  }

  package func line(_ json: JSON) { line(json.text) }

  /// A line for people, on standard error.
  package static func note(_ text: String) {
    ProgressLine.shared.clear()
    var bytes = Array((text + "\n").utf8)
    drain(&bytes, to: STDERR_FILENO)
  }

  private static func drain(_ bytes: inout [UInt8], to descriptor: Int32 = STDOUT_FILENO) {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes {
        Foundation.write(descriptor, $0.baseAddress.map { $0 + done }, $0.count - done)
      }
      if count >= 0 {
        done += count
      } else if errno == EAGAIN {
        var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = Foundation.poll(&poll, 1, -1)
      } else if errno != EINTR {
        if descriptor == STDERR_FILENO { break }
        leave(errno)
      }
    }
    bytes.removeAll(keepingCapacity: true)
  }

  /// Nothing more can be told on standard output.
  private static func leave(_ reason: Int32) -> Never {
    if reason == EPIPE { _exit(128 + SIGPIPE) }
    var bytes = Array(
      "\(ProcessInfo.processInfo.processName): cannot write to standard output: \(String(cString: strerror(reason)))\n"
        .utf8)
    drain(&bytes, to: STDERR_FILENO)
    _exit(ExitStatus.cannot.rawValue)
  }
}
