package import PenstockLog

/// Generates realistic usage events of all types, about 546 bytes each. The same seed and number give the same event,
/// so any part of a stream can be generated again.
package struct EventGenerator {
  package let seed: UInt64

  package init(seed: UInt64 = 1) { self.seed = seed }

  /// The app of all events, unless the caller names another.
  package static let app = "5deca919-35fc-52ac-9914-1b72479d216c"

  /// Adds event `number`, without a line feed. `app` needs no escapes.
  package func append(_ number: Int, of app: String = Self.app, to output: inout [UInt8]) {
    var random = SeededRandom(seed: seed, stream: number)
    func put(_ text: String) { output.append(contentsOf: text.utf8) }
    // 800 of 50,000 visitors cause three quarters of the events.
    let visitor = random.below(random.below(4) == 0 ? 50_000 : 800)
    var identity = SeededRandom(seed: ~seed, stream: visitor)
    put(#"{"app_id":"\#(app)","user_id":""#)
    if identity.below(3) == 0 { put(String(100_000 + visitor)) }
    put(#"","anonymous_user_id":""#)
    put(identity.hex(32))
    let kind = Kind(random.below(100))
    let site = random.below(Self.pages.count)
    put(#"","event":""#)
    put(kind == .custom ? random.pick(Self.prompts) : kind == .track ? random.pick(Self.clicks) : Self.pages[site].name)
    put(#"","platform":"redfast","type":"\#(kind)","ts":"#)
    put(String(1_760_000_000 + number / 40 - random.below(30)))
    put(#","properties":{"id":""#)
    put(Self.pages[site].id)
    put(#"","values":[{"url_hash":"","url_path":""#)
    put(Self.pages[site].path)
    if random.below(2) == 0 || site == 0 { put("/\(random.pick(Self.slugs))-\(random.below(2000))") }
    put(#"","query_params":""#)
    if random.below(4) == 0 { put("utm_source=\(random.pick(Self.sources))&page=\(random.below(40))") }
    put(#""}],"options":{"use_regex":\#(random.below(8) == 0)}},"traits":{"user_agent":""#)
    put(identity.pick(Self.agents))
    put(#"","plan":"\#(identity.pick(Self.plans))","visits":"#)
    put("\(random.below(300))}")
    if random.below(4) == 0 {
      put(#","segments":[{"id":"\#(7000 + identity.below(40))","name":"\#(identity.pick(Self.segments))"}]"#)
    }
    if kind == .custom {
      put(#","paths":[{"id":"\#(300 + random.below(60))","name":"Prompt \#(random.below(26))","device_type":"web","#)
      put(#""zone":"\#(random.pick(Self.zones))"}]"#)
    }
    put("}")
  }

  /// One batch of events.
  package func batch(_ numbers: Range<Int>) -> RecordBatch {
    var batch = RecordBatch(reservingBytes: numbers.count * 600)
    var event: [UInt8] = []
    for number in numbers {
      event.removeAll(keepingCapacity: true)
      append(number, to: &event)
      batch.append(event)
    }
    return batch
  }

  private enum Kind: String, CustomStringConvertible {
    case page, track, custom
    init(_ percent: Int) { self = percent < 55 ? .page : percent < 80 ? .track : .custom }
    var description: String { rawValue }
  }
}

extension SeededRandom {
  /// The seed is mixed with the stream's number: streams whose states differ by one step of the sequence would overlap.
  fileprivate init(seed: UInt64, stream: Int) {
    var mix = SeededRandom(seed: UInt64(stream) &* 0xD1B5_4A32_D192_ED03)
    self.init(seed: seed ^ mix.next())
  }

  fileprivate mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
  fileprivate mutating func pick(_ choices: [String]) -> String { choices[below(choices.count)] }

  fileprivate mutating func hex(_ count: Int) -> String {
    var text = ""
    while text.utf8.count < count {
      let digits = String(next(), radix: 16)
      text += String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
    return text
  }
}

extension EventGenerator {
  private static let pages: [(name: String, path: String, id: String)] = [
    ("Home Page", "", "8e282c72-07da-4c2f-bf91-85df633828af"),
    ("Section /presentations", "/presentations", "17051f84-242e-5bcb-8cdf-890afdccea79"),
    ("Section /articles", "/articles", "3c1d93b4-90a5-5c26-9e46-4b0f3fb6c6ad"),
    ("Pricing", "/pricing", "a6a8c3c1-6c40-5f1b-8f53-0b7c2f6f0d11"),
    ("Account", "/account/settings", "f1c9b8de-2f4a-5d0c-9a64-5f0e2d7f9e02"),
    ("Checkout", "/checkout/payment", "0b54a0fd-72a1-5b8e-8c8b-7e3f1f7cb0a4"),
    ("Search", "/search/results", "c2a7c3f3-6b1f-58f2-b5c6-1f0d9c1f3b77"),
    ("Video", "/watch/episode", "5a0d2a9e-4d0e-53f7-9f5a-6a8b3c0e1d98"),
  ]
  private static let clicks = ["Button .subscribe", "Button .play", "Link .footer", "Button .share", "Tab .details"]
  private static let prompts = [
    "Impression", "Impression", "Impression", "Timeout", "Dismiss", "Decline", "Click", "Goal", "Custom_Goals_Upgrade",
    "Custom_Goals_Survey", "Exclude", "Holdout", "Pipeline_Impression", "Pipeline_Transition",
  ]
  private static let slugs = ["guide", "release-notes", "season", "how-we-build", "interview", "offer"]
  private static let sources = ["newsletter", "search", "partner", "social"]
  private static let plans = ["free", "trial", "monthly", "annual"]
  private static let segments = ["Engaged", "At risk", "New this week", "Win-back", "Annual upgrade candidates"]
  private static let zones = ["banner", "modal", "inline", "settings"]
  private static let agents = [
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 "
      + "Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:126.0) Gecko/20100101 Firefox/126.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
      + "Version/17.5 Mobile",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Mobile "
      + "Safari/537.36",
  ]
}
