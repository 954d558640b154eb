import Foundation
import PenstockLog
import Synchronization

/// The zstd frames of a log, in memory.
struct Frames {
  private struct Frame {
    let bytes: Range<Int>
    let content: Int
  }
  private var bytes: [UInt8] = []
  private var frames: [Frame] = []
  let records: Int

  init(of path: String) async throws {
    let reader = try await LogReader.open(at: path)
    defer { reader.close() }
    records = reader.end - reader.first
    for (segment, entry) in try BenchEvents.blocks(reader.view, from: reader.first, to: reader.end) {
      let (file, header) = try segment.open()
      let block = try file.fileSystem.readAll(file.handle, count: entry.length, at: entry.position)
      let found = try block.withUnsafeBytes { try BlockHeader(decoding: $0, seed: header.seed) }
      let start = bytes.count
      bytes += block[found.frontLength...]
      frames.append(Frame(bytes: start..<bytes.count, content: found.rawLength))
    }
  }

  /// Decompresses all frames, dealt out to so many threads; records a second.
  func rate(threads: Int) throws -> Double {
    let failures = Mutex<[any Error]>([])
    let took = seconds {
      bytes.withUnsafeBytes { bytes in
        // Nothing but these threads reads the buffer, and it outlives them: concurrentPerform returns when all have.
        nonisolated(unsafe) let bytes = bytes
        DispatchQueue.concurrentPerform(iterations: threads) { thread in
          let decompressor = ZstdDecompressor()
          // One place for all of them: fresh memory for each would cost as much as decompressing.
          let room = UnsafeMutableRawBufferPointer.allocate(
            byteCount: frames.reduce(0) { max($0, $1.content) }, alignment: 64)
          defer { room.deallocate() }
          for index in stride(from: thread, to: frames.count, by: threads) {
            let frame = frames[index]
            do throws(LogError) {
              try decompressor.decompress(
                UnsafeRawBufferPointer(rebasing: bytes[frame.bytes]),
                into: UnsafeMutableRawBufferPointer(rebasing: room[..<frame.content]))
            } catch {
              failures.withLock { $0.append(error) }
            }
          }
        }
      }
    }
    if let failure = failures.withLock({ $0.first }) { throw failure }
    return Double(records) / took
  }
}
