import PenstockDelivery
import PenstockLog
import Yams

/// The delivery settings that every type of destination has.
struct DeliverySettings {
  static let keys = [
    "filter", "maxInFlight", "rate", "onRejected", "maxDeadLettersInRow", "deadLetters", "circuit", "retry", "attempts",
    "lag",
  ]

  var options = DeliveryOptions()
  /// Nil: no dead letters; a rejected record halts the destination.
  var deadLetters: DeadLetterPolicy?
  /// The number of attempts to keep for `penstock attempts`.
  var attempts = 100
  var thresholds: LagThresholds

  /// - Parameters:
  ///   - writesDeadLetters: The default: whether rejected records become dead letters.
  ///   - sendsSingleEvents: Whether each event is sent by itself.
  ///   - maxWait: The longest time a batch waits for more records. It is added to the default lag threshold.
  init(
    _ members: ConfigurationMembers, writesDeadLetters: Bool, sendsSingleEvents: Bool, maxWait: Duration
  ) throws(ConfigurationError) {
    thresholds = LagThresholds(behindAfter: .seconds(60) + maxWait)
    deadLetters = writesDeadLetters ? DeadLetterPolicy() : nil
    try members.with("maxInFlight") { (node) throws(ConfigurationError) in
      options.maxInFlight = try node.integer(1...SettledEvents.maxEvents)
      guard sendsSingleEvents || options.maxInFlight <= CursorState.maxInFlight else {
        throw node.error(
          "is \(options.maxInFlight); at most \(CursorState.maxInFlight) batches may be in flight. Only a webhook with"
            + " batching: single or method: GET may have up to \(SettledEvents.maxEvents) events in flight")
      }
    }
    try members.with("attempts") { (node) throws(ConfigurationError) in attempts = try node.integer(1...10_000) }
    try members.with("rate") { (node) throws(ConfigurationError) in options.rate = try DeliveryRate(node) }
    try members.with("circuit") { (node) throws(ConfigurationError) in options.circuit = try CircuitPolicy(node) }
    try members.with("retry") { (node) throws(ConfigurationError) in options.retry = try RetryPolicy(node) }
    try members.with("lag") { (node) throws(ConfigurationError) in try readLag(node) }
    try readRejection(members)
  }

  private mutating func readRejection(_ members: ConfigurationMembers) throws(ConfigurationError) {
    try members.with("deadLetters") { (node) throws(ConfigurationError) in
      deadLetters = try Self.deadLetters(node)
    }
    try members.with("maxDeadLettersInRow") { (node) throws(ConfigurationError) in
      options.rejection.maxInRow = try node.integer(1...1_000_000)
    }
    guard let node = members["onRejected"] else { return }
    options.rejection.action = try node.choice(["deadLetter": .deadLetter, "halt": .halt])
    switch options.rejection.action {
    case .deadLetter:
      if members["deadLetters"] == nil { deadLetters = DeadLetterPolicy() }
      if deadLetters == nil { throw node.error("is deadLetter, but deadLetters is off") }
    case .halt:
      for key in ["deadLetters", "maxDeadLettersInRow"] where members[key] != nil {
        if key == "deadLetters", deadLetters == nil { continue }
        throw node.error("is halt, which writes no dead letters; leave out \(key)")
      }
      deadLetters = nil
    }
  }

  /// `on`, `off`, or limits: `{ maxBytes: 256MiB, maxAge: 30d }`.
  private static func deadLetters(_ node: ConfigurationNode) throws(ConfigurationError) -> DeadLetterPolicy? {
    guard node.node.mapping != nil else {
      // YAML resolves on and off to booleans.
      let isOn = try node.choice(["on": true, "off": false, "true": true, "false": false])
      return isOn ? DeadLetterPolicy() : nil
    }
    let members = try node.members(known: ["maxBytes", "maxAge"])
    var policy = DeadLetterPolicy()
    try members.with("maxBytes") { (node) throws(ConfigurationError) in
      policy = DeadLetterPolicy(maxBytes: try node.bytes())
    }
    try members.with("maxAge") { (node) throws(ConfigurationError) in policy.maxAge = try node.duration() }
    return policy
  }

  private mutating func readLag(_ node: ConfigurationNode) throws(ConfigurationError) {
    let members = try node.members(known: ["behindAfter", "losingWithin"])
    try members.with("behindAfter") { (node) throws(ConfigurationError) in
      thresholds.behindAfter = try node.duration()
    }
    try members.with("losingWithin") { (node) throws(ConfigurationError) in
      thresholds.losingWithin = try node.duration()
    }
  }
}

extension DeliveryRate {
  fileprivate init(_ node: ConfigurationNode) throws(ConfigurationError) {
    let members = try node.members(known: ["recordsPerSecond", "bytesPerSecond", "requestsPerSecond"])
    self.init()
    try members.with("recordsPerSecond") { (node) throws(ConfigurationError) in recordsPerSecond = try node.rate() }
    try members.with("bytesPerSecond") { (node) throws(ConfigurationError) in
      let bytes = try node.bytes()
      guard bytes > 0 else { throw node.error("must be above 0; leave it out for no limit") }
      bytesPerSecond = Double(bytes)
    }
    try members.with("requestsPerSecond") { (node) throws(ConfigurationError) in requestsPerSecond = try node.rate() }
  }
}

extension CircuitPolicy {
  fileprivate init(_ node: ConfigurationNode) throws(ConfigurationError) {
    let members = try node.members(known: ["failures", "drain", "doubling", "full"])
    self.init()
    try members.with("failures") { (node) throws(ConfigurationError) in failures = try node.integer(1...1_000_000) }
    try members.with("drain") { (node) throws(ConfigurationError) in
      // YAML resolves off to a boolean.
      drain = ["off", "false"].contains(try node.text()) ? nil : max(0.001, try node.rate())
    }
    try members.with("doubling") { (node) throws(ConfigurationError) in
      doubling = max(.milliseconds(1), try node.duration())
    }
    try members.with("full") { (node) throws(ConfigurationError) in full = try node.rate() }
  }
}

extension RetryPolicy {
  fileprivate init(_ node: ConfigurationNode) throws(ConfigurationError) {
    let members = try node.members(known: ["first", "cap", "maxRetryAfter", "refusedWait"])
    self.init()
    try members.with("first") { (node) throws(ConfigurationError) in first = try node.duration() }
    try members.with("cap") { (node) throws(ConfigurationError) in cap = try node.duration() }
    try members.with("maxRetryAfter") { (node) throws(ConfigurationError) in maxRetryAfter = try node.duration() }
    try members.with("refusedWait") { (node) throws(ConfigurationError) in refusedWait = try node.duration() }
  }
}

extension ConfigurationNode {
  /// A number per second, above 0.
  fileprivate func rate() throws(ConfigurationError) -> Double {
    guard let value = Double(try text()), value > 0, value.isFinite else {
      throw error("expected a number above 0, such as 100 or 0.5")
    }
    return value
  }
}
