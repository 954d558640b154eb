public import PenstockEvents
public import PenstockLog

/// Which records of a range a batch delivers, and which of their fields. Part of a batch's plan, so that an open batch
/// keeps it when a configuration changes.
public struct EventSelection: Sendable, Hashable {
  /// Which events, by their content.
  public var filter: EventFilter
  /// Which of their fields.
  public var fields: FieldSelection
  /// Which events, by their time; nil: all.
  public var window: EventWindow?

  /// Every record, byte for byte.
  public static let all = EventSelection()

  /// A selection of these events and fields.
  public init(filter: EventFilter = .all, fields: FieldSelection = .all, window: EventWindow? = nil) {
    self.filter = filter
    self.fields = fields
    self.window = window
  }

  /// Whether it leaves no record out.
  public var selectsEveryRecord: Bool { filter.passesEverything && window == nil }
  /// Whether it changes nothing.
  public var isEverything: Bool { selectsEveryRecord && fields == .all }
}

extension EventSelection {
  /// The answer for one record.
  package enum Verdict: Hashable, Sendable {
    case selected, left
    /// The destination halts at it; see ``EventFilter/Malformed/halt``.
    case faulty(SinkError)
  }

  /// The window comes first: a record outside of it must not halt the filter. Counts a record without a readable event
  /// time in `untimed`, if there is a window.
  @inline(__always)
  package func verdict(on record: RecordView, untimed: inout Int) -> Verdict {
    if let window {
      let verdict = window.verdict(on: record)
      if !verdict.isTimed { untimed += 1 }
      if !verdict.isInside { return .left }
    }
    switch filter.verdict(on: record.bytes) {
    case .passes: return .selected
    case .filtered: return .left
    case .malformed:
      switch filter.malformed {
      case .pass: return .selected
      case .drop: return .left
      case .halt: return .faulty(Self.halt(at: record.offset))
      }
    }
  }

  private static func halt(at offset: Offset) -> SinkError {
    SinkError(
      "it is not a JSON object, and this destination's filter has malformed=halt; change that to drop or pass",
      offset: offset)
  }

  /// A batch with what is selected of a batch that holds a whole range. Returns a batch that is selected already, and
  /// one that the selection does not change, as it is. O(record bytes).
  package func applied(to batch: Batch, untimed: inout Int) throws(SinkError) -> Batch {
    guard batch.selected == nil, !isEverything else { return batch }
    var selected = SelectedRecords()
    try append(to: &selected, from: batch, untimed: &untimed)
    return Batch(selected, of: batch.first..<batch.end, rangeAppendTime: batch.firstAppendTime)
  }

  /// Adds what is selected of a batch that holds a whole range. O(record bytes).
  package func append(
    to selected: inout SelectedRecords, from batch: Batch, untimed: inout Int
  ) throws(SinkError) {
    try batch.forEachRecord { (record) throws(SinkError) in
      switch verdict(on: record, untimed: &untimed) {
      case .selected: selected.append(record, fields)
      case .left: break
      case .faulty(let error): throw error
      }
    }
  }
}

extension SelectedRecords {
  /// Adds the selected fields of a record.
  package mutating func append(_ record: RecordView, _ fields: FieldSelection) {
    append(offset: record.offset, appendTime: record.appendTime) { fields.render(record.bytes, into: &$0) }
  }
}
