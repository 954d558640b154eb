import Foundation
import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Testing

@testable import PenstockSinks

struct DirectorySinkTests {
  @TemporaryDirectory private var directory: String
  private let batch = makeBatch([#"{"a":1}"#, #"{"b":2}"#, #"{"c":3}"#], first: 7)
  private let rows = Array("{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n".utf8)
  private let key = "exports/usages-2026-02-28T23-00000000000000000007-00000000000000000009.json"

  private func layout(_ compression: ExportCompression) -> ExportLayout {
    var layout = ExportLayout()
    layout.compression = compression
    // What these tests are about is the file; the manifest has tests of its own.
    layout.manifest = false
    return layout
  }

  @Test func `a batch becomes one file of rows under the key, and nothing else`() async throws {
    let sink = try DirectorySink(root: directory + "/root", layout: layout(.none))
    #expect(await sink.deliver(try makeDelivery(sink, batch)) == .delivered(receipt: "\(directory)/root/\(key)"))
    #expect(try files(below: directory + "/root") == [key])
    #expect(try read(directory + "/root/" + key) == rows)
  }

  @Test(arguments: [.none, .gzip(), .zstd()] as [ExportCompression])
  func `the same delivery again finds its file and leaves it alone`(compression: ExportCompression) async throws {
    let sink = try DirectorySink(root: directory, layout: layout(compression))
    let delivery = try makeDelivery(sink, batch)
    #expect(await sink.deliver(delivery).isDelivered)
    let before = try read(directory + "/" + key + compression.suffix)
    let outcome = await sink.deliver(delivery)
    #expect(outcome.isDelivered)
    #expect(outcome.words.contains("already exists"))
    #expect(try files(below: directory) == [key + compression.suffix])
    #expect(try read(directory + "/" + key + compression.suffix) == before)
  }

  @Test func `a compressed file by another version of the library is equal when its content is`() async throws {
    for compression in [ExportCompression.gzip(), .zstd()] {
      let sink = try DirectorySink(root: directory, layout: layout(compression))
      let delivery = try makeDelivery(sink, batch)
      #expect(await sink.deliver(delivery).isDelivered)
      let path = directory + "/" + key + compression.suffix
      var bytes = delivery.body.bytes
      if compression == .gzip() {
        // The operating system's byte of the gzip header.
        bytes[9] = 255
      } else {
        // A frame without a checksum (RFC 8878, section 3.1.1.1).
        bytes[4] &= ~0b100
        bytes.removeLast(4)
      }
      try #require(bytes != delivery.body.bytes)
      try write(bytes, to: path)
      #expect(await sink.deliver(delivery).isDelivered)
      #expect(try read(path) == bytes)
    }
  }

  @Test(arguments: [.none, .gzip(), .zstd()] as [ExportCompression])
  func `a file with other content is a conflict and is left alone`(compression: ExportCompression) async throws {
    let sink = try DirectorySink(root: directory, layout: layout(compression))
    let delivery = try makeDelivery(sink, batch)
    #expect(await sink.deliver(delivery).isDelivered)
    let path = directory + "/" + key + compression.suffix
    var swapped = rows
    swapped.swapAt(2, 10)
    for content in [rows.dropLast(), rows + [0x0A], swapped, []] {
      let bytes = try compression.compress(Array(content))
      try write(bytes, to: path)
      #expect(await sink.deliver(delivery).isConflict)
      #expect(try read(path) == bytes)
      #expect(try files(below: directory) == [key + compression.suffix])
    }
  }

  @Test
  func `what a crash left of an attempt is replaced, even if it was the whole file under both names`() async throws {
    let sink = try DirectorySink(root: directory, layout: layout(.none))
    let delivery = try makeDelivery(sink, batch)
    #expect(await sink.deliver(delivery).isDelivered)
    let temporary = "exports/.tmp-\(delivery.intent.id)"
    try FileManager.default.linkItem(atPath: directory + "/" + key, toPath: directory + "/" + temporary)
    #expect(await sink.deliver(delivery).isDelivered)
    #expect(try read(directory + "/" + key) == rows)
    #expect(try files(below: directory) == [key])
  }

  @Test func `a place that cannot be written is refused`() async throws {
    try write([1], to: directory + "/file")
    for root in [directory + "/file", directory + "/missing/root"] {
      let sink = try DirectorySink(root: root, layout: layout(.none))
      let outcome = await sink.deliver(try makeDelivery(sink, batch))
      #expect(outcome.isRefused, "\(outcome)")
    }
  }

  @Test func `a full or failing disk is retried, and what was begun is taken away`() async throws {
    let reference = try await io(of: SimulatedFileSystem(), layout(.none))
    for number in 1...reference {
      for code in [FileSystemError.Code.noSpace, .inputOutput] {
        let disk = SimulatedFileSystem()
        disk.fail(atIO: number, code)
        let sink = try DirectorySink(root: "root", layout: layout(.none), fileSystem: disk)
        let delivery = try makeDelivery(sink, batch)
        #expect(await sink.deliver(delivery).isRetry, "at \(number)")
        disk.clearFaults()
        #expect(await sink.deliver(delivery).isDelivered, "at \(number)")
        #expect(disk.filePaths.map(Self.name) == [Self.name(key)], "at \(number)")
        #expect(disk.openHandleCount == 0)
      }
    }
  }

  @Test(arguments: [false, true])
  func `a power cut at any I/O leaves the whole file or a delivery to repeat, never a claim without file and entry`(
    manifest: Bool
  ) async throws {
    var layout = ExportLayout()
    layout.manifest = manifest
    let entry = "root/exports/_penstock/\(logID)/archive/00000000000000000010.json"
    let reference = try await io(of: SimulatedFileSystem(), layout)
    var claims = 0
    for number in 1...(reference + 1) {
      for seed in 0..<12 as Range<UInt64> {
        let policy: CrashPolicy = seed == 0 ? .nothingUnsynced : seed == 1 ? .everything : .seeded(seed, .tornSectors)
        let disk = SimulatedFileSystem(seed: seed)
        disk.crash(atIO: number)
        let delivery = try makeDelivery(try DirectorySink(root: "root", layout: layout, fileSystem: disk), batch)
        let outcome = await (try DirectorySink(root: "root", layout: layout, fileSystem: disk)).deliver(delivery)
        let after = disk.powerCut(policy)
        if outcome.isDelivered {
          claims += 1
          #expect(after.contents("root/" + key) == rows, "claimed at \(number), seed \(seed)")
          #expect(!manifest || after.contents(entry) != nil, "claimed at \(number), seed \(seed)")
        } else if let found = after.contents("root/" + key) {
          #expect(found == rows, "half a file at \(number), seed \(seed)")
        }
        if let line = after.contents(entry) {
          #expect(ManifestEntry.parse(line) != nil, "half an entry at \(number), seed \(seed)")
          #expect(after.contents("root/" + key) == rows, "an entry without its file at \(number), seed \(seed)")
        }
        let again = try DirectorySink(root: "root", layout: layout, fileSystem: after)
        #expect(await again.deliver(delivery).isDelivered, "at \(number), seed \(seed)")
        let second = after.powerCut(.nothingUnsynced)
        #expect(second.contents("root/" + key) == rows, "after the second attempt at \(number), seed \(seed)")
        #expect((second.contents(entry) != nil) == manifest, "after the second attempt at \(number), seed \(seed)")
      }
    }
    #expect(claims >= 12)
  }

  /// How many I/Os a delivery takes.
  private func io(of disk: SimulatedFileSystem, _ layout: ExportLayout) async throws -> Int {
    let sink = try DirectorySink(root: "root", layout: layout, fileSystem: disk)
    let outcome = await sink.deliver(try makeDelivery(sink, batch))
    #expect(outcome.isDelivered, "\(outcome)")
    return disk.ioCount
  }

  private static func name(_ path: String) -> Substring { path.split(separator: "/").last ?? "" }
}
