import PenstockEvents
import Yams

extension EventFilter {
  private static let fields = ["app", "type", "event", "tracker", "segment"]

  /// A filter's text (`event=Goal,Custom_* !segment=Employees`), or the same as keys and values:
  /// `{ event: [Goal, "Custom_*"], not: { segment: Employees }, malformed: drop }`.
  init(_ node: ConfigurationNode) throws(ConfigurationError) {
    guard node.node.mapping != nil else {
      let text = try node.text()
      do throws(ParseError) { try self.init(parsing: text) } catch {
        throw node.error("is not a valid filter: \(error)")
      }
      return
    }
    let members = try node.members(known: Self.fields + ["not", "malformed"])
    let including = try Terms(members)
    var excluding = Terms()
    try members.with("not") { (node) throws(ConfigurationError) in
      excluding = try Terms(try node.members(known: Self.fields))
    }
    var malformed = Malformed.drop
    try members.with("malformed") { (node) throws(ConfigurationError) in
      malformed = try node.choice(["drop": .drop, "pass": .pass, "halt": .halt])
    }
    do throws(ParseError) {
      try self.init(including: including, excluding: excluding, malformed: malformed)
    } catch {
      throw node.error("is not a valid filter: \(error)")
    }
  }
}

extension EventFilter.Terms {
  fileprivate init(_ members: ConfigurationMembers) throws(ConfigurationError) {
    self.init()
    appIDs = try members["app"]?.texts()
    events = try members["event"]?.texts()
    trackers = try members["tracker"]?.texts()
    segments = try members["segment"]?.texts()
    guard let types = members["type"] else { return }
    var known: [EventType] = []
    for text in try types.texts() {
      guard let type = EventType(rawValue: text) else {
        let known = EventType.allCases.map(\.rawValue).joined(separator: ", ")
        throw types.error("has \"\(text)\"; the types are \(known)")
      }
      known.append(type)
    }
    self.types = known
  }
}

extension ConfigurationNode {
  /// A list of strings; a single value is a list of one.
  func texts() throws(ConfigurationError) -> [String] {
    guard node.sequence != nil else { return [try text()] }
    var texts: [String] = []
    for element in try elements() { texts.append(try element.text()) }
    return texts
  }
}
