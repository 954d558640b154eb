@testable import PenstockLog

/// An `AppendQueue` and, beside it, the same as lists of tickets.
struct AppendQueueModel {
  enum Call: CaseIterable {
    case offerSmall, offerBlock, offerHuge, close
    case encode, encodedFirst, encodedLast, encodedBadly
    case next, completed, completedOne, ranOutOfSpace, fail
    case park, unpark, withdrawFirst, withdrawLast
  }

  struct Item: Equatable {
    var ticket: Int
    var size: Int
    var count: Int
  }
  struct Group: Equatable {
    var number: Int
    var items: [Item]
    var isReady = false
    var isWanted = true
    var isEncoded = true
    var bytes: Int { items.reduce(0) { $0 + $1.size } }
    var count: Int { items.reduce(0) { $0 + $1.count } }
  }

  static let blockBytes = 10
  static let queueBytes = 26
  /// Payload bytes of the batches offered: below a block, a whole block, more than the queue.
  static let sizes = [4, 10, 30]
  static let batches = sizes.enumerated().map { sized($1, records: $0 + 1) }

  /// A batch whose payload, line feeds included, has `size` bytes.
  static func sized(_ size: Int, records: Int) -> RecordBatch {
    batch([[UInt8](repeating: 65, count: size - records)] + [[UInt8]](repeating: [], count: records - 1))
  }

  let slots: Int
  let crowd: Int
  /// Appends of the newest group that was completed.
  var lastTold = 0
  var queue: AppendQueue<Int, Int>
  var queued: [Item] = []
  /// With encoders, wanted or not, and compressed.
  var pipeline: [Group] = []
  var committing: [Group] = []
  var (isClosing, isParked, isTrying, hasFailed) = (false, false, false, false)
  /// One past the last offset that was written, taken from the queue, and given out.
  var (written, given) = (100, 100)
  var answered: [Int: Int] = [:]
  var offered = 0

  init(slots: Int, crowd: Int = 16) {
    self.slots = slots
    self.crowd = crowd
    queue = AppendQueue(
      nextOffset: Offset(100), blockBytes: Self.blockBytes, queueBytes: Self.queueBytes, slots: slots,
      manyCallers: crowd)
  }

  private var wanted: [Group] { pipeline.filter(\.isWanted) }
  private var waitingBytes: Int { queued.reduce(0) { $0 + $1.size } + wanted.reduce(0) { $0 + $1.bytes } }
  private var queuedBytes: Int { queued.reduce(0) { $0 + $1.size } }
  /// How much the next group takes.
  private var nextCount: Int {
    var (count, bytes) = (0, 0)
    while count < queued.count, count == 0 || bytes + queued[count].size <= Self.blockBytes {
      bytes += queued[count].size
      count += 1
    }
    return count
  }
  private mutating func answer(_ items: [Item]) { for item in items { answered[item.ticket, default: 0] += 1 } }

  /// Makes a call on both; nil when it is not allowed now, else what is wrong ("" for nothing).
  mutating func apply(_ call: Call) -> String? {
    switch call {
    case .offerSmall: return offer(0)
    case .offerBlock: return offer(1)
    case .offerHuge: return offer(2)
    case .close:
      guard !isClosing else { return nil }
      queue.close()
      isClosing = true
    case .encode: return slots > 0 ? encode() : nil
    case .encodedFirst: return encoded(pipeline.firstIndex { !$0.isReady })
    case .encodedLast: return encoded(pipeline.lastIndex { !$0.isReady })
    case .encodedBadly: return encoded(pipeline.firstIndex { !$0.isReady }, isBad: true)
    case .next: return committing.isEmpty ? next() : nil
    case .completed, .completedOne:
      guard !committing.isEmpty else { return nil }
      let count = call == .completed ? committing.count : 1
      queue.completed(count)
      lastTold = committing[count - 1].items.count
      for group in committing[..<count] {
        answer(group.items)
        written += group.count
      }
      committing.removeFirst(count)
      isTrying = false
    case .ranOutOfSpace, .fail: return committing.isEmpty ? nil : giveUp(call)
    case .park: return committing.isEmpty ? nil : park()
    case .unpark:
      queue.unpark()
      isTrying = isTrying || isParked
      isParked = false
    case .withdrawFirst: return withdraw(queued.first)
    case .withdrawLast: return withdraw(queued.last)
    }
    return settled()
  }

  private mutating func offer(_ kind: Int) -> String {
    let batch = Self.batches[kind]
    let item = Item(ticket: offered, size: Self.sizes[kind], count: batch.count)
    let hasRoom = waitingBytes == 0 || waitingBytes + item.size <= Self.queueBytes
    if queue.hasSpace(for: item.size) != hasRoom { return "room is \(!hasRoom), should be \(hasRoom)" }
    switch queue.offer(batch, durability: .disk, ticket: offered) {
    case .accepted(let offsets):
      if hasFailed || isClosing { return "accepted after the end" }
      if !hasRoom { return "accepted without room" }
      if offsets != Offset(UInt64(given))..<Offset(UInt64(given + batch.count)) { return "\(offsets), not \(given)" }
      queued.append(item)
      given += batch.count
      offered += 1
    case .full:
      if hasFailed || isClosing || hasRoom { return "full, without a reason" }
    case .refused(let error):
      guard hasFailed || isClosing else { return "refused without a reason" }
      if error.code != (hasFailed ? .poisoned : .closed) { return "refused as \(error.code)" }
    }
    return settled()
  }

  /// Whether what was taken is what is in front, as much as a block holds, without a hole.
  private mutating func take(_ group: AppendQueue<Int, Int>.Group) -> String {
    let items = Array(queued[..<nextCount])
    if group.appends.map(\.ticket) != items.map(\.ticket) { return "not all, or not in order" }
    let behind = written + committing.reduce(0) { $0 + $1.count } + wanted.reduce(0) { $0 + $1.count }
    if group.first != Offset(UInt64(behind)) { return "a hole in front of the group" }
    for (one, other) in zip(group.appends, group.appends.dropFirst()) where one.offsets.upperBound != other.first {
      return "a hole"
    }
    queued.removeFirst(items.count)
    return ""
  }

  /// Beside a commit, half of those there are.
  private var hasHalf: Bool {
    let there = committing.reduce(lastTold) { $0 + $1.items.count }
    return wanted.isEmpty && !committing.isEmpty && queued.count >= crowd && queued.count * 2 >= there
  }

  private mutating func encode() -> String {
    let slotsUsed = pipeline.count + committing.count { $0.isEncoded }
    switch queue.encode() {
    case .compress(let group):
      if isParked || isTrying || hasFailed { return "encodes what cannot be written" }
      if slotsUsed >= slots { return "more blocks than slots" }
      if queuedBytes < Self.blockBytes, !hasHalf { return "encodes less than a block's worth" }
      let items = Array(queued[..<nextCount])
      let wrong = take(group)
      if wrong != "" { return wrong }
      pipeline.append(Group(number: group.number, items: items))
    case .wait:
      if (isClosing || hasFailed) && queued.isEmpty { return "an encoder waits for ever" }
      if !isParked, !isTrying, slotsUsed < slots, queuedBytes >= Self.blockBytes || hasHalf {
        return "an encoder is idle"
      }
    case .finish: if !queued.isEmpty || !(isClosing || hasFailed) { return "an encoder ends too early" }
    }
    return settled()
  }

  private mutating func encoded(_ index: Int?, isBad: Bool = false) -> String? {
    guard let index else { return nil }
    let group = pipeline[index]
    let result: Result<Int, LogError> = isBad ? .failure(LogError(.io, "test")) : .success(group.number)
    if queue.encoded(group.number, result) != group.isWanted { return "wanted is \(!group.isWanted)" }
    pipeline[index].isReady = true
    if !group.isWanted { pipeline.remove(at: index) }
    return settled()
  }

  private mutating func next() -> String {
    let expectsCommitter = queue.wantsCommitter
    switch queue.next() {
    case .compress(let group):
      if !wanted.isEmpty { return "overtakes what is under way" }
      if hasFailed || (isParked && !isClosing) { return "commits what cannot be written" }
      if slots > 0, !isParked, !isTrying, queuedBytes >= Self.blockBytes { return "does the encoders' work" }
      let items = Array(queued[..<nextCount])
      let wrong = take(group)
      if wrong != "" { return wrong }
      committing = [Group(number: group.number, items: items, isEncoded: false)]
    case .write(let groups):
      let ready = Array(wanted.prefix { $0.isReady })
      if ready.isEmpty || groups.map(\.number) != ready.map(\.number) {
        return "not all that is ready, or out of order"
      }
      if groups.map({ $0.appends.map(\.ticket) }) != ready.map({ $0.items.map(\.ticket) }) { return "other groups" }
      for group in groups where (try? group.block?.get()) ?? group.number != group.number { return "another's block" }
      committing = ready
      pipeline.removeAll { group in ready.contains { $0.number == group.number } }
    case .parked: if !isParked || isClosing || queued.isEmpty || !wanted.isEmpty { return "parks" }
    case .wait:
      if wanted.first?.isReady == true { return "leaves a block that is ready" }
      let mayLeave = slots > 0 && !isTrying && !isParked && queuedBytes >= Self.blockBytes
      if wanted.isEmpty, !queued.isEmpty, !mayLeave { return "waits for nothing" }
      if wanted.isEmpty, queued.isEmpty, isClosing || hasFailed { return "does not finish" }
    case .finish: if !queued.isEmpty || !wanted.isEmpty || !(isClosing || hasFailed) { return "finishes" }
    }
    if expectsCommitter == committing.isEmpty, !(queued.isEmpty && wanted.isEmpty) { return "wakes for nothing" }
    return settled()
  }

  private mutating func giveUp(_ call: Call) -> String {
    let end = Offset(UInt64(written))
    let behind = call == .fail ? queue.fail(LogError(.poisoned, "test")) : queue.ranOutOfSpace(end: end)
    let items = wanted.flatMap(\.items) + queued
    if behind.map(\.ticket) != items.map(\.ticket) { return "not all that waited are told" }
    answer(committing.flatMap(\.items) + items)
    unwant()
    (queued, committing) = ([], [])
    if call == .fail { hasFailed = true } else { given = written }
    if call == .ranOutOfSpace { (isParked, isTrying) = (false, false) }
    return settled()
  }

  /// What encoders still do is for nothing.
  private mutating func unwant() {
    pipeline.removeAll { $0.isWanted && $0.isReady }
    for index in pipeline.indices { pipeline[index].isWanted = false }
  }

  private mutating func park() -> String {
    let hasParked = queue.park()
    if hasParked == isClosing { return "parks while closing, or does not park" }
    // Who closes must tell all; that is another call.
    guard hasParked else { return settled() }
    queued = committing.flatMap(\.items) + wanted.flatMap(\.items) + queued
    unwant()
    committing = []
    isParked = true
    return settled()
  }

  /// Takes one back, and nothing unless parked.
  private mutating func withdraw(_ item: Item?) -> String? {
    guard let item else { return nil }
    let withdrawn = queue.withdraw { $0 == item.ticket }.map(\.ticket)
    if withdrawn != (isParked ? [item.ticket] : []) { return "withdrew \(withdrawn)" }
    guard isParked else { return settled() }
    queued.removeAll { $0 == item }
    given -= item.count
    answer([item])
    if queued.isEmpty { isParked = false }
    return settled()
  }

  private func settled() -> String {
    if queue.isIdle != (queued.isEmpty && committing.isEmpty && wanted.isEmpty) { return "idle is \(queue.isIdle)" }
    if let twice = answered.first(where: { $0.value > 1 }) { return "ticket \(twice.key) is answered twice" }
    let open = queued.count + (committing + wanted).reduce(0) { $0 + $1.items.count }
    if answered.count + open != offered { return "a ticket is forgotten" }
    if queue.acceptedEnd != Offset(UInt64(given)), !hasFailed { return "accepted to \(queue.acceptedEnd)" }
    if queue.writtenEnd != Offset(UInt64(written)), !hasFailed { return "written to \(queue.writtenEnd)" }
    return ""
  }
}
