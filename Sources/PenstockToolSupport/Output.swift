import Foundation
import PenstockSupport
import Synchronization

/// Buffered standard output. Several tasks may use it at the same time; writes block.
///
/// When the reader has closed the pipe, the process exits silently, with the exit code of SIGPIPE.
package final class Output: Sendable {
  package static let standard = Output()
  private static let capacity = 256 << 10
  private let buffer = Mutex<[UInt8]>([])

  /// Buffers text. Writes when the buffer has 256 KiB, or on ``flush()``.
  package func write(_ text: String) { edit { $0.append(contentsOf: text.utf8) } }

  /// Calls `body`, which appends bytes to the buffer.
  package func edit(_ body: (inout [UInt8]) -> Void) {
    buffer.withLock { buffer in
      body(&buffer)
      if buffer.count >= Self.capacity { Self.drain(&buffer) }
    }
  }

  package func flush() { buffer.withLock { Self.drain(&$0) } }

  /// Writes one line and flushes, because the reader may wait for it.
  package func line(_ text: String) {
    write(text + "\n")
    flush()
  }

  package func line(_ json: JSON) { line(json.text) }

  /// Writes one line to standard error.
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

  /// Exits, because standard output fails.
  private static func leave(_ reason: Int32) -> Never {
    if reason == EPIPE { _exit(128 + SIGPIPE) }
    var bytes = Array(
      "\(ProcessInfo.processInfo.processName): cannot write to standard output: \(String(cString: strerror(reason)))\n"
        .utf8)
    drain(&bytes, to: STDERR_FILENO)
    _exit(ExitStatus.cannot.rawValue)
  }
}
