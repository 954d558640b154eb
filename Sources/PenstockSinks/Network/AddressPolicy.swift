/// The addresses to which a delivery may connect.
///
/// A URL that a user enters can name a machine that only this one can reach, such as a database, or a metadata service
/// that returns credentials (server-side request forgery). The policy checks the resolved address, and the connection
/// goes to exactly that address. So a name server gains nothing if it returns a different address later.
///
/// Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries, and the metadata addresses in the documentation
/// of cloud providers.
public struct AddressPolicy: Sendable, Hashable {
  /// Whether to allow loopback, private (RFC 1918), shared (RFC 6598) and unique local (RFC 4193) addresses. This does
  /// not include link-local and metadata addresses.
  public var allowsPrivate: Bool
  /// Networks that are always allowed, also link-local and metadata addresses.
  public var allowed: [IPNetwork]

  /// The public internet, and what the parameters add.
  public init(allowsPrivate: Bool = false, allowed: [IPNetwork] = []) {
    self.allowsPrivate = allowsPrivate
    self.allowed = allowed
  }

  /// Addresses of the public internet.
  public static let publicOnly = AddressPolicy()
  /// Addresses of the public internet, private networks and this machine.
  public static let publicAndPrivate = AddressPolicy(allowsPrivate: true)

  /// Why the address is not allowed; nil if it is.
  func objection(to address: IPAddress) -> Objection? {
    if allowed.contains(where: { $0.contains(address.bytes) || $0.contains(address.unmapped.bytes) }) { return nil }
    guard let range = SpecialAddresses.range(of: address) else { return nil }
    if allowsPrivate, range.isPrivate { return nil }
    return Objection(address: address, range: range)
  }

  /// A forbidden address, and the reason.
  struct Objection: Hashable {
    let address: IPAddress
    let range: SpecialAddresses.Range

    /// - Parameter host: The host as configured.
    func message(host: String) -> String {
      let text = address.description
      let subject = text == host || "[\(text)]" == host ? text : "\(text), to which \(host) resolves,"
      let remedy =
        range.isPrivate ? "allowPrivateNetworks, or name its network there" : "name its network in allowPrivateNetworks"
      return "\(subject) is \(range.words); if that is meant, \(range.isPrivate ? "set " : "")\(remedy)"
    }
  }
}

/// Addresses that are not normal destinations on the public internet.
enum SpecialAddresses {
  struct Range: Hashable {
    let network: IPNetwork
    let words: String
    let isPrivate: Bool
  }

  /// The special range of an address; nil for a normal one.
  static func range(of address: IPAddress) -> Range? {
    let address = address.unmapped
    if let found = table.first(where: { $0.network.contains(address.bytes) }) { return found }
    if address.isIPv4 { return nil }
    // NAT64 translates this to an IPv4 connection (RFC 6052), so check the IPv4 address. On IPv6-only networks, every
    // IPv4 destination has this form.
    if nat64.contains(address.bytes) { return range(of: IPAddress(bytes: Array(address.bytes[12...]))) }
    return globalUnicast.contains(address.bytes)
      ? nil : Range(network: network("::/0"), words: "outside of the allocated range (2000::/3)", isPrivate: false)
  }

  private static let nat64 = network("64:ff9b::/96")
  private static let globalUnicast = network("2000::/3")

  /// The first match counts, so single addresses come before their networks.
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
    // After `::` and `::1`, which it includes.
    + [Range(network: network("::/96"), words: "an IPv4-compatible one (RFC 4291)", isPrivate: false)]

  private static func network(_ text: String) -> IPNetwork {
    guard let network = IPNetwork(text) else { preconditionFailure("\(text) in the table is not a network") }
    return network
  }
}
