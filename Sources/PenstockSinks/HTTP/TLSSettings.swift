import NIOSSL
import PenstockDelivery

/// How a secure connection is made: whom we believe, and who we say we are.
///
/// Files are in PEM form and are read once, when the sink is made; a file that changes later counts from the next start on.
/// A start costs a destination nothing: what was open is finished first.
public struct TLSSettings: Sendable, Hashable {
  /// A file with the certificates of the authorities a server's certificate must come from, *instead of* the system's: a
  /// receiver with a private authority is then believed only under that one. Nil: the system's.
  public var authorities: String?
  /// Believes the system's authorities beside those of ``authorities``; for the time of a change from one to the other.
  public var alsoSystemAuthorities = false
  /// A file with our certificate and those between it and its authority, in that order, for servers that demand one.
  public var certificate: String?
  /// The file with its private key, without a passphrase.
  public var key: String?

  public init() {}
}

extension TLSSettings {
  private static let limit = 4 << 20

  /// Reads the files, and checks that they belong together.
  func configuration() throws(SinkError) -> TLSConfiguration {
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.minimumTLSVersion = .tlsv12
    if let authorities {
      let certificates = try Self.certificates(authorities, "tls.ca")
      if alsoSystemAuthorities {
        configuration.additionalTrustRoots = [.certificates(certificates)]
      } else {
        configuration.trustRoots = .certificates(certificates)
      }
    }
    switch (certificate, key) {
    case (nil, nil): return configuration
    case (let certificate?, let key?):
      configuration.certificateChain = try Self.certificates(certificate, "tls.certificate").map { .certificate($0) }
      configuration.privateKey = .privateKey(try Self.privateKey(key))
    default: throw SinkError("tls.certificate and tls.key belong together; one of them is missing")
    }
    do {
      _ = try NIOSSLContext(configuration: configuration)
    } catch {
      throw SinkError("the key in \(key ?? "") does not belong to the certificate in \(certificate ?? "")")
    }
    return configuration
  }

  private static func certificates(_ path: String, _ what: String) throws(SinkError) -> [NIOSSLCertificate] {
    let bytes = try contents(path, what)
    let found = (try? NIOSSLCertificate.fromPEMBytes(bytes)) ?? []
    guard !found.isEmpty else {
      throw SinkError("\(what): \(path) holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)")
    }
    return found
  }

  private static func privateKey(_ path: String) throws(SinkError) -> NIOSSLPrivateKey {
    let bytes = try contents(path, "tls.key")
    do {
      return try NIOSSLPrivateKey(bytes: bytes, format: .pem)
    } catch {
      throw SinkError("tls.key: \(path) holds no private key in PEM form, or one with a passphrase")
    }
  }

  private static func contents(_ path: String, _ what: String) throws(SinkError) -> [UInt8] {
    do throws(PlatformError) {
      return try Platform.contents(ofFile: path, limit: limit)
    } catch {
      throw SinkError("\(what): \(path) cannot be read: \(error)")
    }
  }
}
