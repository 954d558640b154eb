import PenstockDelivery
import PenstockLog
import PenstockSinks
import PenstockToolSupport

/// Access to a destination's export for `verify --s3` and `cursor rebuild`: the destination, the store and the log's
/// id.
struct ExportCheck {
  let destination: Configuration.Destination
  let export: ExportStoreSettings
  /// As 32 hexadecimal digits.
  let logID: String

  /// How long to retry while the store does not answer; nil is one minute.
  var giveUpAfter: Duration?

  /// Every destination that exports objects, or those of these names, in the file's order.
  static func chooseAll(
    _ names: [String], in configuration: Configuration, file: String
  ) throws(Failure) -> [(Configuration.Destination, ExportStoreSettings)] {
    if names.isEmpty {
      let found = configuration.destinations.compactMap { destination in destination.export.map { (destination, $0) } }
      // `choose` throws the message that there is none.
      return found.isEmpty ? [try choose(nil, in: configuration, file: file)] : found
    }
    var found: [(Configuration.Destination, ExportStoreSettings)] = []
    for name in names where !found.contains(where: { $0.0.name == name }) {
      found.append(try choose(name, in: configuration, file: file))
    }
    return found
  }

  /// - Parameter name: Nil takes the only destination that exports objects.
  static func choose(
    _ name: String?, in configuration: Configuration, file: String
  ) throws(Failure) -> (Configuration.Destination, ExportStoreSettings) {
    let exports = configuration.destinations.filter { $0.export != nil }
    let names = exports.map(\.name).joined(separator: ", ")
    let found = exports.filter { name == nil || $0.name == name }
    if found.count == 1, let export = found[0].export { return (found[0], export) }
    let message =
      switch (name, exports.isEmpty) {
      case (_, true): "\(file) has no destination of type s3 or directory"
      case (let name?, _): "\(file) has no destination \(name) of type s3 or directory; it has \(names)"
      case (nil, _): "\(file) has several destinations of type s3 or directory: \(names)"
      }
    throw Failure(
      .usage, "configuration", message,
      advice: name == nil && !exports.isEmpty ? "name one of these destinations" : nil)
  }

  /// Opens the store, runs `question`, and closes the store in every case. Retries transient errors as a delivery does.
  func ask<Value>(_ question: (any ExportStore) async throws -> Value) async throws -> Value {
    let (opened, close) = try export.open()
    var retry = destination.delivery.options.retry
    retry.giveUpAfter = giveUpAfter ?? .seconds(60)
    let name = destination.name
    let store = RetryingExportStore(
      opened, retry: retry, onRetry: { error in Output.note("penstock: \(name): \(error); retrying") })
    do {
      let answer = try await question(store)
      await close()
      return answer
    } catch {
      await close()
      guard let error = error as? ExportStoreError else { throw error }
      throw Failure(
        .cannot, "store", "cannot read \(store.description): \(error)",
        advice: "check the credentials and the permissions to list and read (s3:ListBucket, s3:GetObject)")
    }
  }
}
