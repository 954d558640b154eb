import PenstockDelivery

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// A parsed http or https URL.
struct DestinationURL: Hashable {
  let scheme: String
  let host: String
  /// Nil for the scheme's default port.
  let port: Int?
  /// Percent-encoded; begins with `/`.
  let path: String
  /// Percent-encoded, without `?`.
  let query: String?

  init(_ text: String) throws(SinkError) {
    // Messages never contain the text: its query can contain a key.
    guard let parts = URLComponents(string: text), let scheme = parts.scheme?.lowercased(), let host = parts.host else {
      throw SinkError("the address is not a URL; it should look like https://example.com/path")
    }
    guard ["http", "https"].contains(scheme) else {
      throw SinkError("the address begins with \(scheme)://; only http:// and https:// are supported")
    }
    guard !host.isEmpty else { throw SinkError("the address has no host") }
    guard parts.user == nil, parts.password == nil else {
      throw SinkError("the address has a user or a password; use a header instead")
    }
    guard parts.fragment == nil else { throw SinkError("the address has a fragment (#…), which is never sent") }
    if let port = parts.port, !(1...65_535).contains(port) { throw SinkError("the address has no valid port") }
    self.scheme = scheme
    self.host = parts.percentEncodedHost ?? host
    // A zone names a network interface of this machine; a server cannot use it.
    guard !self.host.contains("%") else {
      throw SinkError("the address's host contains %; leave a zone such as %eth0 out")
    }
    port = parts.port == (scheme == "https" ? 443 : 80) ? nil : parts.port
    path = parts.percentEncodedPath.isEmpty ? "/" : parts.percentEncodedPath
    query = parts.percentEncodedQuery
  }

  /// The name or address by itself: IPv6 without brackets.
  var hostName: String {
    host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
  }

  /// Whether the query names the parameter.
  func hasParameter(_ name: String) -> Bool {
    parameters.contains { (PercentEncoding.decode($0.name) ?? $0.name) == name }
  }

  /// The parameters of the query, percent-encoded.
  var parameters: [(name: String, value: String)] {
    (query ?? "").split(separator: "&").map { part in
      let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return (name: String(pair[0]), value: pair.count == 2 ? String(pair[1]) : "")
    }
  }

  /// The value of the `Host` header.
  var authority: String { port.map { "\(host):\($0)" } ?? host }

  /// For messages: without the query, which can contain keys.
  var redacted: String { "\(scheme)://\(authority)\(path)" }

  /// The full URL, with `parameter` (percent-encoded) added to the query.
  func string(adding parameter: String? = nil) -> String {
    let query = [self.query, parameter].compactMap(\.self).filter { !$0.isEmpty }.joined(separator: "&")
    return redacted + (query.isEmpty ? "" : "?\(query)")
  }
}

/// No description contains the query.
extension DestinationURL: CustomStringConvertible, CustomReflectable {
  var description: String { redacted }
  var customMirror: Mirror { Mirror(self, children: ["url": redacted]) }
}
