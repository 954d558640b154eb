@testable import PenstockLog
import PenstockTestKit
import Testing

/// Every sequence of calls up to a length, against a model that is too simple to be wrong.
@Suite struct AppendQueueTests {
  typealias Call = AppendQueueModel.Call

  /// What can happen to a log that compresses everything itself, to one with encoders, and around a full disk.
  private static let worlds: [(slots: Int, crowd: Int, calls: [Call], length: Int)] = [
    (0, 16, [.offerSmall, .offerBlock, .offerHuge, .next, .completed, .ranOutOfSpace, .fail, .close], 7),
    (0, 16, [.offerSmall, .offerBlock, .next, .completed, .park, .unpark, .withdrawFirst, .withdrawLast, .close], 7),
    (2, 16, [.offerSmall, .offerBlock, .encode, .encodedFirst, .encodedLast, .next, .completed, .close], 7),
    (2, 16, [.offerBlock, .encode, .encodedFirst, .encodedLast, .next, .completedOne, .ranOutOfSpace, .fail], 8),
    (2, 16, [.offerBlock, .encode, .encodedLast, .next, .completedOne, .park, .unpark, .close], 8),
    (3, 16, [.offerBlock, .encode, .encodedLast, .encodedBadly, .next, .park, .unpark, .withdrawFirst], 7),
    (2, 1, [.offerSmall, .encode, .encodedFirst, .next, .completed, .close], 9),
    (2, 2, [.offerSmall, .encode, .encodedLast, .next, .completedOne, .ranOutOfSpace, .park, .unpark], 8),
  ]

  @Test(arguments: worlds.indices)
  private func `every sequence of calls gives dense offsets, blocks in order and one answer each`(world: Int) {
    let (slots, crowd, calls, length) = Self.worlds[world]
    #expect(explore(AppendQueueModel(slots: slots, crowd: crowd), calls, upTo: length) { $0.apply($1) } > 30_000)
  }

  @Test(arguments: [0, 1, 2, 3]) func `whatever order encoders finish in, all is written in order`(slots: Int) {
    var model = AppendQueueModel(slots: slots)
    var random = SplitMix64(seed: UInt64(slots))
    for step in 0..<5_000 {
      let calls: [Call] = [
        .offerSmall, .offerSmall, .offerBlock, .offerHuge, .encode, .encodedFirst, .encodedLast, .next, .completed,
      ]
      let call = calls[Int(random.next() % UInt64(calls.count))]
      if let wrong = model.apply(call), wrong != "" {
        Issue.record("step \(step), \(call): \(wrong)")
        return
      }
    }
    #expect(model.answered.count > 250)
  }

  /// As many tasks append again as soon as they are told; an encoder and the committer take turns.
  @Test(arguments: [20, 64, 255]) func `a crowd is split in two halves that take turns, and no further`(tasks: Int) {
    var queue = AppendQueue<Int, Int>(nextOffset: .zero, blockBytes: 1 << 20, queueBytes: 1 << 22, slots: 8)
    let one = AppendQueueModel.sized(40, records: 1)
    func offer(_ count: Int) { for _ in 0..<count { _ = queue.offer(one, durability: .disk, ticket: 0) } }
    // The worst beginning: one alone, then all the others.
    offer(1)
    var sizes: [Int] = []
    for round in 0..<40 {
      let groups: [AppendQueue<Int, Int>.Group]
      switch queue.next() {
      case .compress(let group): groups = [group]
      case .write(let all): groups = all
      case .wait, .parked, .finish: return #expect(Bool(false), "nothing to do in round \(round)")
      }
      if round == 0 { offer(tasks - 1) }
      if case .compress(let ahead) = queue.encode() { queue.encoded(ahead.number, .success(0)) }
      let told = groups.reduce(0) { $0 + $1.appends.count }
      sizes.append(told)
      queue.completed(groups.count)
      offer(told)
    }
    #expect(sizes.dropFirst(10).allSatisfy { $0 >= tasks / 3 }, "\(sizes)")
  }

  @Test func `less than a block gathers while anything is under way, and goes to the committer alone`() {
    var queue = AppendQueue<Int, Int>(nextOffset: .zero, blockBytes: 100, queueBytes: 1_000, slots: 4)
    func offer(_ size: Int) { _ = queue.offer(AppendQueueModel.sized(size, records: 1), durability: .disk, ticket: 0) }
    offer(40)
    #expect(!queue.wantsEncoder && queue.wantsCommitter)
    guard case .compress(let small) = queue.next() else { return #expect(Bool(false), "the committer compresses it") }
    #expect(small.appends.count == 1)
    // While that one is written, a block and a half gather.
    for _ in 0..<4 { offer(40) }
    #expect(queue.wantsEncoder)
    guard case .compress(let whole) = queue.encode() else { return #expect(Bool(false), "a whole block is encoded") }
    #expect(whole.appends.count == 2)
    offer(10)
    #expect(!queue.wantsEncoder, "90 bytes are not a block")
    offer(10)
    #expect(queue.wantsEncoder, "the two and a half batches left make one")
    guard case .compress(let second) = queue.encode() else { return #expect(Bool(false), "so does the rest") }
    offer(10)
    #expect(!queue.wantsEncoder)
    queue.completed(1)
    #expect(!queue.wantsCommitter, "the next in order is with an encoder")
    queue.encoded(second.number, .success(2))
    #expect(!queue.wantsCommitter)
    queue.encoded(whole.number, .success(1))
    guard case .write(let both) = queue.next() else { return #expect(Bool(false), "both are ready") }
    #expect(both.map { try? $0.block?.get() } == [1, 2], "in order, before one sync")
    queue.completed(2)
    guard case .compress(let rest) = queue.next() else { return #expect(Bool(false), "nothing else is under way") }
    #expect(rest.appends.count == 1)
  }
}
