@testable import PenstockLog
import PenstockTestKit
import Testing

/// A block is believed only in its own place: every field that says where it belongs is compared.
@Suite struct SegmentScannerTests {
  private static let header = SegmentHeader(
    logID: Array(101...116), sequence: 7, epoch: 3, baseOffset: Offset(1_000), salt: Blocks.salt, previousChain: 0,
    begunAt: Timestamp(nanoseconds: 50))

  private struct Image {
    let disk = SimulatedFileSystem()
    let scanner: SegmentScanner
    let start = SegmentScanner.ScanPosition(startOf: SegmentScannerTests.header)

    /// A segment whose first block was made for `place`.
    init(_ change: (inout BlockAddress) -> Void, standingAt position: Int = 8192, length: Int = 4096) throws {
      var place = BlockAddress(
        position: 8192, baseOffset: Offset(1_000), segment: 7, epoch: 3, durableUpTo: 8192,
        appendTime: Timestamp(nanoseconds: 50), chain: try #require(start.chain), seed: Blocks.seed)
      change(&place)
      var encoder = try WholeBlockEncoder(level: 1)
      _ = try encoder.compress([batch([record(1), record(2)])])
      let block = encoder.finish(at: place) { (_, bytes) in Array(bytes) }
      disk.install("/s", SegmentScannerTests.header.encoded())
      disk.overwrite("/s", at: position, Array(block[..<length]))
      scanner = SegmentScanner(disk, try disk.open("/s", .readOnly), SegmentScannerTests.header)
    }

    func look(proving: Bool = true) throws -> String {
      switch try scanner.look(at: start, proving: proving) {
      case .block(_, let next): "block up to \(next.offset)"
      case .absent: "absent"
      case .flawed(let reason): "flawed: \(reason)"
      case .future(let version): "future \(version)"
      }
    }
  }

  @Test func `a block in its place is taken`() throws {
    #expect(try Image({ _ in }).look() == "block up to 1002")
    #expect(try Image({ $0.epoch = 4 }).look() == "block up to 1002")
    #expect(try Image({ $0.appendTime.nanoseconds += 1 }).look() == "block up to 1002")
  }

  @Test func `a block of another place is not, proven or not`() throws {
    let changes: [(name: String, change: (inout BlockAddress) -> Void)] = [
      ("position", { $0.position = 12_288 }), ("segment", { $0.segment = 8 }),
      ("lower offset", { $0.baseOffset = Offset(999) }), ("higher offset", { $0.baseOffset = Offset(1_001) }),
      ("earlier epoch", { $0.epoch = 2 }), ("earlier time", { $0.appendTime.nanoseconds -= 1 }),
      ("chain", { $0.chain ^= 1 }), ("salt", { $0.seed ^= 1 }),
    ]
    for (name, change) in changes {
      for proving in [true, false] {
        #expect(try Image(change).look(proving: proving).hasPrefix("flawed"), "\(name)")
      }
    }
  }

  @Test func `after a gap no chain is demanded, all else is`() throws {
    var cursor = SegmentScanner.ScanPosition(startOf: Self.header)
    cursor.chain = nil
    let image = try Image({ $0.chain ^= 1 })
    guard case .block = try image.scanner.look(at: cursor, proving: true) else {
      Issue.record("the block is not taken")
      return
    }
  }

  @Test func `zeros, the end of the file and half a block are told apart`() throws {
    let zeros = try Image({ _ in }, standingAt: 12_288)
    #expect(try zeros.look() == "absent")
    let none = try Image({ _ in }, length: 0)
    #expect(try none.look() == "absent")
    #expect(try Image({ _ in }, length: 60).look() == "flawed: cut short")
    #expect(try Image({ _ in }, length: 4_000).look() == "flawed: cut short")
    #expect(try Image({ _ in }, length: 4_000).look(proving: false) == "block up to 1002")
  }

  @Test func `a search finds a block in its own place only`() throws {
    let there = try Image({ $0.position = 16_384 }, standingAt: 16_384)
    #expect(try there.scanner.findBlock(from: 8_193, offset: .zero)?.position == 16_384)
    #expect(try there.scanner.findBlock(from: 16_385, offset: .zero) == nil)
    #expect(try there.scanner.findBlock(from: 0, offset: Offset(1_001)) == nil)
    #expect(try Image({ $0.position = 16_384 }, standingAt: 12_288).scanner.findBlock(from: 0, offset: .zero) == nil)
    let other = try Image(
      {
        $0.position = 16_384
        $0.segment = 6
      }, standingAt: 16_384)
    #expect(try other.scanner.findBlock(from: 0, offset: .zero) == nil)
    #expect(try other.scanner.nonzeroEnd(from: 8_192) == 20_480)
    #expect(try other.scanner.nonzeroEnd(from: 30_000) == 30_000)
  }

  @Test func `evidence is what intact headers say, whatever became of the rest`() throws {
    let image = try Image(
      {
        $0.position = 16_384
        $0.durableUpTo = 12_288
      }, standingAt: 16_384, length: 200)
    let evidence = try image.scanner.evidence(from: 8_192)
    #expect(evidence.durableUpTo == 12_288 && evidence.endOffset == Offset(1_002) && evidence.futureVersion == nil)
    #expect(try image.scanner.evidence(from: 20_480).endOffset == .zero)
    let misplaced = try Image({ $0.position = 16_384 }, standingAt: 12_288)
    #expect(try misplaced.scanner.evidence(from: 8_192).endOffset == .zero)
  }
}
