import NIOCore
import PenstockLog

/// Why nothing can listen at an address, in words instead of the system's number.
package func listenWords(_ error: any Error) -> String {
  guard let cause = error as? IOError else { return "\(error)" }
  return FileSystemError.Code(errno: cause.errnoCode).explanation
}
