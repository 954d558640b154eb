import Dispatch
import Synchronization

/// The seam to the name service.
package protocol HostResolver: Sendable {
  /// The addresses of a host, best first; never empty. Gives up when the task is cancelled.
  func addresses(of host: String) async throws(TransportError) -> [IPAddress]
}

/// What the system says: its hosts file, its name servers, and every spelling of an address that it understands
/// (`0x7f.1`, `2130706433`, `0177.0.0.1`).
package struct SystemHostResolver: HostResolver {
  package init() {}

  package func addresses(of host: String) async throws(TransportError) -> [IPAddress] {
    let waiter = Waiter()
    let found = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        waiter.begin(continuation)
        // It blocks, for as long as a name server is silent, and nothing can break it off. So it runs where it may, and a
        // caller that has waited long enough leaves without it.
        DispatchQueue.global(qos: .utility).async { waiter.end(Platform.addresses(of: host, isNumeric: false)) }
      }
    } onCancel: {
      waiter.end(nil)
    }
    guard let found else { throw TransportError(.cancelled) }
    guard !found.isEmpty else { throw TransportError(.unknownHost, host) }
    return found
  }

  /// The address that `host` spells, in any way the system understands, without asking anybody; nil if it is a name.
  static func literal(_ host: String) -> IPAddress? { Platform.addresses(of: host, isNumeric: true).first }

  /// Hands a result to whoever waits, once, whichever comes first.
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
