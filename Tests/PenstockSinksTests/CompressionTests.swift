import PenstockDelivery
import PenstockLog
import Testing

@testable import PenstockSinks

struct CompressionTests {
  private static let samples: [[UInt8]] = [
    [], [0x0A], Array("{\"a\":1}\n".utf8),
    Array(String(repeating: #"{"event":"Impression","ts":1}"# + "\n", count: 20_000).utf8),
    (0..<70_000).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 7) },
  ]

  @Test(
    "what is compressed comes back",
    arguments: [.none, .gzip(level: 1), .gzip(), .gzip(level: 9), .zstd(level: 1), .zstd(), .zstd(level: 19)]
      as [ExportCompression])
  func roundTrip(compression: ExportCompression) throws {
    for sample in Self.samples {
      let compressed = try compression.compress(sample)
      #expect(compression.decompress(compressed, count: sample.count) == sample)
      #expect(compression.decompress(compressed, count: sample.count + 1) == nil)
      if !sample.isEmpty { #expect(compression.decompress(compressed, count: sample.count - 1) == nil) }
    }
  }

  @Test(
    "damaged or cut content does not come back as something else", arguments: [.gzip(), .zstd()] as [ExportCompression])
  func damage(compression: ExportCompression) throws {
    let sample = Self.samples[3]
    let compressed = try compression.compress(sample)
    #expect(compression.decompress(Array(compressed.dropLast()), count: sample.count) == nil)
    #expect(compression.decompress(compressed + [0], count: sample.count) == nil)
    #expect(compression.decompress([], count: sample.count) == nil)
    for index in stride(from: compressed.count / 4, to: compressed.count, by: 7) {
      var damaged = compressed
      damaged[index] ^= 0x10
      let content = compression.decompress(damaged, count: sample.count)
      #expect(content == nil || content == sample)
    }
  }

  @Test("gzip holds no time and no name, so that equal content is equal bytes")
  func gzipHeader() throws {
    let compressed = try Gzip.compress(Self.samples[2], level: 6)
    #expect(Array(compressed[0..<4]) == [0x1F, 0x8B, 8, 0])
    #expect(Array(compressed[4..<8]) == [0, 0, 0, 0])
    #expect(try Gzip.compress(Self.samples[2], level: 6) == compressed)
  }

  @Test("levels that do not exist are refused")
  func levels() {
    for compression in [ExportCompression.gzip(level: 0), .gzip(level: 10), .zstd(level: 0), .zstd(level: 20)] {
      expectSinkError(containing: "level must be") { try compression.validate() }
    }
  }
}
