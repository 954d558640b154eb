import Foundation
package import PenstockLog

/// Formats the times in answers and log lines.
package enum ServiceTime {
  /// ISO 8601 in UTC with milliseconds, such as `2026-11-23T21:30:00.000Z`.
  package static func text(_ time: Timestamp) -> String {
    let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    return Date(timeIntervalSince1970: time.seconds).formatted(style)
  }
}
