/// Which events a destination receives, by what stands in them.
///
/// Compiled once, when it is made; then a pure function of a record's bytes. Its text is canonical and stable: equal
/// filters have equal texts, and a text means the same for ever, because it is frozen in the intents of deliveries under
/// way. See ``init(parsing:)`` for the grammar.
///
/// ```swift
/// var wanted = EventFilter.Terms()
/// wanted.types = [.custom, .track]
/// wanted.events = ["Goal", "Custom_Goals_*"]
/// let filter = try EventFilter(including: wanted)
/// ```
public struct EventFilter: Hashable, Sendable {
  /// Lists of values. Nil says nothing about its field; an empty list is met by no event.
  public struct Terms: Hashable, Sendable {
    /// `app_id` is one of these.
    public var appIDs: [String]?
    /// `type` is one of these.
    public var types: [EventType]?
    /// `event` matches one of these patterns: `*` stands for any characters, `?` for one (a Unicode scalar), and a
    /// backslash before either of them, or before a backslash, takes its meaning away.
    public var events: [String]?
    /// `properties.id`, the usage tracker, is one of these: the enabled set. Empty: no tracker is enabled.
    public var trackers: [String]?
    /// The `id` or the `name` of one of the objects in `segments` is one of these.
    public var segments: [String]?

    public init() {}
  }

  /// What becomes of a record that is not one well-formed JSON object, so that nothing can be said about its fields.
  public enum Malformed: String, Sendable, CaseIterable {
    /// It does not match: left out, and counted as filtered.
    case drop
    /// It is delivered as it is.
    case pass
    /// The delivery halts at it, for a person to decide.
    case halt
  }

  /// What a filter says of a record.
  public enum Verdict: Hashable, Sendable {
    case passes, filtered
    /// Not one well-formed JSON object; ``EventFilter/malformed`` says what is to be done.
    case malformed
  }

  /// Lets everything pass, without looking at it.
  public static let all = EventFilter()

  /// Every list that is not nil must be met.
  public let including: Terms
  /// No list that is not nil may be met.
  public let excluding: Terms
  public let malformed: Malformed
  let wanted: CompiledTerms
  let unwanted: CompiledTerms
  /// The fields that have to be looked at.
  let asked: UInt16

  /// - Throws: ``ParseError`` for a pattern that ends in a backslash.
  public init(
    including: Terms = Terms(), excluding: Terms = Terms(), malformed: Malformed = .drop
  ) throws(ParseError) {
    self.including = including.canonical
    self.excluding = excluding.canonical
    self.malformed = malformed
    wanted = try CompiledTerms(self.including)
    unwanted = try CompiledTerms(self.excluding)
    asked = wanted.fields | unwanted.fields
  }

  private init() {
    (including, excluding, malformed) = (Terms(), Terms(), .drop)
    (wanted, unwanted, asked) = (CompiledTerms(), CompiledTerms(), 0)
  }

  /// Whether everything passes, whatever it is.
  public var passesEverything: Bool { asked == 0 }

  public static func == (a: EventFilter, b: EventFilter) -> Bool {
    // Not by the strings: two that differ in bytes may be equal to Unicode.
    a.wanted == b.wanted && a.unwanted == b.unwanted && a.malformed == b.malformed
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(wanted)
    hasher.combine(unwanted)
    hasher.combine(malformed)
  }
}

extension EventFilter.Terms {
  /// Sorted, each value once: the order in which somebody wrote them does not matter.
  var canonical: EventFilter.Terms {
    func sorted(_ values: [String]?) -> [String]? {
      // By bytes: the order of strings is a matter of Unicode's version, and equality one of normalisation.
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
