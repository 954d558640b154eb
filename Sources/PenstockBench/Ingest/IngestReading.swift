import Foundation
import PenstockEvents
import PenstockLog
import PenstockServer
import PenstockToolSupport

/// What one thread reads of the bodies, without anything around it.
struct IngestReading {
  /// Megabytes a second.
  struct Finding {
    var reading = 0.0
    var scanning = 0.0
    var copying = 0.0
  }

  private let bodies: [[UInt8]]
  private let batch: Int
  private let bytes: Int
  private static let turns = 20

  init(batch: Int) {
    self.batch = batch
    bodies = IngestBodies(batch: batch, form: .array).bodies
    bytes = bodies.reduce(0) { $0 + $1.count }
  }

  /// The best of some turns each, in turn: nothing is waited for, so what is slower was disturbed.
  func measure() throws -> Finding {
    var finding = Finding()
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: bodies.reduce(0) { max($0, $1.count) }, alignment: 64)
    defer { room.deallocate() }
    for _ in 0..<Self.turns {
      finding.reading = max(finding.reading, try rate(read))
      finding.scanning = max(finding.scanning, try rate(scan))
      finding.copying = max(finding.copying, try rate { body in room.copyMemory(from: body) })
    }
    return finding
  }

  private func rate(_ body: (UnsafeRawBufferPointer) throws -> Void) throws -> Double {
    let took = try seconds { () throws in
      for bytes in bodies { try bytes.withUnsafeBytes(body) }
    }
    return Double(bytes) / took / 1e6
  }

  private func read(_ body: UnsafeRawBufferPointer) throws {
    var decoder = IngestDecoder(.json, IngestRules())
    try decoder.feed(body)
    try expect(try decoder.finish().accepted)
  }

  private func scan(_ body: UnsafeRawBufferPointer) throws {
    try expect(try JSONArraySplitter(maxBodyBytes: .max).split(body) { (_, _) throws(EventError) in })
  }

  private func expect(_ count: Int) throws {
    guard count == batch else { throw Failure(.bad, "bench", "\(count) of \(batch) events were found in a body") }
  }
}
