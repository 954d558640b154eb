import AsyncHTTPClient
import NIOCore

/// The event loops that every connection of the process shares.
package enum EventLoops {
  /// One for each core.
  package static var count: Int { System.coreCount }

  /// Makes them now. NIO stops the process when it cannot make them later, because no descriptor is left.
  package static func prepare() { _ = HTTPClient.defaultEventLoopGroup.next() }
}
