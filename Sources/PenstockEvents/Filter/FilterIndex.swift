/// Many filters, compiled so that a record is scanned once for all of them.
///
/// The index stores each filter under the exact values that it lists of one field. A record is compared only with the
/// filters under one of its own values, and with those that list no exact value: patterns and exclusions. The answer
/// for each filter is the one that ``EventFilter/verdict(on:)`` gives.
///
/// A pure value: after a change of a filter, make another one. Complexity of making it: O(values of all filters).
package struct FilterIndex: Sendable {
  /// The filters, in the order they were given. The index names each by its place.
  package let filters: [EventFilter]
  /// The filters that pass every record, also a malformed one.
  private var passing: [Int32] = []
  /// The filters that list no exact value: compared with every record.
  private var unlisted: [Int32] = []
  private var table = TermTable()
  /// The fields that some filter asks about.
  private var asked: UInt16 = 0

  package init(_ filters: [EventFilter]) {
    self.filters = filters
    var uses = TermTable()
    for (number, filter) in filters.enumerated() {
      asked |= filter.asked
      for field in EventField.listed {
        filter.exactValues(of: field)?.forEach { uses.add(Int32(number), under: field, $0) }
      }
    }
    for (number, filter) in filters.enumerated() {
      if filter.passesEverything {
        passing.append(Int32(number))
      } else if let (field, values) = Self.rarest(of: filter, uses) {
        values.forEach { table.add(Int32(number), under: field, $0) }
      } else {
        unlisted.append(Int32(number))
      }
    }
  }

  /// The field whose values the fewest filters share. Filters of one app differ in other fields, so the app would
  /// select all of them.
  private static func rarest(of filter: EventFilter, _ uses: TermTable) -> (EventField, [String])? {
    var best: (field: EventField, values: [String], count: Int)?
    for field in EventField.listed {
      guard let values = filter.exactValues(of: field) else { continue }
      let count = values.reduce(0) { $0 + uses.count(under: field, $1) }
      if count < best?.count ?? .max { best = (field, values, count) }
    }
    return best.map { ($0.field, $0.values) }
  }

  /// Compares a record with all filters. The result is valid until the next call with the same `matches`.
  ///
  /// Complexity: one pass over the record, and for each filter that may match the comparison of its lists.
  package func match(_ record: UnsafeRawBufferPointer, into matches: inout FilterMatches) {
    matches.begin(count: filters.count)
    for number in passing { matches.passed.append(Int(number)) }
    guard asked != 0 else { return }
    guard record.forEachTerm(asked, { matches.keep($0, $1) }) else {
      matches.isMalformed = true
      return
    }
    for number in unlisted { compare(number, &matches) }
    for value in matches.values.indices {
      let field = matches.values[value].field
      let candidates = matches.withBytes(of: value) { table.numbers(under: field, $0) }
      for number in candidates { compare(number, &matches) }
    }
    matches.passed.sort()
  }

  /// A filter may be under several values of one record, and is compared once.
  private func compare(_ number: Int32, _ matches: inout FilterMatches) {
    guard matches.isFirstLook(at: Int(number)) else { return }
    let filter = filters[Int(number)].content
    var (met, excluded): (UInt16, UInt16) = (0, 0)
    for value in matches.values.indices {
      let field = matches.values[value].field
      guard filter.asked & field.bit != 0 else { continue }
      matches.withBytes(of: value) { bytes in
        if filter.wanted.meets(field, bytes) { met |= field.bit }
        if filter.unwanted.meets(field, bytes) { excluded |= field.bit }
      }
    }
    if met == filter.wanted.fields, excluded == 0 { matches.passed.append(Int(number)) }
  }
}

/// The filters that a record passes. Reused from record to record, so that matching allocates nothing.
package struct FilterMatches {
  struct Value {
    let field: EventField
    let start: Int
    let count: Int
  }

  /// The filters, by their place in the index, rising.
  package internal(set) var passed: [Int] = []
  /// Whether the record is not one well-formed JSON object. Then ``passed`` names only the filters that pass
  /// everything, and for each other one ``EventFilter/malformed`` decides. False when no filter reads the record.
  package internal(set) var isMalformed = false
  /// The record's values, unescaped, one after another.
  private var bytes: [UInt8] = []
  private(set) var values: [Value] = []
  /// How many filters were compared with the record.
  package private(set) var comparisons = 0
  /// The newest record for which each filter was looked at.
  private var looks: [UInt64] = []
  private var record: UInt64 = 0

  package init() {}

  mutating func begin(count: Int) {
    record += 1
    passed.removeAll(keepingCapacity: true)
    bytes.removeAll(keepingCapacity: true)
    values.removeAll(keepingCapacity: true)
    isMalformed = false
    comparisons = 0
    if looks.count < count { looks += [UInt64](repeating: 0, count: count - looks.count) }
  }

  mutating func keep(_ field: EventField, _ value: UnsafeRawBufferPointer) {
    values.append(Value(field: field, start: bytes.count, count: value.count))
    bytes.append(contentsOf: value)
  }

  func withBytes<Result>(of value: Int, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    let value = values[value]
    return bytes.withUnsafeBytes { body($0.part(value.start..<(value.start + value.count))) }
  }

  mutating func isFirstLook(at filter: Int) -> Bool {
    guard looks[filter] != record else { return false }
    looks[filter] = record
    comparisons += 1
    return true
  }
}

extension EventField {
  /// The fields that a filter may list values of; of two that are equally rare, the first is used.
  static let listed: [EventField] = [.appID, .properties, .event, .segments, .type]
}

extension EventFilter {
  /// The values of a field of which an event must have one; nil when the filter does not list exact values of it.
  func exactValues(of field: EventField) -> [String]? {
    switch field {
    case .appID: including.appIDs
    case .properties: including.trackers
    case .segments: including.segments
    case .type: including.types?.map(\.rawValue)
    case .event: wanted.patterns.isEmpty ? including.events : nil
    default: nil
    }
  }
}
