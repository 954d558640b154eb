import NIOHTTP1

/// An HTTP status with its reason phrase: `404 Not Found`; only the number if it has no phrase.
package func statusWords(_ status: Int) -> String {
  if status == 425 { return "425 Too Early" }
  let known = HTTPResponseStatus(statusCode: status)
  if case .custom = known { return "\(status)" }
  return known.reasonPhrase.isEmpty ? "\(status)" : "\(status) \(known.reasonPhrase)"
}
