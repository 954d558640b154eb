/// An IPv4 or IPv6 address, without port or zone.
public struct IPAddress: Sendable, Hashable {
  /// 4 or 16 bytes, in network order.
  let bytes: [UInt8]

  init(bytes: [UInt8]) {
    precondition(bytes.count == 4 || bytes.count == 16, "an address has 4 or 16 bytes")
    self.bytes = bytes
  }

  /// Parses four decimal numbers (`192.0.2.1`) or IPv6 (`2001:db8::1`). Nil for everything else, such as host names,
  /// old short and octal notations, and zones.
  public init?(_ text: String) {
    guard let bytes = Platform.addressBytes(text) else { return nil }
    self.bytes = bytes
  }

  var isIPv4: Bool { bytes.count == 4 }

  /// The IPv4 address inside an IPv4-mapped one (`::ffff:0:0/96`, RFC 4291, section 2.5.5.2), which is the same
  /// destination; otherwise the address itself.
  var unmapped: IPAddress {
    IPNetwork.mapped.contains(bytes) ? IPAddress(bytes: Array(bytes[12...])) : self
  }
}

extension IPAddress: CustomStringConvertible {
  public var description: String { Platform.addressText(bytes) }
}

/// A range of addresses, such as `10.0.0.0/8`.
public struct IPNetwork: Sendable, Hashable {
  let address: IPAddress
  let prefixLength: Int

  /// Parses an address, a slash and a prefix length; without a slash, a single address. Nil if it is invalid, or if
  /// bits after the prefix are set, because that is probably a mistake.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let address = IPAddress(String(parts[0])) else { return nil }
    let bits = address.bytes.count * 8
    guard parts.count == 2 else {
      self.init(address: address, prefixLength: bits)
      return
    }
    guard parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let length = Int(parts[1]), length <= bits else {
      return nil
    }
    self.init(address: address, prefixLength: length)
    guard masked(address.bytes) == address.bytes else { return nil }
  }

  init(address: IPAddress, prefixLength: Int) {
    self.address = address
    self.prefixLength = prefixLength
  }

  func contains(_ bytes: [UInt8]) -> Bool {
    bytes.count == address.bytes.count && masked(bytes) == masked(address.bytes)
  }

  /// The prefix bits, followed by zeros.
  private func masked(_ bytes: [UInt8]) -> [UInt8] {
    bytes.enumerated().map { index, byte in
      let kept = min(max(prefixLength - index * 8, 0), 8)
      return byte & ~UInt8(truncatingIfNeeded: 0xFF >> kept)
    }
  }

  static let mapped = IPNetwork(
    address: IPAddress(bytes: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0]), prefixLength: 96)
}

extension IPNetwork: CustomStringConvertible {
  public var description: String { "\(address)/\(prefixLength)" }
}
