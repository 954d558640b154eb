import Synchronization

/// Buffers of large bodies that were sent, for the bodies that come next.
///
/// An allocation of that size may come from the system and return to it each time, and the system clears its pages.
/// That was 7 % of the processor time of a webhook with batches of 278 KB.
package final class BodyBuffers: Sendable {
  package static let shared = BodyBuffers()

  /// The allocator keeps smaller ones itself; larger ones would take too much memory.
  static let sizes = (128 << 10)...(1 << 20)
  static let mostBytes = 4 << 20

  private let kept = Mutex<[[UInt8]]>([])

  init() {}

  /// An empty array with this capacity at least.
  package func take(_ capacity: Int) -> [UInt8] {
    var buffer =
      capacity < Self.sizes.lowerBound
      ? []
      : kept.withLock { kept in
        kept.lastIndex { $0.capacity >= capacity }.map { kept.remove(at: $0) }
      } ?? []
    buffer.reserveCapacity(capacity)
    return buffer
  }

  /// Keeps the buffer of an array, which is empty afterwards. Of use only where nothing else holds the array.
  func give(_ bytes: inout [UInt8]) {
    guard Self.sizes.contains(bytes.capacity) else { return }
    var buffer: [UInt8] = []
    swap(&buffer, &bytes)
    buffer.removeAll(keepingCapacity: true)
    kept.withLock { [buffer] kept in
      let used = kept.reduce(0) { $0 + $1.capacity }
      if used + buffer.capacity <= Self.mostBytes { kept.append(buffer) }
    }
  }

  /// Of all that are kept.
  var capacity: Int { kept.withLock { $0.reduce(0) { $0 + $1.capacity } } }
}
