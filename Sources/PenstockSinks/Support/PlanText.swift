import PenstockDelivery
import PenstockLog

/// The bytes of a sink's plan: one line with the sink's name and the plan's version, then one `key=value` per line.
///
/// ```
/// penstock-webhook 1
/// method=POST
/// batching=array
/// ```
/// The parser is strict. An unknown key is a decision that this version cannot follow; ignoring it would send different
/// bytes with the same id.
struct PlanText {
  private var values: [String: String] = [:]

  static func encode(
    kind: String, version: Int, _ entries: [(String, String)]
  ) throws(SinkError) -> [UInt8] {
    var text = "\(kind) \(version)\n"
    for (key, value) in entries {
      guard !value.unicodeScalars.contains(where: { $0.value < 0x20 }) else {
        throw SinkError("\(key) contains a control character")
      }
      text += "\(key)=\(value)\n"
    }
    let bytes = Array(text.utf8)
    guard bytes.count <= Intent.maxPlanBytes else {
      throw SinkError("the plan has \(bytes.count) bytes; the limit is \(Intent.maxPlanBytes)")
    }
    return bytes
  }

  init(parsing plan: [UInt8], kind: String, version: Int, keys: [String]) throws(SinkError) {
    guard let text = String(validating: plan, as: UTF8.self) else {
      throw SinkError("the plan of this delivery is not text: it is not from this sink")
    }
    var lines = text.split(separator: "\n", omittingEmptySubsequences: true)[...]
    guard let head = lines.popFirst()?.split(separator: " "), head.count == 2, head[0] == kind else {
      throw SinkError("the plan of this delivery is not from this sink (expected a plan of \(kind))")
    }
    guard head[1] == String(version) else {
      throw SinkError("the plan of this delivery has version \(head[1]), but this sink supports version \(version)")
    }
    for line in lines {
      let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, keys.contains(String(parts[0])) else {
        throw SinkError("the plan of this delivery has an unknown entry: \(line)")
      }
      guard values.updateValue(String(parts[1]), forKey: String(parts[0])) == nil else {
        throw SinkError("the plan of this delivery has \(parts[0]) twice")
      }
    }
  }

  func value(_ key: String) throws(SinkError) -> String {
    guard let value = values[key] else { throw SinkError("the plan of this delivery lacks \(key)") }
    return value
  }

  /// Nil if the plan does not have the key, or its value is empty.
  func optional(_ key: String) -> String? { values[key].flatMap { $0.isEmpty ? nil : $0 } }

  func integer(_ key: String) throws(SinkError) -> Int {
    let text = try value(key)
    guard let number = Int(text) else { throw SinkError("the plan of this delivery has \(key)=\(text), not a number") }
    return number
  }
}
