import Foundation

@testable import PenstockEvents

func validate(_ bytes: [UInt8], depthLimit: Int = 128) -> Result<EventSummary, EventError> {
  bytes.withUnsafeBytes { bytes in
    Result { () throws(EventError) in try EventValidator(depthLimit: depthLimit).validate(bytes) }
  }
}

func validate(_ text: String, depthLimit: Int = 128) -> Result<EventSummary, EventError> {
  validate(Array(text.utf8), depthLimit: depthLimit)
}

/// The error of a result that should have one.
func error<Success>(_ result: Result<Success, EventError>) -> EventError? {
  guard case .failure(let error) = result else { return nil }
  return error
}

func render(_ record: [UInt8], _ selection: FieldSelection) -> [UInt8] {
  var output: [UInt8] = []
  record.withUnsafeBytes { selection.render($0, into: &output) }
  return output
}

func render(_ record: String, keeping fields: [OptionalField]) -> String {
  text(render(Array(record.utf8), FieldSelection(keeping: fields)))
}

func body(_ renderer: some EventRenderer, _ records: [[UInt8]]) -> [UInt8] {
  var renderer = renderer
  var output: [UInt8] = []
  renderer.begin(&output)
  for record in records { record.withUnsafeBytes { renderer.append($0, to: &output) } }
  renderer.finish(&output)
  return output
}

/// Whether the scanner takes the whole for a document.
func isDocument(_ bytes: [UInt8]) -> Bool {
  bytes.withUnsafeBytes { bytes in
    var scanner = JSONScanner(bytes)
    return (try? scanner.scanDocument()) != nil
  }
}

func text(_ bytes: some Sequence<UInt8>) -> String { String(decoding: Array(bytes), as: UTF8.self) }

func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, the same everywhere.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
  mutating func chance(_ outOf: Int) -> Bool { Int.random(in: 0..<outOf, using: &self) == 0 }
}

/// The seed for a randomized test: PENSTOCK_SEED, or a fixed one, so that a plain run is the same every time.
func testSeed(_ test: String) -> UInt64 {
  let seed = environment("PENSTOCK_SEED").flatMap { UInt64($0) } ?? 20_260_101
  print("\(test): PENSTOCK_SEED=\(seed)")
  return seed
}
