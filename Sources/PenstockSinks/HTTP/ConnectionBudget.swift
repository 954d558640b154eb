import Synchronization

/// Bounds the connections of all HTTP clients of a process, and keeps each client while it is wanted.
///
/// A client that no request used for its idle time is closed. So an idle destination has no client and no connection.
/// Where the bound is reached, the client that was idle for longest is closed at once, and else a request waits.
package final class ConnectionBudget: Sendable {
  private struct State {
    var ledger: ConnectionLedger
    var clients: [ConnectionLedger.ClientID: PooledClient] = [:]
    var waiting: [ConnectionLedger.Ticket: CheckedContinuation<ConnectionLedger.Answer?, Never>] = [:]
    var last: UInt64 = 0
  }

  /// The one of the process. Without a limit, until the program sets one.
  package static let shared = ConnectionBudget(limit: .max)

  private let state: Mutex<State>

  package init(limit: Int) { state = Mutex(State(ledger: ConnectionLedger(limit: limit))) }

  /// The most connections that all clients may have open together, at least 1.
  package var limit: Int {
    get { state.withLock { $0.ledger.limit } }
    set { state.withLock { $0.ledger.setLimit(newValue) } }
  }

  /// Connections that clients may have open now.
  package var open: Int { state.withLock { $0.ledger.open } }
  /// Requests that wait for a connection.
  package var waiting: Int { state.withLock { $0.ledger.waitingCount } }

  func join(_ client: PooledClient) {
    state.withLock { state in
      state.ledger.join(client.id)
      state.clients[client.id] = client
    }
  }

  func isMember(_ id: ConnectionLedger.ClientID) -> Bool { state.withLock { $0.ledger.isMember(id) } }

  /// A number for a client or a request.
  func number() -> UInt64 {
    state.withLock { state in
      state.last += 1
      return state.last
    }
  }

  /// Nil when a request would have to wait for a connection.
  func takeNow(_ id: ConnectionLedger.ClientID) -> ConnectionLedger.Answer? {
    let ticket = number()
    var answer: ConnectionLedger.Answer?
    move { state in
      var consequences = state.ledger.take(id, ticket)
      answer = consequences.answers.removeValue(forKey: ticket) ?? nil
      guard answer == nil else { return consequences }
      let more = state.ledger.cancel(ticket)
      consequences.answers.merge(more.answers) { first, _ in first }
      consequences.closing += more.closing
      return consequences
    }
    return answer
  }

  /// Waits for a connection. Nil when the task is cancelled first.
  func take(_ id: ConnectionLedger.ClientID) async -> ConnectionLedger.Answer? {
    let ticket = number()
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        move { state in
          // Under the lock, so that either this sees the cancellation, or the handler below sees the request.
          state.waiting[ticket] = continuation
          return Task.isCancelled
            ? ConnectionLedger.Consequences(answers: [ticket: nil]) : state.ledger.take(id, ticket)
        }
      }
    } onCancel: {
      move { $0.ledger.cancel(ticket) }
    }
  }

  /// Returns whether the client is idle now.
  func giveBack(_ id: ConnectionLedger.ClientID) -> Bool {
    move { $0.ledger.giveBack(id) }
    return state.withLock { $0.ledger.isIdle(id) }
  }

  /// The client makes no more requests, and closes after the present ones.
  func retire(_ id: ConnectionLedger.ClientID, onlyIfIdle: Bool = false) {
    move { onlyIfIdle && !$0.ledger.isIdle(id) ? ConnectionLedger.Consequences() : $0.ledger.retire(id) }
  }

  private func move(_ change: (inout State) -> ConnectionLedger.Consequences) {
    let (told, closing) = state.withLock { state in
      let consequences = change(&state)
      let told = consequences.answers.compactMap { ticket, answer in
        state.waiting.removeValue(forKey: ticket).map { ($0, answer) }
      }
      return (told, consequences.closing.compactMap { state.clients.removeValue(forKey: $0) })
    }
    for client in closing { client.shutDown() }
    for (continuation, answer) in told { continuation.resume(returning: answer) }
  }
}
