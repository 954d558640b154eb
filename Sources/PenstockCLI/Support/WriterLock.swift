import Foundation
import PenstockLog

/// Whether a writer has the log open.
enum WriterLock {
  /// Asks without taking the lock, so that a writer that starts at this moment is not turned away. Nil when it cannot be
  /// asked.
  static func isHeld(_ path: String) -> Bool? {
    #if os(Linux)
      let descriptor = open(LogPaths(path).lock, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { return errno == ENOENT ? false : nil }
      defer { close(descriptor) }
      var whole = flock()
      whole.l_type = Int16(F_WRLCK)
      whole.l_whence = Int16(SEEK_SET)
      // F_OFD_GETLK of <fcntl.h>, which hides it from a program that does not ask for GNU extensions.
      guard fcntl(descriptor, 36, &whole) == 0 else { return nil }
      return whole.l_type != Int16(F_UNLCK)
    #else
      return nil
    #endif
  }
}
