import PenstockLog

/// The intent protocol between processes, as a model of its own: producers, two cursors, two processes that may each
/// take either cursor from the other, and crashes. The tests' `DeliveryModel` is one process from within; this is all
/// of them from outside.
///
/// A process works on a copy of the cursor as it took it, and writes copy and move together; the write is refused when
/// another has taken the cursor since. Every legal move is also made by ``CursorState``, which must come to the same.
package struct IntentProtocolModel: Hashable, Sendable {
  /// A mistake in the protocol that the search must find.
  package enum InjectedFault: CaseIterable, Sendable {
    case sendsBeforeIntent, commitsBeforeSending, ignoresEpoch, forgetsOpenIntent
  }

  struct Batch: Hashable, Sendable {
    var first: UInt8, end: UInt8
    /// A bit for each batch there can be.
    var bit: UInt64 { 1 << UInt64(first * 8 + end) }
  }

  struct Cell: Hashable, Sendable {
    var committed: UInt8 = 0
    var epoch: UInt8 = 0
    var open: Batch?
  }

  /// One process and one cursor.
  struct Handle: Hashable, Sendable {
    var seen: Cell
    var sending: Batch?
    var isSent = false
  }

  /// Two of a kind, in place.
  struct Pair<Element: Hashable & Sendable>: Hashable, Sendable {
    var first: Element, second: Element
    init(_ element: Element) { (first, second) = (element, element) }
    subscript(index: Int) -> Element {
      get { index == 0 ? first : second }
      set { if index == 0 { first = newValue } else { second = newValue } }
    }
    var swapped: Pair {
      var other = self
      (other.first, other.second) = (second, first)
      return other
    }
  }

  package struct Scope: Sendable {
    package var producers: UInt8
    package var cursors: Int
    package var crashes: UInt8
    package var takeovers: UInt8

    package init(producers: UInt8 = 3, cursors: Int = 2, crashes: UInt8 = 2, takeovers: UInt8 = 1) {
      precondition(producers <= 3 && (1...2).contains(cursors), "at most three producers, one or two cursors")
      self.producers = producers
      self.cursors = cursors
      self.crashes = crashes
      self.takeovers = takeovers
    }
  }

  package enum Move: Hashable, Sendable, CustomStringConvertible {
    case append(producer: UInt8)
    case die(process: Int)
    case take(process: Int, cursor: Int)
    case begin(process: Int, cursor: Int, first: UInt8, end: UInt8)
    case send(process: Int, cursor: Int, first: UInt8, end: UInt8)
    case commit(process: Int, cursor: Int, first: UInt8, end: UInt8)

    package var description: String {
      switch self {
      case .append(let producer): "producer \(producer) appends"
      case .die(let process): "process \(process) dies"
      case .take(let process, let cursor): "process \(process) takes cursor \(cursor)"
      case .begin(let process, let cursor, let first, let end):
        "process \(process) begins \(first)..<\(end) of cursor \(cursor)"
      case .send(let process, let cursor, let first, let end):
        "process \(process) sends \(first)..<\(end) of cursor \(cursor)"
      case .commit(let process, let cursor, let first, let end):
        "process \(process) commits \(first)..<\(end) of cursor \(cursor)"
      }
    }
  }

  struct Step {
    var move: Move
    var model: IntentProtocolModel
    var violations: [String] = []
  }

  /// Who has appended, a bit each.
  var appended: UInt8 = 0
  var cells = Pair(Cell())
  /// By process, then by cursor; nil where the process does not hold it.
  var handles = Pair(Pair<Handle?>(nil))
  /// What each destination holds, by name.
  var delivered = Pair<UInt64>(0)
  var crashes: UInt8 = 0
  var takeovers: UInt8 = 0

  var end: UInt8 { UInt8(appended.nonzeroBitCount) }

  func isFinished(_ scope: Scope) -> Bool {
    end == scope.producers && (0..<scope.cursors).allSatisfy { cells[$0].committed == scope.producers }
  }

  /// One for all models that differ only in which process, which cursor or which producer is which, and in the numbers
  /// of epochs: whether a handle's is the cursor's own is all that is ever asked.
  func canonical(_ scope: Scope) -> IntentProtocolModel {
    var plain = self
    plain.appended = (1 << end) - 1
    for cursor in 0..<2 {
      for process in 0..<2 where plain.handles[process][cursor] != nil {
        let isCurrent = handles[process][cursor]?.seen.epoch == cells[cursor].epoch
        plain.handles[process][cursor]?.seen.epoch = isCurrent ? 1 : 0
      }
      plain.cells[cursor].epoch = 1
    }
    var others = [plain]
    var turned = plain
    turned.handles = plain.handles.swapped
    others.append(turned)
    if scope.cursors == 2 {
      for one in [plain, turned] {
        var other = one
        other.cells = one.cells.swapped
        other.delivered = one.delivered.swapped
        other.handles.first = one.handles.first.swapped
        other.handles.second = one.handles.second.swapped
        others.append(other)
      }
    }
    return others.min { $0.digits < $1.digits } ?? plain
  }

  /// Everything as two numbers, so that models can be ordered.
  private var digits: (UInt64, UInt64) {
    func number(_ batch: Batch?) -> UInt64 { batch.map { 1 + UInt64($0.first) * 4 + UInt64($0.end) } ?? 0 }
    func number(_ cell: Cell) -> UInt64 {
      (UInt64(cell.committed) << 5 | number(cell.open)) << 1 | UInt64(cell.epoch & 1)
    }
    func number(_ handle: Handle?) -> UInt64 {
      guard let handle else { return 0 }
      return 1 << 14 | (number(handle.seen) << 5 | number(handle.sending)) << 1 | (handle.isSent ? 1 : 0)
    }
    let held =
      number(handles.first.first) << 48 | number(handles.first.second) << 32
      | number(handles.second.first) << 16 | number(handles.second.second)
    // 24 bits of each destination are used: names from 0..<1 to 2..<3.
    let rest = number(cells.first) << 56 | number(cells.second) << 48 | (delivered.first & 0xff_ffff) << 24
    return (held, rest ^ (delivered.second & 0xff_ffff))
  }
}
