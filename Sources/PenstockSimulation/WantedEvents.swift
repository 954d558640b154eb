import PenstockEvents
import PenstockTestKit

/// What the generator knows of a record that it made. What a filter does with the record follows from this alone, and
/// not from its bytes.
struct EventTraits: Sendable, Hashable {
  var number: UInt64
  /// Nil: `app_id` is not there, or is no string.
  var app: Int?
  var isGoal = false
  var isMalformed = false

  /// Whether its destination says 422 to it.
  var isRejected: Bool { number % 29 == 7 }

  /// Draws a record: its traits, and bytes that have them. No line feed is in it.
  static func draw(_ number: UInt64, _ random: inout SplitMix64) -> (EventTraits, [UInt8]) {
    var traits = EventTraits(number: number)
    let shape = random.below(16)
    let app = random.below(4)
    traits.isGoal = random.below(2) == 0
    traits.isMalformed = shape < 2
    if shape > 3 { traits.app = app }
    let size = [0, 0, 20, 200, 2_000, 9_000, 16_000][random.below(7)]
    let padding = String(decoding: (0..<size).map { _ in UInt8(97 + random.below(26)) }, as: UTF8.self)
    let id =
      switch shape {
      case 2: ""
      case 3: "\"app_id\":\(app),"
      case 4: "\"app_id\":\"\\u0061\(app)\","
      default: "\"app_id\":\"a\(app)\","
      }
    let rest = "\"event\":\"\(traits.isGoal ? "Goal_\(app)" : "Open")\",\"n\":\(number)"
    let text =
      switch shape {
      case 0: "{\(id)\(rest),\"pad\":\"\(padding)\""
      case 1: "[\"a\(app)\",\(number),\"\(padding)\"]"
      case 5...7: "{\"pad\":\"\(padding)\",\(id)\(rest)}"
      default: "{\(id)\(rest),\"pad\":\"\(padding)\"}"
      }
    return (traits, Array(text.utf8))
  }
}

/// What a simulated destination wants: as a filter, and once more as what it means for the traits of a record.
struct WantedEvents: Sendable, Hashable {
  enum Answer: Sendable, Hashable { case wanted, left, faulty }

  private var apps: [Int]?
  private var otherApps: [Int]?
  private var onlyGoals = false
  private var malformed = EventFilter.Malformed.drop

  /// All that a destination may want. A plan names one by its place here.
  static let all: [WantedEvents] = [
    WantedEvents(), WantedEvents(apps: [0]), WantedEvents(apps: [1]), WantedEvents(apps: [0, 1], malformed: .pass),
    WantedEvents(apps: [2], onlyGoals: true), WantedEvents(otherApps: [0]), WantedEvents(apps: [3], malformed: .halt),
    WantedEvents(apps: []), WantedEvents(onlyGoals: true), WantedEvents(otherApps: [1, 2], malformed: .pass),
    WantedEvents(apps: [0, 1, 2, 3]), WantedEvents(otherApps: [3], onlyGoals: true, malformed: .halt),
  ]

  /// The filters of ``all``.
  static let filters: [EventFilter] = all.map { wanted in
    func names(_ apps: [Int]?) -> [String]? { apps.map { $0.map { "a\($0)" } } }
    var (including, excluding) = (EventFilter.Terms(), EventFilter.Terms())
    including.appIDs = names(wanted.apps)
    if wanted.onlyGoals { including.events = ["Goal_*"] }
    excluding.appIDs = names(wanted.otherApps)
    guard let filter = try? EventFilter(including: including, excluding: excluding, malformed: wanted.malformed) else {
      preconditionFailure("no pattern ends in a backslash")
    }
    return filter
  }

  func answer(_ event: EventTraits) -> Answer {
    if self == WantedEvents() { return .wanted }
    if event.isMalformed {
      return malformed == .pass ? .wanted : malformed == .halt ? .faulty : .left
    }
    if let apps, event.app.map(apps.contains) != true { return .left }
    if let otherApps, event.app.map(otherApps.contains) == true { return .left }
    return onlyGoals && !event.isGoal ? .left : .wanted
  }
}
