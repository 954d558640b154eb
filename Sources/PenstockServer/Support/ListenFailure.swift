import NIOCore
import PenstockLog

/// Describes why the service cannot listen on an address, without the errno number.
package func listenFailureText(_ error: any Error) -> String {
  guard let cause = error as? IOError else { return "\(error)" }
  return FileSystemError.Code(errno: cause.errnoCode).explanation
}
