/// Finds where a rising sequence of values reaches a target. It reads few of the values, because each may be a read
/// from a disk. A pure value.
///
/// Times are mostly spread evenly. So it guesses by proportion, and then checks the neighbour of its first guess.
/// Because times need not be even, every second step after that halves the range. It reads at most 2 · log₂ n + 5
/// values, and about 4 of evenly spread ones.
///
/// Invariant: every value below `low` is less than the target; every value from `high` on is not.
struct InterpolationSearch: Sendable {
  private(set) var low = 0
  private(set) var high: Int
  private let target: Int64
  private var lower: Int64?
  private var upper: Int64?
  private var steps = 0
  /// The first guess by proportion.
  private var firstGuess: Int?

  init(count: Int, target: Int64) {
    high = count
    self.target = target
  }

  /// The index of the first value not less than the target, once ``next()`` returns nil.
  var result: Int { low }

  /// The index of the next value to read; nil at the end.
  mutating func next() -> Int? {
    guard low < high else { return nil }
    defer { steps += 1 }
    if steps == 0 { return high - 1 }
    if steps == 1 { return 0 }
    // Evenly spread values have the result between the first guess and its lower neighbour.
    if steps == 3, let firstGuess { return high == firstGuess ? high - 1 : low }
    // The minimum marks an absent value, and gives no proportions.
    guard steps == 2 || steps % 2 == 1, let lower, let upper, lower > .min else { return (low + high) / 2 }
    // Two close values may have the same `Double`.
    let span = Double(upper) - Double(lower)
    guard span > 0 else { return (low + high) / 2 }
    // `lower` is the value at low − 1, `upper` the one at high.
    let share = (Double(target) - Double(lower)) / span
    let guess = Double(low - 1) + (share * Double(high - low + 1)).rounded(.up)
    let index = min(max(Int(guess), low), high - 1)
    if steps == 2 { firstGuess = index }
    return index
  }

  /// The index that ``next()`` will probably return after `index`, its last result: worth a prefetch. Nil where it is
  /// unknown.
  func likelyNext(after index: Int) -> Int? {
    switch steps {
    case 1: index > 0 ? 0 : nil
    case 3 where index == firstGuess && index > low: index - 1
    default: nil
    }
  }

  /// Whether the result is probably next to the value being read.
  var isNear: Bool { firstGuess != nil }

  /// Supplies the value at the index that ``next()`` returned.
  mutating func record(_ value: Int64, at index: Int) {
    if value < target {
      low = index + 1
      lower = value
    } else {
      high = index
      upper = value
    }
  }
}
