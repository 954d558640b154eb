package import Logging
package import PenstockLog
import PenstockSupport

/// Writes log lines as JSON, one object a line: `time`, `level`, `label`, `message`, and `metadata` when there is any.
package struct JSONLogHandler: LogHandler {
  package var logLevel = Logger.Level.info
  package var metadata: Logger.Metadata = [:]
  package var metadataProvider: Logger.MetadataProvider?
  private let label: String
  private let clock: any WallClock
  private let write: @Sendable (String) -> Void

  /// - Parameter write: Receives one line, without a line feed.
  package init(
    label: String, clock: any WallClock = SystemWallClock(), write: @escaping @Sendable (String) -> Void
  ) {
    self.label = label
    self.clock = clock
    self.write = write
  }

  package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  package func log(event: LogEvent) {
    // On a repeated key the more specific value wins: the event's own, then the provider's, then the handler's.
    var all = metadata
    if let provided = metadataProvider?.get() { all.merge(provided) { $1 } }
    if let own = event.metadata { all.merge(own) { $1 } }
    if let error = event.error { all["error"] = "\(error)" }
    var members: [(String, OrderedJSON)] = [
      ("time", .string(ServiceTime.text(clock.now()))), ("level", .string(event.level.rawValue)),
      ("label", .string(label)), ("message", .string(event.message.description)),
    ]
    if !all.isEmpty { members.append(("metadata", Self.json(all))) }
    write(OrderedJSON.object(members).text)
  }

  private static func json(_ metadata: Logger.Metadata) -> OrderedJSON {
    .object(metadata.sorted { $0.key < $1.key }.map { ($0.key, json($0.value)) })
  }

  private static func json(_ value: Logger.Metadata.Value) -> OrderedJSON {
    switch value {
    case .string(let text): .string(text)
    case .stringConvertible(let value): .string(value.description)
    case .dictionary(let members): json(members)
    case .array(let values): .array(values.map(json))
    }
  }
}
