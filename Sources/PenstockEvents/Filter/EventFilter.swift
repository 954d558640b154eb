/// Which events a destination receives, by their content.
///
/// A filter is compiled once, when it is made. Then it is a pure function of a record's bytes. Its text is canonical
/// and stable: equal filters have equal texts. The meaning of a text never changes, because intents of open deliveries
/// contain it. See ``init(parsing:)`` for the grammar.
///
/// ```swift
/// var wanted = EventFilter.Terms()
/// wanted.types = [.custom, .track]
/// wanted.events = ["Goal", "Custom_Goals_*"]
/// let filter = try EventFilter(including: wanted)
/// ```
public struct EventFilter: Hashable, Sendable {
  /// Lists of values. Nil means no condition on the field; no event matches an empty list.
  public struct Terms: Hashable, Sendable {
    /// `app_id` is one of these.
    public var appIDs: [String]?
    /// `type` is one of these.
    public var types: [EventType]?
    /// `event` matches one of these patterns. `*` matches any characters, `?` one Unicode scalar. A backslash before
    /// either of them, or before a backslash, makes it literal.
    public var events: [String]?
    /// `properties.id`, the usage tracker, is one of these: the enabled set. Empty: no tracker is enabled.
    public var trackers: [String]?
    /// The `id` or the `name` of one of the objects in `segments` is one of these.
    public var segments: [String]?

    /// No conditions.
    public init() {}
  }

  /// What to do with a record that is not one well-formed JSON object, and so has no fields to compare.
  public enum Malformed: String, Sendable, CaseIterable {
    /// It does not match: it is left out and counted as filtered.
    case drop
    /// It is delivered unchanged.
    case pass
    /// The delivery halts at it, so that an operator decides.
    case halt
  }

  /// The filter's answer for a record.
  public enum Verdict: Hashable, Sendable {
    case passes, filtered
    /// Not one well-formed JSON object; ``EventFilter/malformed`` says what to do.
    case malformed
  }

  /// Passes everything, without reading the record.
  public static let all = EventFilter()

  /// Sinks, deliveries and the router hold copies of a filter, for each of thousands of destinations: they share this.
  final class Content: Sendable {
    let including: Terms
    let excluding: Terms
    let malformed: Malformed
    let wanted: CompiledTerms
    let unwanted: CompiledTerms
    let asked: UInt16

    init(_ including: Terms, _ excluding: Terms, _ malformed: Malformed) throws(ParseError) {
      self.including = including
      self.excluding = excluding
      self.malformed = malformed
      wanted = try CompiledTerms(including)
      unwanted = try CompiledTerms(excluding)
      asked = wanted.fields | unwanted.fields
    }

    init() {
      (including, excluding, malformed) = (Terms(), Terms(), .drop)
      (wanted, unwanted, asked) = (CompiledTerms(), CompiledTerms(), 0)
    }
  }

  let content: Content

  /// An event must match every list that is not nil.
  public var including: Terms { content.including }
  /// An event must match none of the lists that are not nil.
  public var excluding: Terms { content.excluding }
  /// What to do with a record that is not one well-formed JSON object.
  public var malformed: Malformed { content.malformed }
  var wanted: CompiledTerms { content.wanted }
  var unwanted: CompiledTerms { content.unwanted }
  /// The fields to read.
  var asked: UInt16 { content.asked }

  /// - Throws: ``ParseError`` for a pattern that ends in a backslash.
  public init(
    including: Terms = Terms(), excluding: Terms = Terms(), malformed: Malformed = .drop
  ) throws(ParseError) {
    content = try Content(including.canonical, excluding.canonical, malformed)
  }

  private init() { content = Content() }

  /// Whether the filter passes every record.
  public var passesEverything: Bool { asked == 0 }

  public static func == (a: EventFilter, b: EventFilter) -> Bool {
    // Not by the strings: Unicode may call two strings equal that differ in bytes.
    a.content === b.content || a.wanted == b.wanted && a.unwanted == b.unwanted && a.malformed == b.malformed
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(wanted)
    hasher.combine(unwanted)
    hasher.combine(malformed)
  }
}

extension EventFilter.Terms {
  /// Sorted, each value once: the order in which a user wrote the values does not matter.
  var canonical: EventFilter.Terms {
    func sorted(_ values: [String]?) -> [String]? {
      // By bytes: the order of strings depends on Unicode's version, and their equality on normalisation.
      values.map { values in
        let bytes = Set(values.map { Array($0.utf8) }).sorted { $0.lexicographicallyPrecedes($1) }
        return bytes.map { String(decoding: $0, as: UTF8.self) }
      }
    }
    var terms = EventFilter.Terms()
    terms.appIDs = sorted(appIDs)
    terms.types = types.map { types in EventType.allCases.filter(types.contains) }
    terms.events = sorted(events)
    terms.trackers = sorted(trackers)
    terms.segments = sorted(segments)
    return terms
  }
}
