import ArgumentParser
import PenstockEvents
import PenstockLog
import PenstockToolSupport

/// `--where`: which events a command looks at, in the words of a destination's `filter`.
extension EventFilter {
  static let optionHelp = ArgumentHelp(
    """
    Only events that a filter lets pass, written as in the configuration file: `type=page,track event=Goal,Custom_* \
    !segment=Employees`. A record that is no JSON object is left out, unless the filter says malformed=pass or =halt.
    """, valueName: "filter")

  /// As an option's value.
  static func option(_ text: String) throws -> EventFilter { try EventFilter(parsing: text) }

  /// Whether a record is wanted. Sets `refused` at one that cannot be judged, where the filter says `malformed=halt`.
  func wants(_ record: RecordView, _ refused: inout Failure?) -> Bool {
    switch verdict(on: record.bytes) {
    case .passes: return true
    case .filtered: return false
    case .malformed:
      if malformed == .halt {
        refused = Failure(
          .bad, "malformed", "record \(record.offset) is no JSON object, and the filter says malformed=halt",
          advice: "malformed=drop leaves such records out, malformed=pass lets them pass")
      }
      return malformed == .pass
    }
  }
}
