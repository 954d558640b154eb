import PenstockLog
import Testing

@testable import PenstockServer

struct IdempotencyKeyTableTests {
  static func append(_ number: UInt64, content: UInt64 = 7) -> KeyedAppend {
    KeyedAppend(
      key: Hash128(high: 1, low: number), content: Hash128(high: 2, low: content), count: 3, first: Offset(number * 3))
  }

  @Test func `a key is claimed once, until it is settled or released`() {
    var table = IdempotencyKeyTable(capacity: 10, window: 100)
    let one = Self.append(1)
    #expect(table.claim(one.key, content: one.content, at: 0) == .claimed)
    #expect(table.claim(one.key, content: one.content, at: 0) == .underWay)
    #expect(table.claim(one.key, content: Hash128(high: 9, low: 9), at: 0) == .otherContent)
    table.release(one.key)
    #expect(table.claim(one.key, content: one.content, at: 0) == .claimed)
    table.settle(one, at: 0)
    #expect(table.claim(one.key, content: one.content, at: 0) == .known(one))
    #expect(table.claim(one.key, content: Hash128(high: 9, low: 9), at: 0) == .otherContent)
  }

  @Test func `the oldest keys are forgotten, by number and by age, and no others`() {
    for capacity in [1, 5, 3000] {
      var table = IdempotencyKeyTable(capacity: capacity, window: 1 << 40)
      for number in 0..<UInt64(8000) {
        let append = Self.append(number)
        #expect(table.claim(append.key, content: append.content, at: Int64(number)) == .claimed)
        table.settle(append, at: Int64(number))
        #expect(table.count == min(Int(number) + 1, capacity))
      }
      let oldest = UInt64(8000 - capacity)
      #expect(!table.isUnknown(Self.append(oldest).key))
      if oldest > 0 { #expect(table.isUnknown(Self.append(oldest - 1).key)) }
    }
    var aging = IdempotencyKeyTable(capacity: 10, window: 100)
    aging.settle(Self.append(1), at: 0)
    #expect(aging.claim(Self.append(1).key, content: Self.append(1).content, at: 100) == .known(Self.append(1)))
    #expect(aging.claim(Self.append(1).key, content: Self.append(1).content, at: 101) == .claimed)
  }

  @Test func `what is restored is sorted by its time, and what was forgotten stays forgotten`() {
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
      var table = IdempotencyKeyTable(capacity: 3, window: 100)
      for number in order { table.restore(Self.append(UInt64(number)), at: Int64(number) * 10) }
      table.arrange(at: 110)
      #expect(table.count == 3 && table.isUnknown(Self.append(0).key), "\(order)")
      table.arrange(at: 111)
      #expect(table.count == 2 && table.isUnknown(Self.append(1).key), "\(order)")
      table.settle(Self.append(9), at: 120)
      table.settle(Self.append(10), at: 120)
      #expect(table.count == 3 && table.isUnknown(Self.append(2).key) && !table.isUnknown(Self.append(3).key))
    }
  }

  @Test
  func `of one second, the key whose records come first in the log is the oldest, in whatever order keys were noted`() {
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]] {
      var (table, restored) = (
        IdempotencyKeyTable(capacity: 2, window: 100), IdempotencyKeyTable(capacity: 2, window: 100)
      )
      for number in order {
        table.settle(Self.append(UInt64(number)), at: 7)
        restored.restore(Self.append(UInt64(number)), at: 7)
      }
      restored.arrange(at: 7)
      for table in [table, restored] {
        #expect((0..<4).map { table.isUnknown(Self.append($0).key) } == [true, true, false, false], "\(order)")
      }
    }
  }

  @Test
  func `a key that was forgotten and used again is as old as its later append, in whatever order both are read`() {
    var later = Self.append(1)
    later.first = Offset(500)
    for noted in [[(Self.append(1), 0), (later, 200)], [(later, 200), (Self.append(1), 0)]] as [[(KeyedAppend, Int64)]]
    {
      var table = IdempotencyKeyTable(capacity: 10, window: 100)
      for (append, seconds) in noted { table.restore(append, at: seconds) }
      #expect(table.knows(later) && !table.knows(Self.append(1)))
      table.arrange(at: 300)
      #expect(table.claim(later.key, content: later.content, at: 300) == .known(later))
      table.arrange(at: 301)
      #expect(table.count == 0)
    }
  }

  @Test func `a clock that was set back makes no key older than those before it, and none forgotten early`() {
    var table = IdempotencyKeyTable(capacity: 10, window: 100)
    table.settle(Self.append(1), at: 1000)
    #expect(table.settle(Self.append(2), at: 10) == 1000)
    #expect(table.claim(Self.append(2).key, content: Self.append(2).content, at: 1000) == .known(Self.append(2)))
    table.arrange(at: 1101)
    #expect(table.count == 0)
  }

  @Test func `keys of falling times cost a start no more comparisons than a sort, and an append one`() {
    let count = 1 << 14
    var table = IdempotencyKeyTable(capacity: count, window: 1 << 40)
    for number in 0..<count { table.restore(Self.append(UInt64(number)), at: Int64(count - number)) }
    table.arrange(at: Int64(count))
    #expect(table.count == count)
    // A sort that merges makes at most one for each key and halving.
    #expect(table.comparisons <= count * 14)
    let before = table.comparisons
    for number in 0..<1000 { table.settle(Self.append(UInt64(count + number)), at: Int64(-number)) }
    #expect(table.comparisons - before <= 1000)
  }

  @Test func `what is written down is read back`() throws {
    for first in [Offset(0), Offset(1 << 40), nil] {
      var append = Self.append(5)
      append.first = first
      #expect(KeyedAppend(source: append.source, first: first) == append)
      #expect(append.source.count <= 64)
      let (read, seconds) = try #require(KeyedAppend.read(journalEntry: append.journalEntry(at: -5)))
      #expect((read, seconds) == (append, -5))
    }
    #expect(KeyedAppend(source: [1, 2, 3], first: nil) == nil)
    #expect(KeyedAppend.read(journalEntry: [UInt8](repeating: 0, count: 51)) == nil)
  }
}
