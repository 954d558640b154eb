import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Testing

@testable import PenstockSinks

/// Power cuts at every I/O of deliveries into one file.
@Suite(.timeLimit(.minutes(1))) struct FileSinkCrashTests {
  private let batches = [makeBatch([#"{"n":0}"#, #"{"n":1}"#, #"{"n":2}"#]), makeBatch([#"{"n":3}"#], first: 3)]
  private let rows = [Array("{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n".utf8), Array("{\"n\":3}\n".utf8)]

  @Test
  func `rows that count as delivered are in the file, and a cut delivery is repeated to the same end`() async throws {
    let whole = SimulatedFileSystem()
    for batch in batches {
      let sink = try FileSink(path: "/rows", fileSystem: whole)
      #expect(await sink.deliver(try makeDelivery(sink, batch)).isDelivered)
    }
    var claims = [0, 0]
    for number in 1...(whole.ioCount + 1) {
      for seed in 0..<8 as Range<UInt64> {
        let disk = SimulatedFileSystem(seed: seed)
        disk.crash(atIO: number)
        let sink = try FileSink(path: "/rows", fileSystem: disk)
        // As the runner does: the second batch is planned when the first is delivered.
        let first = try makeDelivery(sink, batches[0])
        var open = first
        var delivered: [UInt8] = []
        if await sink.deliver(first).isDelivered {
          delivered = rows[0]
          claims[0] += 1
          if let second = try? makeDelivery(sink, batches[1]) {
            open = second
            if await sink.deliver(second).isDelivered {
              delivered += rows[1]
              claims[1] += 1
            }
          }
        }
        // Sectors are whole or not: a torn one may hold rows of a delivery before, and nothing but a copy could help.
        let policy: CrashPolicy = seed == 0 ? .nothingUnsynced : .seeded(seed)
        let after = disk.powerCut(policy)
        let found = after.contents("/rows") ?? []
        #expect(found.starts(with: delivered), "claimed at \(number), seed \(seed)")
        let again = try FileSink(path: "/rows", fileSystem: after)
        #expect(await again.deliver(open).isDelivered, "at \(number), seed \(seed)")
        let expected = open.intent.id == first.intent.id ? rows[0] : rows[0] + rows[1]
        #expect(after.powerCut(.nothingUnsynced).contents("/rows") == expected, "at \(number), seed \(seed)")
      }
    }
    #expect(claims[0] > claims[1] && claims[1] > 0)
  }
}

/// Attempts after a failed write, in the same process on the same machine.
@Suite(.timeLimit(.minutes(1))) struct FileSinkFailedWriteTests {
  @Test
  func `rows that a later attempt delivers are on the disk, whatever a failed write has left in memory`() async throws {
    let batches = [makeBatch([#"{"n":0}"#]), makeBatch([#"{"n":1}"#], first: 1)]
    let rows = Array("{\"n\":0}\n{\"n\":1}\n".utf8)
    for number in 1...8 {
      let disk = SimulatedFileSystem()
      disk.fail(atIO: number, effect: .pagesLost)
      let sink = try FileSink(path: "/rows", fileSystem: disk)
      for batch in batches {
        let delivery = try makeDelivery(sink, batch)
        var outcome = await sink.deliver(delivery)
        if !outcome.isDelivered { outcome = await sink.deliver(delivery) }
        #expect(outcome.isDelivered, "I/O \(number)")
      }
      #expect(disk.powerCut(.nothingUnsynced).contents("/rows") == rows, "I/O \(number)")
    }
  }
}

/// A file that was there before the delivery, copied there by a person say, and not by an attempt that synced it.
@Suite struct FoundFileTests {
  @Test func `a file that is found under the name is durable before the delivery counts`() async throws {
    var layout = ExportLayout()
    layout.manifest = false
    let batch = makeBatch([#"{"n":0}"#])
    let disk = SimulatedFileSystem()
    let sink = try DirectorySink(root: "root", layout: layout, fileSystem: disk)
    let delivery = try makeDelivery(sink, batch)
    let planned = try #require(await sink.deliver(delivery).words.split(separator: "root/").last)
    let path = "root/\(planned)"

    let other = SimulatedFileSystem()
    for directory in ["root", LogPaths.parent(of: path)] where try !other.exists(directory) {
      try other.makeDirectory(directory)
    }
    let file = try other.open(path, .create)
    try delivery.body.bytes.withUnsafeBytes { try other.writeAll(file, $0, at: 0) }
    other.close(file)
    let again = try DirectorySink(root: "root", layout: layout, fileSystem: other)
    #expect(await again.deliver(delivery).words.contains("already exists"))
    #expect(other.powerCut(.nothingUnsynced).contents(path) == delivery.body.bytes)
  }
}
