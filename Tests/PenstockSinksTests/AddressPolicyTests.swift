import Testing

@testable import PenstockSinks

struct AddressPolicyTests {
  /// Every entry of the IANA IPv4 and IPv6 Special-Purpose Address Registries that is not reachable from everywhere,
  /// and multicast. Each has a first and a last address, and whether `allowsPrivate` opens it.
  static let special: [(first: String, last: String, isPrivate: Bool)] = [
    ("0.0.0.0", "0.255.255.255", false), ("10.0.0.0", "10.255.255.255", true), ("100.64.0.0", "100.127.255.255", true),
    ("127.0.0.0", "127.255.255.255", true), ("169.254.0.0", "169.254.255.255", false),
    ("172.16.0.0", "172.31.255.255", true), ("192.0.0.0", "192.0.0.255", false), ("192.0.2.0", "192.0.2.255", false),
    ("192.88.99.0", "192.88.99.255", false), ("192.168.0.0", "192.168.255.255", true),
    ("198.18.0.0", "198.19.255.255", false), ("198.51.100.0", "198.51.100.255", false),
    ("203.0.113.0", "203.0.113.255", false), ("224.0.0.0", "239.255.255.255", false),
    ("240.0.0.0", "255.255.255.254", false), ("255.255.255.255", "255.255.255.255", false),
    ("::", "::", false), ("::1", "::1", true), ("::2", "::ffff:ffff", false),
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", false), ("100::", "100::ffff:ffff:ffff:ffff", false),
    ("100:0:0:1::", "100::1:ffff:ffff:ffff:ffff", false), ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", false), ("2001:10::", "2001:1f:ffff::", false),
    ("2001:20::", "2001:2f:ffff::", false), ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    // Not given out.
    ("200::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false), ("4000::", "4000::", false),
    ("e000::", "e000::", false),
  ]

  private func refuses(_ text: String, _ policy: AddressPolicy = .publicOnly) throws -> Bool {
    policy.objection(to: try #require(IPAddress(text), "\(text)")) != nil
  }

  @Test(arguments: special.indices)
  func `both ends of every special range are refused, private ones until they are allowed`(index: Int) throws {
    let range = Self.special[index]
    for address in [range.first, range.last] {
      #expect(try refuses(address), "\(address)")
      #expect(try refuses(address, .publicAndPrivate) != range.isPrivate, "\(address)")
    }
  }

  @Test(arguments: [
    "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
    "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.3.0",
    "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
    "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255", "8.8.8.8",
    "2001:200::", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::", "2003::", "2606:4700::1111",
    "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2000::", "3fff:1000::",
  ])
  func `the addresses just outside of them are taken`(address: String) throws {
    #expect(try !refuses(address), "\(address)")
  }

  @Test(arguments: [
    "169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
  ])
  func `metadata services stay refused where private networks are allowed`(address: String) throws {
    #expect(try refuses(address, .publicAndPrivate))
    let named = AddressPolicy(allowed: [try #require(IPNetwork(address))])
    #expect(try !refuses(address, named))
  }

  @Test(arguments: [
    ("::ffff:127.0.0.1", true), ("::ffff:7f00:1", true), ("::ffff:10.1.2.3", true), ("::ffff:169.254.169.254", true),
    ("::ffff:8.8.8.8", false), ("64:ff9b::10.0.0.1", true), ("64:ff9b::a9fe:a9fe", true), ("64:ff9b::127.0.0.1", true),
    ("64:ff9b::8.8.8.8", false), ("::10.0.0.1", true), ("::8.8.8.8", true), ("2002:7f00:1::", true),
    ("2001:0:7f00:1::", true),
  ])
  func `an IPv4 address inside an IPv6 one is the same destination`(address: String, isRefused: Bool) throws {
    #expect(try refuses(address) == isRefused)
  }

  @Test func `networks that are named are taken, and nothing else`() throws {
    let policy = AddressPolicy(allowed: try ["10.1.0.0/16", "fd12::/16"].map { try #require(IPNetwork($0)) })
    for address in ["10.1.0.0", "10.1.255.255", "::ffff:10.1.0.1", "fd12::1", "8.8.8.8"] {
      #expect(try !refuses(address, policy), "\(address)")
    }
    for address in ["10.0.255.255", "10.2.0.0", "127.0.0.1", "fd11::1", "fd13::1"] {
      #expect(try refuses(address, policy), "\(address)")
    }
  }

  @Test func `networks are read strictly`() throws {
    for text in ["", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/", "10.0.0.0/-1", "10.0/8", "::/129", "fe80::1/64", "x/8"] {
      #expect(IPNetwork(text) == nil, "\(text)")
    }
    for (text, expected) in [
      ("10.0.0.0/8", "10.0.0.0/8"), ("10.0.0.1", "10.0.0.1/32"), ("0.0.0.0/0", "0.0.0.0/0"), ("::1", "::1/128"),
    ] {
      #expect(try #require(IPNetwork(text)).description == expected)
    }
  }

  @Test func `addresses are read in their usual spelling alone`() {
    for text in [
      "", "1.2.3", "0x7f.0.0.1", "2130706433", "127.0.0.1.", "fe80::1%lo", "[::1]", "1.2.3.4\0", "example.com",
    ] {
      #expect(IPAddress(text) == nil, "\(text)")
    }
    #expect(IPAddress("::FFFF:1.2.3.4")?.description == "::ffff:1.2.3.4")
  }

  @Test(arguments: [
    "127.0.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "0x7F.0x0.0x0.0x1", "::1",
    "::ffff:7f00:1", "0:0:0:0:0:0:0:1",
  ])
  func `every spelling of an address is known for what it is`(host: String) throws {
    let address = try #require(SystemHostResolver.literal(host), "\(host)")
    #expect(AddressPolicy.publicOnly.objection(to: address)?.range.words == "loopback")
    let url = "https://\(host.contains(":") ? "[\(host)]" : host)/in"
    expectSinkError(containing: "is loopback; if that is meant, set allowPrivateNetworks") {
      _ = try WebhookSink(WebhookConfiguration(url: url))
    }
    var allowed = WebhookConfiguration(url: url)
    allowed.addresses = .publicAndPrivate
    _ = try WebhookSink(allowed)
  }

  @Test func `a zone is refused`() {
    expectSinkError(containing: "%") { _ = try WebhookSink(WebhookConfiguration(url: "https://[fe80::1%25eth0]/")) }
  }

  @Test func `an objection says what the name became and what to do`() throws {
    let address = try #require(IPAddress("10.0.0.5"))
    let objection = try #require(AddressPolicy.publicOnly.objection(to: address))
    #expect(
      objection.message(host: "db.example")
        == "10.0.0.5, to which db.example resolves, is private (RFC 1918); if that is meant, set allowPrivateNetworks, "
        + "or name its network there")
  }
}

struct CertificateNamesTests {
  @Test(arguments: [
    ("a.example.com", "a.example.com", true), ("A.Example.COM", "a.example.com", true),
    ("a.example.com.", "a.example.com", true),
    ("a.example.com", "*.example.com", true), ("a.b.example.com", "*.example.com", false),
    ("example.com", "*.example.com", false),
    ("a.example.com", "*", false), ("a.com", "*.com", false), ("ab.example.com", "a*.example.com", false),
    ("a.example.com", "b.example.com", false), ("a.example.com", "a.*.com", false), ("a.example.com", "", false),
    ("localhost", "localhost", true),
  ])
  func `a certificate covers the names it spells, and one label for an asterisk`(
    host: String, name: String, isCovered: Bool
  ) {
    #expect(CertificateNames.cover(host, [name]) == isCovered)
    #expect(CertificateNames.cover(host, ["other.test", name]) == isCovered)
  }

  @Test func `a certificate without names covers none`() { #expect(!CertificateNames.cover("a.example.com", [])) }
}
