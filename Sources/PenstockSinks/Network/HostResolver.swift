import Dispatch
import Synchronization

/// Resolves host names.
package protocol HostResolver: Sendable {
  /// The addresses of a host, best first; never empty. Throws when the task is cancelled.
  func addresses(of host: String) async throws(TransportError) -> [IPAddress]
}

/// The system's resolver: hosts file, name servers, and every notation of an address that the system accepts (`0x7f.1`,
/// `2130706433`, `0177.0.0.1`).
package struct SystemHostResolver: HostResolver {
  package init() {}

  package func addresses(of host: String) async throws(TransportError) -> [IPAddress] {
    let waiter = Waiter()
    let found = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        waiter.begin(continuation)
        // The lookup blocks until the name server answers, and cannot be cancelled. So it runs on Dispatch's queue, and
        // a cancelled caller returns without its result.
        DispatchQueue.global(qos: .utility).async { waiter.end(Platform.addresses(of: host, isNumeric: false)) }
      }
    } onCancel: {
      waiter.end(nil)
    }
    guard let found else { throw TransportError(.cancelled) }
    guard !found.isEmpty else { throw TransportError(.unknownHost, host) }
    return found
  }

  /// The address if `host` is one, in any notation of the system; nil for a name. Sends no query.
  static func literal(_ host: String) -> IPAddress? { Platform.addresses(of: host, isNumeric: true).first }

  /// Resumes the waiting task once, with the first result.
  private final class Waiter: Sendable {
    private struct State {
      var continuation: CheckedContinuation<[IPAddress]?, Never>?
      var isOver = false
    }
    private let state = Mutex(State())

    func begin(_ continuation: CheckedContinuation<[IPAddress]?, Never>) {
      let isOver = state.withLock { state in
        if !state.isOver { state.continuation = continuation }
        return state.isOver
      }
      if isOver { continuation.resume(returning: nil) }
    }

    func end(_ addresses: [IPAddress]?) {
      let continuation = state.withLock { state in
        state.isOver = true
        defer { state.continuation = nil }
        return state.continuation
      }
      continuation?.resume(returning: addresses)
    }
  }
}
