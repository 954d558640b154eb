import PenstockLog
import Testing

/// Every sequence of calls up to a length, against a model that is too simple to be wrong.
@Suite struct AppendQueueTests {
  private static let blockBytes = 10
  private static let queueBytes = 16

  /// Payload bytes of the batches offered: below a block, a whole block, more than the queue.
  private static let sizes = [4, 10, 20]

  private enum Call: CaseIterable {
    case offerSmall, offerBlock, offerHuge, next, completed, ranOutOfSpace, fail, close
    case park, unpark, withdrawFirst, withdrawLast
  }

  /// The queue as a list of tickets.
  private struct Model {
    var queued: [(ticket: Int, size: Int, count: Int)] = []
    var group: [Int] = []
    /// The same, as it is put back.
    var parked: [AppendQueue<Int>.Pending] = []
    var isCommitting = false
    var isClosing = false
    var isParked = false
    var hasFailed = false
    /// One past the last offset that was written, and that was given out.
    var written = 100
    var given = 100
    var answered: [Int: Int] = [:]
    var offered = 0
    var bytes: Int { queued.reduce(0) { $0 + $1.size } }
    /// How many records the group under way holds.
    var groupCount: Int { group.reduce(0) { $0 + AppendQueueTests.batches[$1 % 10].count } }
    mutating func answer(_ tickets: [Int]) { for ticket in tickets { answered[ticket, default: 0] += 1 } }
  }

  /// A batch whose payload, line feeds included, has `size` bytes.
  private static func sized(_ size: Int, records: Int) -> RecordBatch {
    batch([[UInt8](repeating: 65, count: size - records)] + [[UInt8]](repeating: [], count: records - 1))
  }

  private static let batches = sizes.enumerated().map { sized($1, records: $0 + 1) }

  @Test(
    arguments: [
      [.offerSmall, .offerBlock, .offerHuge, .next, .completed, .ranOutOfSpace, .fail, .close],
      [.offerSmall, .offerBlock, .next, .completed, .park, .unpark, .withdrawFirst, .withdrawLast, .close],
    ] as [[Call]])
  private func `every sequence of eight calls gives dense offsets and one answer for each ticket`(calls: [Call]) {
    var sequences = 0
    func explore(_ queue: AppendQueue<Int>, _ model: Model, _ path: [Call]) {
      guard path.count < 8 else { return }
      for call in calls {
        var (queue, model) = (queue, model)
        guard let wrong = Self.apply(call, &queue, &model) else { continue }
        sequences += 1
        if wrong != "" { Issue.record("\(path + [call]): \(wrong)") }
        explore(queue, model, path + [call])
      }
    }
    let queue = AppendQueue<Int>(nextOffset: Offset(100), blockBytes: Self.blockBytes, queueBytes: Self.queueBytes)
    explore(queue, Model(), [])
    #expect(sequences > 100_000)
  }

  /// Makes a call on both; nil when it is not allowed now, else what is wrong ("" for nothing).
  private static func apply(_ call: Call, _ queue: inout AppendQueue<Int>, _ model: inout Model) -> String? {
    switch call {
    case .offerSmall: return offer(0, &queue, &model)
    case .offerBlock: return offer(1, &queue, &model)
    case .offerHuge: return offer(2, &queue, &model)
    case .next:
      guard !model.isCommitting else { return nil }
      return next(&queue, &model)
    case .completed:
      guard model.isCommitting else { return nil }
      queue.completed()
      model.isCommitting = false
      model.answer(model.group)
    case .ranOutOfSpace:
      guard model.isCommitting else { return nil }
      // The group wrote nothing: the end is where it was before.
      let behind = queue.ranOutOfSpace(end: Offset(UInt64(model.written - model.groupCount)))
      if behind.map(\.ticket) != model.queued.map(\.ticket) { return "not all that waited are told" }
      model.written -= model.groupCount
      model.given = model.written
      model.answer(model.group + behind.map(\.ticket))
      model.queued = []
      model.isCommitting = false
      model.isParked = false
    case .fail:
      guard model.isCommitting else { return nil }
      let behind = queue.fail(LogError(.poisoned, "test"))
      if behind.map(\.ticket) != model.queued.map(\.ticket) { return "not all that waited are told" }
      model.answer(model.group + behind.map(\.ticket))
      model.queued = []
      model.isCommitting = false
      model.hasFailed = true
    case .park:
      guard model.isCommitting else { return nil }
      return park(&queue, &model)
    case .unpark:
      queue.unpark()
      model.isParked = false
    case .withdrawFirst: return withdraw(model.queued.first?.ticket, &queue, &model)
    case .withdrawLast: return withdraw(model.queued.last?.ticket, &queue, &model)
    case .close:
      guard !model.isClosing else { return nil }
      queue.close()
      model.isClosing = true
    }
    return settled(queue, model)
  }

  private static func park(_ queue: inout AppendQueue<Int>, _ model: inout Model) -> String? {
    let isParked = queue.park(model.parked)
    if isParked == model.isClosing { return "parks while closing, or does not park" }
    // Who closes must tell all; that is another call.
    guard isParked else { return settled(queue, model) }
    model.queued = model.parked.map { ($0.ticket, $0.batch.payload.count, $0.batch.count) } + model.queued
    model.written -= model.groupCount
    model.isCommitting = false
    model.isParked = true
    return settled(queue, model)
  }

  /// Takes one back, and nothing unless parked.
  private static func withdraw(_ ticket: Int?, _ queue: inout AppendQueue<Int>, _ model: inout Model) -> String? {
    guard let ticket else { return nil }
    let withdrawn = queue.withdraw { $0 == ticket }.map(\.ticket)
    if withdrawn != (model.isParked ? [ticket] : []) { return "withdrew \(withdrawn)" }
    guard let gone = model.queued.firstIndex(where: { $0.ticket == ticket }), model.isParked else {
      return settled(queue, model)
    }
    model.given -= model.queued.remove(at: gone).count
    model.answer([ticket])
    if model.queued.isEmpty { model.isParked = false }
    return settled(queue, model)
  }

  private static func offer(_ kind: Int, _ queue: inout AppendQueue<Int>, _ model: inout Model) -> String {
    let batch = batches[kind]
    let size = sizes[kind]
    let hasRoom = model.queued.isEmpty || model.bytes + size <= queueBytes
    if queue.hasRoom(for: batch) != hasRoom { return "room is \(!hasRoom), should be \(hasRoom)" }
    let ticket = model.offered * 10 + kind
    switch queue.offer(batch, durability: .disk, ticket: ticket) {
    case .accepted(let offsets):
      if model.hasFailed || model.isClosing { return "accepted after the end" }
      if !hasRoom { return "accepted without room" }
      if offsets != Offset(UInt64(model.given))..<Offset(UInt64(model.given + batch.count)) {
        return "offsets \(offsets), expected \(model.given)"
      }
      model.queued.append((ticket, size, batch.count))
      model.given += batch.count
      model.offered += 1
    case .full:
      if model.hasFailed || model.isClosing || hasRoom { return "full, without a reason" }
    case .refused(let error):
      guard model.hasFailed || model.isClosing else { return "refused without a reason" }
      if error.code != (model.hasFailed ? .poisoned : .closed) { return "refused as \(error.code)" }
    }
    return settled(queue, model)
  }

  private static func next(_ queue: inout AppendQueue<Int>, _ model: inout Model) -> String {
    switch queue.next() {
    case .commit(let group):
      if group.isEmpty || model.hasFailed { return "nothing to commit" }
      if group.map(\.ticket) != model.queued.prefix(group.count).map(\.ticket) { return "not in order" }
      let bytes = model.queued.prefix(group.count).reduce(0) { $0 + $1.size }
      if group.count > 1, bytes > blockBytes { return "a group larger than a block" }
      if group.count < model.queued.count, bytes + model.queued[group.count].size <= blockBytes {
        return "a group smaller than it could be"
      }
      if group[0].first != Offset(UInt64(model.written)) { return "a hole in front of the group" }
      for (one, other) in zip(group, group.dropFirst()) where one.offsets.upperBound != other.first { return "a hole" }
      if model.isParked, !model.isClosing { return "commits while parked" }
      model.group = group.map(\.ticket)
      model.parked = group
      model.queued.removeFirst(group.count)
      model.written += group.reduce(0) { $0 + $1.batch.count }
      model.isCommitting = true
    case .parked: if !model.isParked || model.isClosing || model.queued.isEmpty { return "parks" }
    case .wait: if !model.queued.isEmpty || model.isClosing || model.hasFailed { return "waits" }
    case .finish: if !model.queued.isEmpty || !(model.isClosing || model.hasFailed) { return "finishes" }
    }
    return settled(queue, model)
  }

  private static func settled(_ queue: AppendQueue<Int>, _ model: Model) -> String {
    if queue.isIdle != (model.queued.isEmpty && !model.isCommitting) { return "idle is \(queue.isIdle)" }
    if let twice = model.answered.first(where: { $0.value > 1 }) { return "ticket \(twice.key) is answered twice" }
    let open = model.queued.count + (model.isCommitting ? model.group.count : 0)
    if model.answered.count + open != model.offered { return "a ticket is forgotten" }
    return ""
  }
}
