import Foundation
import PenstockLog
import PenstockSupport
import PenstockToolSupport

/// A client that does the least an export of copied frames must do: it reads the stored blocks of a log, takes the
/// SHA-256 of each object's bytes, and puts them over one connection.
struct StoredProbe {
  private let blocks: [(segment: Segment, entry: BlockEntry)]
  /// A body of fewer bytes is a manifest entry, and is sent as it is.
  private static let leastObject = 64 << 10

  init(of path: String) async throws {
    let reader = try await LogReader.open(at: path)
    defer { reader.close() }
    blocks = try BenchEvents.blocks(reader.view, from: reader.first, to: reader.end).map {
      (segment: $0.0, entry: $0.1)
    }
  }

  /// How many seconds it takes to put objects of about these sizes.
  func put(_ sizes: [Int], port: Int) throws -> Double {
    let client = try RawClient(port: port)
    defer { client.end() }
    var (next, body) = (0, [UInt8]())
    return try seconds { () throws in
      for size in sizes {
        guard size >= Self.leastObject else {
          _ = try client.send([size], method: "PUT")
          continue
        }
        body.removeAll(keepingCapacity: true)
        while body.count < size, next < blocks.count {
          try read(blocks[next], &body)
          next += 1
        }
        let hash = Digest.hex(Digest.sha256(body))
        try client.put(body, hash: hash)
      }
    }
  }

  private func read(_ block: (segment: Segment, entry: BlockEntry), _ body: inout [UInt8]) throws {
    let (file, _) = try block.segment.open()
    let (start, count) = (body.count, block.entry.storedLength)
    body.append(contentsOf: repeatElement(0, count: count))
    let read = try body.withUnsafeMutableBytes { bytes in
      try file.fileSystem.readAll(
        file.handle, into: UnsafeMutableRawBufferPointer(rebasing: bytes[start...]),
        at: block.entry.position + UInt64(block.entry.frontLength))
    }
    guard read == count else { throw Failure(.bad, "bench", "a block of the log could not be read") }
  }
}
