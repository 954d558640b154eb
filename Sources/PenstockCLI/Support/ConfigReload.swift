import Dispatch
import Foundation
import Synchronization

/// SIGHUP, for the command that has something to read again; for the others the process ends, as it does by default.
enum ConfigReload {
  private static let handler = Mutex<(@Sendable () -> Void)?>(nil)
  private static let source = Mutex<(any DispatchSourceSignal)?>(nil)

  /// Calls `body` at every SIGHUP from now on.
  static func handle(_ body: @escaping @Sendable () -> Void) {
    handler.withLock { $0 = body }
    signal(SIGHUP, SIG_IGN)
    source.withLock { source in
      guard source == nil else { return }
      let signals = DispatchSource.makeSignalSource(signal: SIGHUP, queue: .global())
      signals.setEventHandler { handler.withLock { $0 }?() }
      signals.resume()
      source = signals
    }
  }
}
