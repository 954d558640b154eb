import NIOSSL
import PenstockDelivery

/// TLS settings: the trusted certificate authorities and the client certificate.
///
/// Files are in PEM format. They are read once, when the sink is created; a changed file applies after a restart. A
/// restart loses nothing: a delivery in flight is finished first.
public struct TLSSettings: Sendable, Hashable {
  /// A file with the certificate authorities to trust *instead of* the system's. So a receiver with a private authority
  /// is trusted only with that authority. Nil: the system's authorities.
  public var authorities: String?
  /// Trusts the system's authorities in addition to ``authorities``, for a change from one to the other.
  public var alsoSystemAuthorities = false
  /// A file with the client certificate, followed by its intermediate certificates, for servers that require one.
  public var certificate: String?
  /// The file with the certificate's private key, without a passphrase.
  public var key: String?

  /// The system's authorities and no client certificate.
  public init() {}
}

extension TLSSettings {
  private static let limit = 4 << 20

  /// Reads the files, which blocks, and checks that the key belongs to the certificate.
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
    default: throw SinkError("tls.certificate and tls.key need each other; one of them is missing")
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
      throw SinkError("\(what): \(path) has no certificate in PEM format (-----BEGIN CERTIFICATE-----)")
    }
    return found
  }

  private static func privateKey(_ path: String) throws(SinkError) -> NIOSSLPrivateKey {
    let bytes = try contents(path, "tls.key")
    do {
      return try NIOSSLPrivateKey(bytes: bytes, format: .pem)
    } catch {
      throw SinkError("tls.key: \(path) has no private key in PEM format, or its key has a passphrase")
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
