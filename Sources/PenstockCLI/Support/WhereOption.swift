import ArgumentParser
import PenstockEvents
import PenstockLog
import PenstockSupport
import PenstockToolSupport

/// `--where`: selects events, with the syntax of a destination's `filter`.
extension EventFilter {
  static let optionHelp = ArgumentHelp(
    """
    Only events that pass this filter, in the syntax of the configuration file: `type=page,track event=Goal,Custom_* \
    !segment=Employees`. A record that is not a JSON object is left out, unless the filter has malformed=pass or \
    malformed=halt.
    """, valueName: "filter")

  /// Parses the option's value.
  static func option(_ text: String) throws -> EventFilter { try EventFilter(parsing: text) }

  /// Whether a record passes. Sets `refused` for a record that is not a JSON object, if the filter has
  /// `malformed=halt`.
  func wants(_ record: RecordView, _ refused: inout Failure?) -> Bool {
    switch verdict(on: record.bytes) {
    case .passes: return true
    case .filtered: return false
    case .malformed:
      if malformed == .halt {
        refused = Failure(
          .bad, "malformed", "record \(record.offset) is not a JSON object, and the filter has malformed=halt",
          advice: "use malformed=drop to leave such records out, or malformed=pass to keep them")
      }
      return malformed == .pass
    }
  }
}
