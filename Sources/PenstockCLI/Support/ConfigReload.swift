import Dispatch
import Foundation
import Synchronization

/// Handles SIGHUP for a command that can reload its configuration. In all other commands SIGHUP ends the process.
enum ConfigReload {
  private static let handler = Mutex<(@Sendable () -> Void)?>(nil)
  private static let source = Mutex<(any DispatchSourceSignal)?>(nil)

  /// Calls `body` on every SIGHUP from now on, on a thread of Dispatch.
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
