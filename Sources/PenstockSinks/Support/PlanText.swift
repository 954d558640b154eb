import PenstockDelivery
import PenstockLog

/// The bytes of a sink's plan: a line that names the sink and the version of its plans, then one `key=value` a line.
///
/// ```
/// penstock-webhook 1
/// method=POST
/// batching=array
/// ```
/// A plan is read strictly. A key too many means that something was decided that this version cannot follow, and a
/// delivery that silently ignored it would send other bytes under the same name.
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
      throw SinkError("the plan takes \(bytes.count) bytes; at most \(Intent.maxPlanBytes) fit an intent")
    }
    return bytes
  }

  init(parsing plan: [UInt8], kind: String, version: Int, keys: [String]) throws(SinkError) {
    guard let text = String(validating: plan, as: UTF8.self) else {
      throw SinkError("the plan of this delivery is not text: it was not made by this sink")
    }
    var lines = text.split(separator: "\n", omittingEmptySubsequences: true)[...]
    guard let head = lines.popFirst()?.split(separator: " "), head.count == 2, head[0] == kind else {
      throw SinkError("the plan of this delivery was not made by this sink (expected a plan of \(kind))")
    }
    guard head[1] == String(version) else {
      throw SinkError("the plan of this delivery has version \(head[1]); this release follows version \(version)")
    }
    for line in lines {
      let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, keys.contains(String(parts[0])) else {
        throw SinkError("the plan of this delivery asks for something this release does not know: \(line)")
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

  /// Nil where the plan was made before there was such a key, or says that there is none.
  func optional(_ key: String) -> String? { values[key].flatMap { $0.isEmpty ? nil : $0 } }

  func integer(_ key: String) throws(SinkError) -> Int {
    let text = try value(key)
    guard let number = Int(text) else { throw SinkError("the plan of this delivery has \(key)=\(text), not a number") }
    return number
  }
}
