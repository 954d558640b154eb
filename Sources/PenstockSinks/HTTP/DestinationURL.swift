import PenstockDelivery

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// An http or https address, taken apart.
struct DestinationURL: Hashable {
  let scheme: String
  let host: String
  /// Nil for the scheme's own.
  let port: Int?
  /// Percent-encoded; begins with `/`.
  let path: String
  /// Percent-encoded, without `?`.
  let query: String?

  init(_ text: String) throws(SinkError) {
    // The text is in no message: a key may stand in its query.
    guard let parts = URLComponents(string: text), let scheme = parts.scheme?.lowercased(), let host = parts.host else {
      throw SinkError("the address is not a URL; it should look like https://example.com/path")
    }
    guard ["http", "https"].contains(scheme) else {
      throw SinkError("the address begins with \(scheme)://; only http:// and https:// are possible")
    }
    guard !host.isEmpty else { throw SinkError("the address names no host") }
    guard parts.user == nil, parts.password == nil else {
      throw SinkError("the address holds a user or a password; put them into a header")
    }
    guard parts.fragment == nil else { throw SinkError("the address has a fragment (#…), which is never sent") }
    if let port = parts.port, !(1...65_535).contains(port) { throw SinkError("the address has no valid port") }
    self.scheme = scheme
    self.host = parts.percentEncodedHost ?? host
    port = parts.port == (scheme == "https" ? 443 : 80) ? nil : parts.port
    path = parts.percentEncodedPath.isEmpty ? "/" : parts.percentEncodedPath
    query = parts.percentEncodedQuery
  }

  /// What the `Host` header says.
  var authority: String { port.map { "\(host):\($0)" } ?? host }

  /// For people: without the query, where keys are sometimes put.
  var redacted: String { "\(scheme)://\(authority)\(path)" }

  /// The whole, with `parameter` (percent-encoded) added to the query.
  func string(adding parameter: String? = nil) -> String {
    let query = [self.query, parameter].compactMap(\.self).filter { !$0.isEmpty }.joined(separator: "&")
    return redacted + (query.isEmpty ? "" : "?\(query)")
  }
}
