import Testing

@testable import PenstockSinks

@Suite("Which client may have a connection", .timeLimit(.minutes(2))) struct ConnectionLedgerTests {
  private typealias Ticket = ConnectionLedger.Ticket

  /// A ledger with what its callers know.
  private struct World: Hashable {
    var ledger: ConnectionLedger
    /// Requests that wait, in their order, and their clients.
    var waiting: [[UInt64]] = []
    /// Requests with a connection, for each client.
    var busy: [UInt64: Int] = [:]
    /// Clients that were not told to close.
    var open: Set<UInt64> = []
    var (nextTicket, left): (Ticket, Int)

    init(limit: Int, clients: UInt64, requests: Int) {
      ledger = ConnectionLedger(limit: limit)
      (nextTicket, left) = (100, requests)
      for id in 1...clients {
        ledger.join(id)
        open.insert(id)
      }
    }

    /// Follows what a move led to. Returns what is wrong.
    mutating func follow(_ consequences: ConnectionLedger.Consequences, cancelled: Ticket? = nil) -> String? {
      for id in consequences.closing {
        if busy[id, default: 0] > 0 { return "client \(id) closes below its requests" }
        open.remove(id)
      }
      let answered = waiting.filter { consequences.answers.keys.contains($0[0]) && $0[0] != cancelled }
      let first = waiting.filter { $0[0] != cancelled }.prefix(answered.count)
      if Array(first) != answered { return "one overtook another" }
      for request in answered where consequences.answers[request[0]] == .some(.taken) {
        busy[request[1], default: 0] += 1
        if !open.contains(request[1]) { return "client \(request[1]) was closed" }
      }
      waiting.removeAll { consequences.answers.keys.contains($0[0]) }
      let used = busy.values.reduce(0, +)
      if used > ledger.open { return "\(used) requests with \(ledger.open) connections" }
      if ledger.open > ledger.limit { return "\(ledger.open) connections" }
      if waiting.count != ledger.waitingCount { return "a request waits that is answered" }
      if !waiting.isEmpty, used == 0 { return "one waits and no connection is in use" }
      return nil
    }
  }

  /// Every move, each with the world after it.
  private static func moves(_ world: World) -> [(String, World, String?)] {
    var found: [(String, World, String?)] = []
    func add(_ name: String, cancelled: Ticket? = nil, _ move: (inout World) -> ConnectionLedger.Consequences) {
      var next = world
      let consequences = move(&next)
      let wrong = next.follow(consequences, cancelled: cancelled)
      found.append((name, next, wrong))
    }
    for id in UInt64(1)...3 {
      if world.left > 0 {
        add("take \(id)") { next in
          let ticket = next.nextTicket
          (next.nextTicket, next.left) = (ticket + 1, next.left - 1)
          next.waiting.append([ticket, id])
          return next.ledger.take(id, ticket)
        }
      }
      if world.busy[id, default: 0] > 0 {
        add("give back \(id)") { next in
          next.busy[id, default: 0] -= 1
          return next.ledger.giveBack(id)
        }
      }
      if world.open.contains(id) { add("retire \(id)") { $0.ledger.retire(id) } }
    }
    for request in world.waiting {
      add("cancel \(request[0])", cancelled: request[0]) { $0.ledger.cancel(request[0]) }
    }
    return found
  }

  @Test(arguments: [1, 2, 3])
  func `every order keeps the bound and the turns, and whoever waits gets one`(limit: Int) {
    let first = World(limit: limit, clients: 3, requests: 4)
    var (open, seen): ([World], Set<World>) = ([first], [first])
    while let world = open.popLast() {
      let moves = Self.moves(world)
      // When requests end one after the other, none is left that waits.
      var drained = world
      while let id = drained.busy.first(where: { $0.value > 0 })?.key {
        drained.busy[id, default: 0] -= 1
        _ = drained.follow(drained.ledger.giveBack(id))
      }
      #expect(drained.waiting.isEmpty, "\(world)")
      for (name, next, wrong) in moves {
        if let wrong { return #expect(Bool(false), "\(name): \(wrong) after \(world)") }
        if seen.insert(next).inserted { open.append(next) }
      }
    }
    #expect(seen.count > 1_000)
  }

  @Test func `the client that was idle for longest closes for another one, and a bound may change`() {
    var ledger = ConnectionLedger(limit: 2)
    for id in UInt64(1)...3 { ledger.join(id) }
    for id in UInt64(1)...2 { #expect(ledger.take(id, id).answers == [id: .taken]) }
    for id in [UInt64(2), 1] { #expect(ledger.giveBack(id) == ConnectionLedger.Consequences()) }
    let taken = ledger.take(3, 3)
    #expect(taken.answers == [3: .taken] && taken.closing == [2])
    #expect(ledger.take(2, 4).answers == [4: .retired])
    ledger.setLimit(1)
    // Both connections go before there is one within the new bound.
    #expect(ledger.take(3, 5).answers.isEmpty)
    let last = ledger.giveBack(3)
    #expect(last.closing == [3] && last.answers == [5: .retired] && ledger.open == 0)
  }
}

@Suite("Connections of all sinks together", .timeLimit(.minutes(1))) struct ConnectionBudgetTests {
  private func transport(_ budget: ConnectionBudget, idle: Duration = .seconds(60), pinned: Bool) throws
    -> AsyncHTTPTransport
  {
    var settings = TransportSettings()
    settings.idleTimeout = idle
    settings.addresses = pinned ? .publicAndPrivate : nil
    return try AsyncHTTPTransport(settings, resolver: SystemHostResolver(), budget: budget)
  }

  private func server(answers: Bool = true) throws -> CannedServer {
    let reply = Array("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".utf8)
    return try CannedServer(reply: answers ? reply : [], keepsOpen: true)
  }

  @Test(arguments: [true, false])
  func `an idle sink gives its connection to another one`(pinned: Bool) async throws {
    let (budget, server) = (ConnectionBudget(limit: 1), try server())
    defer { server.stop() }
    let transports = try (0..<3).map { _ in try transport(budget, pinned: pinned) }
    for round in 1...3 {
      for transport in transports {
        #expect(try await transport.ask("http://127.0.0.1:\(server.port)/").get().status == 200)
        #expect(budget.open == 1 && budget.waiting == 0)
      }
      #expect(server.connections == 3 * round)
    }
    for transport in transports { await transport.close() }
    #expect(budget.open == 0)
  }

  @Test func `without a free one, a request fails in time, with a clear cause, and sends nothing`() async throws {
    let (budget, silent, other) = (ConnectionBudget(limit: 1), try server(answers: false), try server())
    defer { [silent, other].forEach { $0.stop() } }
    // By name: the time for a connection is not spent on a lookup.
    let (first, second) = (try transport(budget, pinned: true), try transport(budget, pinned: false))
    let hanging = Task { await first.ask("http://127.0.0.1:\(silent.port)/") }
    while silent.connections == 0 { await Task.yield() }
    let refused = await second.ask("http://127.0.0.1:\(other.port)/", timeout: .milliseconds(50))
    #expect(refused.kind == .tooManyConnections, "\(refused)")
    #expect(other.connections == 0 && budget.waiting == 0)
    let waiting = Task { await second.ask("http://127.0.0.1:\(other.port)/") }
    while budget.waiting == 0 { await Task.yield() }
    hanging.cancel()
    #expect(try await waiting.value.get().status == 200)
    _ = await hanging.value
    let cancelled = Task { await second.ask("http://127.0.0.1:\(silent.port)/") }
    while silent.connections == 1 { await Task.yield() }
    let last = Task { await first.ask("http://127.0.0.1:\(other.port)/") }
    while budget.waiting == 0 { await Task.yield() }
    last.cancel()
    #expect(await last.value.kind == .cancelled)
    cancelled.cancel()
    _ = await cancelled.value
    for transport in [first, second] { await transport.close() }
  }

  @Test(arguments: [true, false])
  func `a sink that was idle for its time has no client and no connection`(pinned: Bool) async throws {
    let (budget, server) = (ConnectionBudget(limit: 5), try server())
    defer { server.stop() }
    let transport = try transport(budget, idle: .milliseconds(20), pinned: pinned)
    for _ in 1...2 {
      #expect(try await transport.ask("http://127.0.0.1:\(server.port)/").get().status == 200)
      while budget.open > 0 { await Task.yield() }
    }
    #expect(server.connections == 2)
    await transport.close()
  }
}
