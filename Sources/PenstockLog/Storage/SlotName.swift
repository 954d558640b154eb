/// The name of a small durable value: what kind of value it is, and a text of 1 … 64 bytes.
package struct SlotName: Hashable, Sendable, CustomStringConvertible {
  /// The kinds, by the number that a slot stores. 0 marks a free place.
  package enum Kind: UInt16, Sendable, CaseIterable {
    case cursor = 1
  }

  package let kind: Kind
  package let text: String

  package init(_ kind: Kind, _ text: String) {
    self.kind = kind
    self.text = text
  }

  package var description: String { "\(kind) \(text)" }

  /// The position in the file of locks that is this name's: in the upper half of all positions, for the lower half
  /// holds the lock of the allocation.
  ///
  /// Two names may have one position (for 10,000 names: once in 10¹¹ logs). Then two processes exclude each other from
  /// both names, and nothing else happens. So the hash decides no fact, and need not resist an attacker.
  var lockPosition: UInt64 {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: UInt64(kind.rawValue) << 32 | UInt64(text.utf8.count))
    bytes.append(contentsOf: text.utf8)
    while bytes.count % 8 != 0 { bytes.append(0) }
    return 1 << 62 | bytes.withUnsafeBytes { Chain.link($0) } >> 2
  }
}

extension SlotName: Comparable {
  package static func < (a: Self, b: Self) -> Bool {
    a.kind == b.kind ? a.text < b.text : a.kind.rawValue < b.kind.rawValue
  }
}
