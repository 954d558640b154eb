/// Whether a certificate is for a host's name (RFC 9525, section 6.3).
///
/// The TLS library has checked the certificate, but it also accepts a certificate for the *address* of the connection.
/// So an attacker who controls the name server and has a certificate for an own address could impersonate the name.
enum CertificateNames {
  /// - Parameter names: The DNS names of the certificate.
  static func cover(_ host: String, _ names: [String]) -> Bool {
    let host = labels(host)
    return names.contains { name in
      let name = labels(name)
      if name == host { return true }
      // A wildcard must be the complete first label, with at least two labels after it.
      return name.first == "*" && name.count > 2 && name.count == host.count && name.dropFirst() == host.dropFirst()
    }
  }

  private static func labels(_ name: String) -> [Substring] {
    let text = name.lowercased()
    return (text.hasSuffix(".") ? text.dropLast() : text[...]).split(separator: ".", omittingEmptySubsequences: false)
  }
}
