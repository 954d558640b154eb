import Foundation

@testable import PenstockSinks

/// The nginx that scripts/servers.py starts, named by environment variables.
struct NginxServer {
  let main: Int
  let http1: Int
  let other: Int
  let expired: Int
  let mutual: Int
  /// Where ca.pem, other-ca.pem, client.pem and client.key are.
  let tls: String
  let secret: Secret

  private init?(_ prefix: String) {
    let environment = ProcessInfo.processInfo.environment
    func port(_ name: String) -> Int? { environment["\(prefix)_\(name)"].flatMap { Int($0) } }
    guard let main = port("MAIN"), let http1 = port("HTTP1"), let other = port("OTHER"), let expired = port("EXPIRED"),
      let mutual = port("MUTUAL"), let tls = environment["\(prefix)_TLS"], let secret = environment["\(prefix)_SECRET"]
    else { return nil }
    (self.main, self.http1, self.other, self.expired, self.mutual) = (main, http1, other, expired, mutual)
    self.tls = tls
    self.secret = Secret(secret)
  }

  static let current = NginxServer("PENSTOCK_NGINX")
}
