import AsyncHTTPClient
import NIOCore

/// The event loops that every connection of the process shares.
package enum EventLoops {
  /// One for each core.
  package static var count: Int { System.coreCount }

  /// Creates them now. If NIO cannot create them later, because no file descriptor is free, it stops the process.
  package static func prepare() { _ = HTTPClient.defaultEventLoopGroup.next() }
}
