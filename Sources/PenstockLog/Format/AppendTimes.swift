/// When the log received each record of a block: one time for the first records, and steps where the time rises.
///
/// A block that is one commit has one time. A sealed block joins several commits and keeps the time of each record.
///
/// In the trailer (kind 3) each step is two LEB128 numbers: seven bits a byte, lowest first, the top bit set in all but
/// the last. The first is the number of records since the step before, at least 1. The second is the nanoseconds since
/// the time before, at least 1.
struct AppendTimes: Hashable, Sendable {
  struct Step: Hashable, Sendable {
    /// The first record of this time.
    var index: Int
    var time: Timestamp
  }

  let first: Timestamp
  private(set) var steps: [Step] = []

  init(_ first: Timestamp) { self.first = first }

  /// From `index` on, records have `time`. An equal time is no step.
  /// - Precondition: `index` is positive and rises, `time` does not fall.
  mutating func step(at index: Int, _ time: Timestamp) {
    precondition(index > (steps.last?.index ?? 0) && time >= (steps.last?.time ?? first))
    if time > steps.last?.time ?? first { steps.append(Step(index: index, time: time)) }
  }

  func time(of index: Int) -> Timestamp {
    let count = stepCount { $0.index <= index }
    return count == 0 ? first : steps[count - 1].time
  }

  /// The first record not before `time`; nil when there is none.
  func firstIndex(atOrAfter time: Timestamp) -> Int? {
    if first >= time { return 0 }
    let count = stepCount { $0.time < time }
    return count < steps.count ? steps[count].index : nil
  }

  /// How many steps from the first on satisfy a condition that, once false, stays false.
  func stepCount(where condition: (Step) -> Bool) -> Int {
    var (low, high) = (0, steps.count)
    while low < high {
      let middle = (low + high) / 2
      if condition(steps[middle]) { low = middle + 1 } else { high = middle }
    }
    return low
  }

  func encoded() -> [UInt8] {
    var bytes: [UInt8] = []
    var before = Step(index: 0, time: first)
    for step in steps {
      Self.put(UInt64(step.index - before.index), into: &bytes)
      // Wraps where the difference of two signed numbers needs 64 bits.
      Self.put(UInt64(bitPattern: step.time.nanoseconds &- before.time.nanoseconds), into: &bytes)
      before = step
    }
    return bytes
  }

  init(_ first: Timestamp, decoding bytes: [UInt8], count: Int) throws(BlockFlaw) {
    self.first = first
    var position = 0
    var last = Step(index: 0, time: first)
    while position < bytes.count {
      let records = try Self.take(bytes, &position)
      let nanoseconds = try Self.take(bytes, &position)
      guard records >= 1, records < UInt64(count - last.index) else {
        throw BlockFlaw("an append time for no record")
      }
      let time = last.time.nanoseconds &+ Int64(bitPattern: nanoseconds)
      guard time > last.time.nanoseconds else { throw BlockFlaw("append times that do not rise") }
      last = Step(index: last.index + Int(records), time: Timestamp(nanoseconds: time))
      steps.append(last)
    }
  }

  private static func put(_ value: UInt64, into bytes: inout [UInt8]) {
    var rest = value
    while rest > 0x7F {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  private static func take(_ bytes: [UInt8], _ position: inout Int) throws(BlockFlaw) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while position < bytes.count, shift < 64 {
      let byte = bytes[position]
      position += 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    throw BlockFlaw("an append time is cut short")
  }
}
