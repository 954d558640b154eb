import NIOHTTP1

/// An HTTP status as people read it: `404 Not Found`; the number alone where it has no name.
package func statusWords(_ status: Int) -> String {
  if status == 425 { return "425 Too Early" }
  let known = HTTPResponseStatus(statusCode: status)
  if case .custom = known { return "\(status)" }
  return known.reasonPhrase.isEmpty ? "\(status)" : "\(status) \(known.reasonPhrase)"
}
