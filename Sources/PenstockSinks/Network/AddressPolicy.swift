/// Which addresses a delivery may be sent to.
///
/// An address that a user enters can name a machine that only this one can reach: a database, a metadata service that hands
/// out credentials (server-side request forgery). A policy looks at the address a name resolved to, which is then
/// the one that is connected to; a name server that answers differently the next time gains nothing.
///
/// Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries, and the metadata addresses that cloud providers document.
public struct AddressPolicy: Sendable, Hashable {
  /// Whether loopback, private (RFC 1918), shared (RFC 6598) and unique local (RFC 4193) addresses are taken too. Link-local
  /// and metadata addresses are not among them.
  public var allowsPrivate: Bool
  /// Taken whatever else is said, also link-local or metadata addresses.
  public var allowed: [IPNetwork]

  public init(allowsPrivate: Bool = false, allowed: [IPNetwork] = []) {
    self.allowsPrivate = allowsPrivate
    self.allowed = allowed
  }

  /// Addresses of the public internet.
  public static let publicOnly = AddressPolicy()
  /// And those of private networks and this machine.
  public static let publicAndPrivate = AddressPolicy(allowsPrivate: true)

  /// What speaks against the address, as in "is private (RFC 1918)"; nil when nothing does.
  func objection(to address: IPAddress) -> Objection? {
    if allowed.contains(where: { $0.contains(address.bytes) || $0.contains(address.unmapped.bytes) }) { return nil }
    guard let range = SpecialAddresses.range(of: address) else { return nil }
    if allowsPrivate, range.isPrivate { return nil }
    return Objection(address: address, range: range)
  }

  /// An address that is not connected to, and why.
  struct Objection: Hashable {
    let address: IPAddress
    let range: SpecialAddresses.Range

    /// - Parameter host: as it was configured.
    func message(host: String) -> String {
      let text = address.description
      let place = text == host || "[\(text)]" == host ? text : "\(text), to which \(host) resolves,"
      let remedy =
        range.isPrivate ? "allowPrivateNetworks, or name its network there" : "name its network in allowPrivateNetworks"
      return "\(place) is \(range.words); if that is meant, \(range.isPrivate ? "set " : "")\(remedy)"
    }
  }
}

/// Addresses that are not ordinary destinations on the public internet.
enum SpecialAddresses {
  struct Range: Hashable {
    let network: IPNetwork
    let words: String
    let isPrivate: Bool
  }

  /// What is special about the address; nil for an ordinary one.
  static func range(of address: IPAddress) -> Range? {
    let address = address.unmapped
    if let found = table.first(where: { $0.network.contains(address.bytes) }) { return found }
    if address.isIPv4 { return nil }
    // A translator makes an IPv4 connection of it (RFC 6052), so that address counts. Where there is only IPv6, every IPv4
    // destination looks like this.
    if nat64.contains(address.bytes) { return range(of: IPAddress(bytes: Array(address.bytes[12...]))) }
    return globalUnicast.contains(address.bytes)
      ? nil : Range(network: network("::/0"), words: "outside of what is given out (2000::/3)", isPrivate: false)
  }

  private static let nat64 = network("64:ff9b::/96")
  private static let globalUnicast = network("2000::/3")

  /// The first that matches counts: single addresses stand before the networks they are in.
  private static let table: [Range] =
    [
      ("169.254.169.254", "a cloud's metadata service"), ("169.254.170.2", "a container's metadata service"),
      ("169.254.170.23", "a container's metadata service"), ("100.100.100.200", "a cloud's metadata service"),
      ("168.63.129.16", "a cloud's own service"), ("192.0.0.192", "a cloud's metadata service"),
      ("fd00:ec2::254", "a cloud's metadata service"), ("fd00:ec2::23", "a container's metadata service"),
      ("fd20:ce::254", "a cloud's metadata service"),
      ("0.0.0.0/8", "unspecified (this network, RFC 791)"), ("169.254.0.0/16", "link-local (RFC 3927)"),
      ("192.0.0.0/24", "reserved for protocols (RFC 6890)"), ("192.0.2.0/24", "for documentation (RFC 5737)"),
      ("192.88.99.0/24", "a 6to4 relay (RFC 7526)"), ("198.18.0.0/15", "for benchmarks (RFC 2544)"),
      ("198.51.100.0/24", "for documentation (RFC 5737)"), ("203.0.113.0/24", "for documentation (RFC 5737)"),
      ("224.0.0.0/4", "multicast (RFC 5771)"), ("255.255.255.255", "broadcast"), ("240.0.0.0/4", "reserved (RFC 1112)"),
      ("::", "unspecified"), ("fe80::/10", "link-local (RFC 4291)"), ("fec0::/10", "site-local (RFC 3879)"),
      ("ff00::/8", "multicast (RFC 4291)"), ("64:ff9b:1::/48", "a local translator's (RFC 8215)"),
      ("100::/64", "discarded (RFC 6666)"), ("100:0:0:1::/64", "a dummy prefix (RFC 9780)"),
      ("2001::/32", "a Teredo tunnel's (RFC 4380)"), ("2001::/23", "reserved for protocols (RFC 2928)"),
      ("2001:db8::/32", "for documentation (RFC 3849)"), ("2002::/16", "a 6to4 tunnel's (RFC 3056)"),
      ("3fff::/20", "for documentation (RFC 9637)"), ("5f00::/16", "for segment routing (RFC 9602)"),
    ].map { Range(network: network($0.0), words: $0.1, isPrivate: false) }
    + [
      ("10.0.0.0/8", "private (RFC 1918)"), ("172.16.0.0/12", "private (RFC 1918)"),
      ("192.168.0.0/16", "private (RFC 1918)"), ("100.64.0.0/10", "shared by a carrier's customers (RFC 6598)"),
      ("127.0.0.0/8", "loopback"), ("::1", "loopback"), ("fc00::/7", "unique local (RFC 4193)"),
    ].map { Range(network: network($0.0), words: $0.1, isPrivate: true) }
    // Behind `::` and `::1`, which are in it.
    + [Range(network: network("::/96"), words: "an IPv4-compatible one (RFC 4291)", isPrivate: false)]

  private static func network(_ text: String) -> IPNetwork {
    guard let network = IPNetwork(text) else { preconditionFailure("\(text) in the table is no network") }
    return network
  }
}
