import Foundation
import PenstockLog

/// Whether a writer has the log open.
enum WriterLock {
  /// Tests the lock without taking it, so that a writer that starts now does not fail. Nil when the test is not
  /// possible.
  static func isHeld(_ path: String) -> Bool? {
    #if os(Linux)
      let descriptor = open(LogPaths(path).lock, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { return errno == ENOENT ? false : nil }
      defer { close(descriptor) }
      var whole = flock()
      whole.l_type = Int16(F_WRLCK)
      whole.l_whence = Int16(SEEK_SET)
      // 36 is F_OFD_GETLK, which <fcntl.h> defines only with GNU extensions.
      guard fcntl(descriptor, 36, &whole) == 0 else { return nil }
      return whole.l_type != Int16(F_UNLCK)
    #else
      return nil
    #endif
  }
}
