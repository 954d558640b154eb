/// Whether a certificate is for a host's name (RFC 9525, section 6.3).
///
/// The TLS library has looked by now, but takes a certificate also when it is for the *address* that was connected to. Who
/// can change what a name resolves to, and has a certificate for an address of his own, would pass for the name.
enum CertificateNames {
  /// - Parameter names: the DNS names of the certificate.
  static func cover(_ host: String, _ names: [String]) -> Bool {
    let host = labels(host)
    return names.contains { name in
      let name = labels(name)
      if name == host { return true }
      // The asterisk is one whole label, the first, and not just under a top-level domain.
      return name.first == "*" && name.count > 2 && name.count == host.count && name.dropFirst() == host.dropFirst()
    }
  }

  private static func labels(_ name: String) -> [Substring] {
    let text = name.lowercased()
    return (text.hasSuffix(".") ? text.dropLast() : text[...]).split(separator: ".", omittingEmptySubsequences: false)
  }
}
