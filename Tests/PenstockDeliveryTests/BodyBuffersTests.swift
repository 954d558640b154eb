import PenstockTestKit
import Testing

@testable import PenstockDelivery

@Suite("Buffers of bodies", .timeLimit(.minutes(1))) struct BodyBuffersTests {
  private let buffers = BodyBuffers()

  private func address(_ bytes: [UInt8]) -> UInt { bytes.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) } }

  @Test func `a buffer that was given is taken again, empty`() {
    var first = buffers.take(300_000)
    first += Array(repeating: 7, count: 300_000)
    let place = address(first)
    buffers.give(&first)
    #expect(first.isEmpty && buffers.capacity >= 300_000)
    let second = buffers.take(200_000)
    #expect(second.isEmpty && second.capacity >= 300_000 && address(second) == place && buffers.capacity == 0)
  }

  @Test func `a buffer that is too small stays`() {
    var first = buffers.take(150_000)
    buffers.give(&first)
    let kept = buffers.capacity
    #expect(kept >= 150_000)
    #expect(buffers.take(900_000).capacity >= 900_000 && buffers.take(100).capacity < 150_000)
    #expect(buffers.capacity == kept)
  }

  @Test func `an array that somebody else holds keeps its bytes`() {
    var first = buffers.take(300_000)
    first += Array(repeating: 7, count: 300_000)
    let held = first
    buffers.give(&first)
    var second = buffers.take(300_000)
    second.append(1)
    #expect(held == Array(repeating: 7, count: 300_000))
  }

  @Test func `small and very large ones are not kept, and all together have a bound`() {
    for size in [1000, 3 << 20] {
      var bytes: [UInt8] = []
      bytes.reserveCapacity(size)
      buffers.give(&bytes)
      #expect(buffers.capacity == 0 && bytes.capacity >= size)
    }
    for _ in 0..<20 {
      var bytes: [UInt8] = []
      bytes.reserveCapacity(900_000)
      buffers.give(&bytes)
    }
    #expect(buffers.capacity > 900_000 && buffers.capacity <= BodyBuffers.mostBytes)
  }
}
