/// Which clients may have how many connections, when all connections of the process are bounded. A pure value;
/// ``ConnectionBudget`` does what it says.
///
/// A *client* has a pool of connections. It opens one more when all that it has are busy. Only a whole client can
/// be made to close its connections:
/// ```
/// member    makes requests                      take → busy; give back → idle again
/// retired   makes no more, ends the present     the last give back → gone, and its connections are closed
/// ```
/// Invariants (an exhaustive test checks them over all sequences of moves)
/// 1. The connections of members and retired clients together are at most the limit.
/// 2. Requests that wait go in the order in which they came, and none waits while a connection is free.
/// 3. Each gets one in the end, if every request ends: while one waits, a client that gives a connection back retires.
struct ConnectionLedger: Hashable, Sendable {
  typealias ClientID = UInt64
  typealias Ticket = UInt64

  private struct Client: Hashable, Sendable {
    /// Connections that requests use.
    var busy = 0
    /// Connections that it may have open.
    var open = 0
    var isRetired = false
    /// Grows with each time that a client becomes idle.
    var idleSince: UInt64 = 0
  }

  /// The answer to a request.
  enum Answer: Hashable, Sendable {
    /// The request may use one connection of the client, and gives it back.
    case taken
    /// The client makes no more requests. Ask again with another one.
    case retired
  }

  /// What follows from a move.
  struct Consequences: Hashable, Sendable {
    /// Nil for a request that was cancelled.
    var answers: [Ticket: Answer?] = [:]
    /// Close these: they are not members any more and make no request.
    var closing: [ClientID] = []
  }

  private(set) var limit: Int
  private var clients: [ClientID: Client] = [:]
  private var waiting: [(ticket: Ticket, client: ClientID)] = []
  private(set) var open = 0
  private var lastIdle: UInt64 = 0

  init(limit: Int) { self.limit = max(1, limit) }

  static func == (a: Self, b: Self) -> Bool {
    a.limit == b.limit && a.clients == b.clients && a.open == b.open && a.waiting.elementsEqual(b.waiting, by: ==)
  }

  func hash(into hasher: inout Hasher) {
    hasher.combine(clients)
    for request in waiting { hasher.combine(request.ticket) }
  }

  var waitingCount: Int { waiting.count }
  func isMember(_ id: ClientID) -> Bool { clients[id]?.isRetired == false }
  func isIdle(_ id: ClientID) -> Bool { clients[id]?.busy == 0 }

  /// Clients that have too many keep them until they retire.
  mutating func setLimit(_ limit: Int) { self.limit = max(1, limit) }

  mutating func join(_ id: ClientID) { clients[id] = Client() }

  /// A request wants a connection. It waits if the answers do not have its ticket.
  mutating func take(_ id: ClientID, _ ticket: Ticket) -> Consequences {
    waiting.append((ticket, id))
    return serve()
  }

  /// A request that waits does not want a connection any more.
  mutating func cancel(_ ticket: Ticket) -> Consequences {
    guard let index = waiting.firstIndex(where: { $0.ticket == ticket }) else { return Consequences() }
    waiting.remove(at: index)
    return serve(Consequences(answers: [ticket: nil]))
  }

  /// A request has ended.
  mutating func giveBack(_ id: ClientID) -> Consequences {
    guard var client = clients[id] else { return Consequences() }
    client.busy -= 1
    if client.busy == 0 {
      lastIdle += 1
      client.idleSince = lastIdle
    }
    // Its connection stays open, so who waits gets none before the whole client closes.
    if !waiting.isEmpty { client.isRetired = true }
    clients[id] = client
    var consequences = Consequences()
    if client.isRetired, client.busy == 0 { close(id, &consequences) }
    return serve(consequences)
  }

  /// The client makes no more requests.
  mutating func retire(_ id: ClientID) -> Consequences {
    guard let client = clients[id] else { return Consequences() }
    clients[id]?.isRetired = true
    var consequences = Consequences()
    if client.busy == 0 { close(id, &consequences) }
    return serve(consequences)
  }

  private mutating func close(_ id: ClientID, _ consequences: inout Consequences) {
    open -= clients.removeValue(forKey: id)?.open ?? 0
    consequences.closing.append(id)
  }

  private mutating func serve(_ before: Consequences = Consequences()) -> Consequences {
    var consequences = before
    while let (ticket, id) = waiting.first {
      guard let client = clients[id], !client.isRetired else {
        waiting.removeFirst()
        consequences.answers[ticket] = .some(.retired)
        continue
      }
      if client.busy == client.open {
        while open >= limit, closeIdlest(but: id, &consequences) {}
        guard open < limit else { break }
        clients[id]?.open += 1
        open += 1
      }
      clients[id]?.busy += 1
      waiting.removeFirst()
      consequences.answers[ticket] = .some(.taken)
    }
    return consequences
  }

  /// Closes the connections of the client that has been idle for longest. False when none is idle.
  private mutating func closeIdlest(but id: ClientID, _ consequences: inout Consequences) -> Bool {
    let idle = clients.filter { $0.key != id && $0.value.busy == 0 && $0.value.open > 0 }
    guard let idlest = idle.min(by: { $0.value.idleSince < $1.value.idleSince })?.key else { return false }
    close(idlest, &consequences)
    return true
  }
}
