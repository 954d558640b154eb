/// A small durable value, and which of its versions it is.
package struct SlotValue: Hashable, Sendable {
  /// Rises by one with each write, from 1 on. A removed name begins again.
  package let revision: UInt64
  package let bytes: [UInt8]
}

/// One change of one small value, which says what it follows.
package struct SlotMove: Hashable, Sendable {
  package let name: SlotName
  /// Nil: the value is removed.
  package let value: [UInt8]?
  /// The revision that the move follows; nil for a new value.
  package let after: UInt64?

  /// A new value, or the next version of one.
  package static func put(_ name: SlotName, _ value: [UInt8], after revision: UInt64?) -> SlotMove {
    SlotMove(name: name, value: value, after: revision)
  }

  package static func remove(_ name: SlotName, after revision: UInt64) -> SlotMove {
    SlotMove(name: name, value: nil, after: revision)
  }
}

/// Why a small value was not taken, or not changed.
package enum SlotRefusal: Error, Sendable {
  /// Another holder has the name.
  case held
  /// The value is at another revision than the move follows; nil: there is no such value.
  case conflict(present: UInt64?)
  /// With `.noSpace` the value is as before. After any other failure it is as before or as wanted; a new holder of the
  /// name finds which.
  case failed(LogError)
}

/// The moves of a group whose values may still be written, and where each came from.
struct SlotGroup {
  private(set) var changes: [SlotPlaces.Change] = []
  /// What to write for each name.
  private(set) var values: [SlotName: [UInt8]] = [:]
  private var indices: [Int] = []

  mutating func add(_ move: SlotMove, at index: Int, in size: SlotPlaces.Size) {
    if let value = move.value {
      changes.append(.put(move.name, size, after: move.after))
      values[move.name] = value
    } else {
      // Nothing has revision 0.
      changes.append(.remove(move.name, after: move.after ?? 0))
    }
    indices.append(index)
  }

  /// What came of each move, by its index. `failed`: what was staged and not written. `otherwise`: why the allocation
  /// was not made that some moves needed.
  func results(
    _ staged: [Result<UInt64, SlotPlaces.Refusal>], failed: [SlotName: LogError], otherwise: LogError?
  ) -> [(index: Int, result: Result<UInt64, SlotRefusal>)] {
    changes.indices.map { number in
      let result: Result<UInt64, SlotRefusal> =
        switch staged[number] {
        case .success(let revision):
          failed[changes[number].name].map { Result.failure(.failed($0)) } ?? .success(revision)
        case .failure(.conflict(let present)): .failure(.conflict(present: present))
        case .failure(.needsAllocation), .failure(.full), .failure(.marksFirst):
          .failure(.failed(otherwise ?? LogError(.poisoned, "an earlier write failed; open the log again")))
        }
      return (indices[number], result)
    }
  }
}
