/// Finds where a row of values that never falls reaches a target, and asks for few of the values, because each may be a read from
/// a disk. A pure value.
///
/// Times are mostly spread evenly, so it guesses by proportion, and looks beside its first guess; and because they need not be,
/// every second step after that halves. At most 2 · log₂ n + 5 values are asked for, where they are even about 4.
///
/// Invariant: every value below `low` is less than the target; every value from `high` on is not.
package struct InterpolationSearch: Sendable {
  package private(set) var low = 0
  package private(set) var high: Int
  private let target: Int64
  private var before: Int64?
  private var behind: Int64?
  private var steps = 0
  /// What was guessed by proportion at first.
  private var firstGuess: Int?

  package init(count: Int, target: Int64) {
    high = count
    self.target = target
  }

  /// The index of the first value not less than the target, once nothing is left to ask.
  package var result: Int { low }

  /// Whose value to ask for next; nil at the end.
  package mutating func next() -> Int? {
    guard low < high else { return nil }
    defer { steps += 1 }
    if steps == 0 { return high - 1 }
    if steps == 1 { return 0 }
    // Even values put the place between the first guess and the one before it.
    if steps == 3, let firstGuess { return high == firstGuess ? high - 1 : low }
    // The least value stands for none, and says nothing of proportions.
    guard steps == 2 || steps % 2 == 1, let before, let behind, before > .min else { return (low + high) / 2 }
    // Values so near to each other may be one and the same `Double`.
    let span = Double(behind) - Double(before)
    guard span > 0 else { return (low + high) / 2 }
    // Value `before` stands at low − 1, `behind` at high.
    let share = (Double(target) - Double(before)) / span
    let guess = Double(low - 1) + (share * Double(high - low + 1)).rounded(.up)
    let index = min(max(Int(guess), low), high - 1)
    if steps == 2 { firstGuess = index }
    return index
  }

  /// What ``next()`` will probably give after `index`, which it gave last: worth looking for beside it. Nil where nobody knows.
  package func likelyNext(after index: Int) -> Int? {
    switch steps {
    case 1: index > 0 ? 0 : nil
    case 3 where index == firstGuess && index > low: index - 1
    default: nil
    }
  }

  /// Whether the place sought is probably beside what is asked for now.
  package var isNear: Bool { firstGuess != nil }

  /// Tells the value at the index that ``next()`` gave.
  package mutating func tell(_ value: Int64, at index: Int) {
    if value < target {
      low = index + 1
      before = value
    } else {
      high = index
      behind = value
    }
  }
}
