@testable import PenstockLog
import PenstockTestKit
import Testing

/// Every sequence of moves, up to a depth, against a model that forgets nothing.
@Suite struct ProducerTableTests {
  private static let names = ["a", "b", "c"]
  private static let capacity = 2

  private enum Move: Hashable {
    case open(String), release(String), offer(String, UInt64), stale(String), resume(String, UInt64)
    case commit, abandon, crash, lose
  }

  private static let moves: [Move] =
    names.flatMap { name in
      [.open(name), .release(name), .stale(name), .resume(name, 0), .resume(name, 2)]
        + (1...3).map { .offer(name, $0) }
    } + [.commit, .abandon, .crash, .lose]

  /// What is true, without a bound.
  private struct Model: Hashable {
    /// The appends of each producer's present numbering.
    var appends: [String: [UInt64: Range<Offset>]] = [:]
    var newest: [String: UInt64] = [:]
    var inFlight: [String: [UInt64]] = [:]
    var queue: [ProducerKey] = []
    var handles: [String: UInt64] = [:]
    var highestEpoch: UInt64 = 0
    var end = Offset.zero
    var openings: UInt32 = 1
    /// Whether the table may have forgotten something, so that it may refuse what the model would take.
    var hasLost = false
    var used: Set<String> = []

    func answer(_ name: String, _ sequence: UInt64) -> ProducerTable.Answer {
      let newest = newest[name] ?? 0
      let reserved = newest + UInt64(inFlight[name]?.count ?? 0)
      if sequence <= newest {
        guard sequence + UInt64(ProducerTable.remembered) > newest else { return .forgotten }
        return appends[name]?[sequence].map { .known($0) } ?? .forgotten
      }
      if sequence <= reserved { return .inFlight }
      return sequence == reserved + 1 ? .append : .refused(.outOfSequence(expected: reserved + 1))
    }
  }

  private struct ProducerKey: Hashable {
    let name: String
    let sequence: UInt64
    let epoch: UInt64
  }

  private struct Case: Hashable {
    var table = ProducerTable(capacity: ProducerTableTests.capacity)
    var model = Model()
  }

  @Test func `nothing is appended twice, forgotten silently or refused without reason`() throws {
    var first = Case()
    first.table.begin(logEpoch: 1)
    var seen: Set<Case> = [first]
    var level = [first]
    for _ in 0..<6 {
      var next: [Case] = []
      for start in level {
        for move in Self.moves {
          var step = start
          do { try apply(move, &step) } catch { throw Wrong("\(move) of \(start): \(error)") }
          if seen.insert(step).inserted { next.append(step) }
        }
      }
      level = next
    }
    print("producer states: \(seen.count)")
    #expect(seen.count > 10_000)
  }

  @Test func `long random walks keep every promise`() throws {
    for seed in 0..<200 as Range<UInt64> {
      var random = SplitMix64(seed: seed)
      var state = Case()
      state.table.begin(logEpoch: 1)
      for step in 0..<150 {
        // Losses are rare, or nothing else would be tested.
        let pick = random.below(Self.moves.count + 60)
        let move: Move
        if pick < Self.moves.count {
          move = Self.moves[pick]
        } else {
          let name = Self.names[random.below(Self.names.count)]
          let reserved = (state.model.newest[name] ?? 0) + UInt64(state.model.inFlight[name]?.count ?? 0)
          move = pick % 4 == 0 ? .commit : pick % 4 == 1 ? .open(name) : .offer(name, reserved + 1)
        }
        if move == .lose, random.below(4) > 0 { continue }
        do { try apply(move, &state) } catch { throw Wrong("seed \(seed), step \(step), \(move): \(error)") }
      }
    }
  }

  private struct Wrong: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }

  private func apply(_ move: Move, _ state: inout Case) throws {
    switch move {
    case .open(let name): try open(name, &state)
    case .release(let name):
      if let epoch = state.model.handles.removeValue(forKey: name) { state.table.release(name, epoch: epoch) }
    case .offer(let name, let sequence): try offer(name, sequence, &state)
    case .stale(let name):
      guard let epoch = state.model.handles[name], epoch > 0 else { return }
      guard case .refused = state.table.offer(name, epoch: epoch - 1, sequence: 1) else { throw Wrong("not fenced") }
    case .resume(let name, let sequence): try resume(name, sequence, &state)
    case .commit: commit(&state)
    case .abandon:
      state.table.abandon()
      state.model.inFlight = [:]
      state.model.queue = []
    case .crash: try crash(&state)
    case .lose:
      state.model.end = state.model.end + 1
      state.table.lose(upTo: state.model.end)
      state.model.hasLost = true
    }
    guard state.table.entries.count <= Self.capacity else { throw Wrong("\(state.table.entries.count) producers") }
    for name in Self.names where state.model.handles[name] != nil || state.model.inFlight[name] != nil {
      guard state.table.entries[name] != nil else { throw Wrong("\(name) was evicted while in use") }
    }
  }

  private func open(_ name: String, _ state: inout Case) throws {
    state.model.used.insert(name)
    do throws(ProducerTable.Refusal) {
      let epoch = try state.table.open(name)
      guard epoch > state.model.highestEpoch else { throw .unknown }
      state.model.highestEpoch = epoch
      state.model.handles[name] = epoch
    } catch {
      let busy = Self.names.filter { state.model.handles[$0] != nil || state.model.inFlight[$0] != nil }
      guard error == .full(capacity: Self.capacity), busy.count >= Self.capacity else { throw Wrong("\(error)") }
    }
  }

  private func offer(_ name: String, _ sequence: UInt64, _ state: inout Case) throws {
    guard let epoch = state.model.handles[name] else { return }
    let right = state.model.answer(name, sequence)
    let answer = state.table.offer(name, epoch: epoch, sequence: sequence)
    let mayForget = state.model.hasLost || state.model.used.count > Self.capacity
    switch answer {
    case .refused(.uncertain):
      guard mayForget else { throw Wrong("refused, though nothing can have been forgotten") }
    default: guard answer == right else { throw Wrong("\(answer) instead of \(right)") }
    }
    if answer == .append {
      state.model.inFlight[name, default: []].append(sequence)
      state.model.queue.append(ProducerKey(name: name, sequence: sequence, epoch: epoch))
    }
  }

  private func resume(_ name: String, _ sequence: UInt64, _ state: inout Case) throws {
    guard let epoch = state.model.handles[name] else { return }
    do throws(ProducerTable.Refusal) {
      try state.table.resume(name, epoch: epoch, after: sequence)
    } catch {
      return
    }
    guard state.model.inFlight[name] == nil else { throw Wrong("resumed with appends in flight") }
    // The caller has spoken: what it does not know of was another numbering.
    if state.model.newest[name] != sequence { state.model.appends[name] = nil }
    // A table that knew no offsets of it any more may answer so; that is tested elsewhere.
    if state.table.entries[name]?.recent.isEmpty == true { state.model.appends[name] = nil }
    state.model.newest[name] = sequence
  }

  private func commit(_ state: inout Case) {
    var batches: [RecordBatch] = []
    let base = state.model.end
    for key in state.model.queue {
      var batch = RecordBatch()
      batch.append("x")
      batch.producer = ProducerMark(
        name: key.name, epoch: key.epoch, sequence: key.sequence, source: [UInt8(key.sequence)])
      state.model.appends[key.name, default: [:]][key.sequence] = state.model.end..<(state.model.end + 1)
      state.model.newest[key.name] = key.sequence
      state.model.end = state.model.end + 1
      batches.append(batch)
    }
    if let trailer = ProducerTrailer(batches) { state.table.apply(trailer, at: base, upTo: state.model.end) }
    state.model.queue = []
    state.model.inFlight = [:]
  }

  private func crash(_ state: inout Case) throws {
    let snapshot = ProducerSnapshot(
      state.table, logID: Array(1...16), generation: 1, end: state.model.end)
    let read = try ProducerSnapshot(decoding: snapshot.encoded())
    guard read == snapshot else { throw Wrong("the snapshot comes back as \(read)") }
    state.table = read.table(capacity: Self.capacity)
    state.model.openings += 1
    state.table.begin(logEpoch: state.model.openings)
    state.model.queue = []
    state.model.inFlight = [:]
    state.model.handles = [:]
  }
}
