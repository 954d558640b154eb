import PenstockLog
import Testing

@testable import PenstockServer
@testable import PenstockSinks

struct BodyDecompressorTests {
  /// Decompresses a body that comes in pieces; stops after `limit` bytes.
  static func decompress(
    _ bytes: [UInt8], _ coding: ContentCoding, pieces: Int, limit: Int = .max
  ) throws -> (bytes: [UInt8], mostHeld: Int) {
    struct Enough: Error {}
    let decompressor = try BodyDecompressor(coding)
    var output: [UInt8] = []
    var most = 0
    var rest = bytes[...]
    do {
      while !rest.isEmpty {
        let piece = Array(rest.prefix(pieces))
        rest = rest.dropFirst(pieces)
        try piece.withUnsafeBytes { piece in
          try decompressor.feed(piece) { (part: UnsafeRawBufferPointer) throws(Enough) in
            output.append(contentsOf: part)
            most = max(most, decompressor.heldBytes)
            if output.count > limit { throw Enough() }
          }
        }
      }
      try decompressor.finish()
    } catch is Enough {}
    return (output, most)
  }

  static let text = Array(String(repeating: "{\"event\":\"Home Page\",\"ts\":1}\n", count: 9000).utf8)

  static func compressed(_ coding: ContentCoding, _ bytes: [UInt8] = text) throws -> [UInt8] {
    switch coding {
    case .identity: bytes
    case .gzip: try ExportCompression.gzip().compress(bytes)
    case .zstd: try bytes.withUnsafeBytes { try Zstd.compress($0, level: 3) }
    }
  }

  @Test(arguments: ContentCoding.allCases)
  func `whatever the pieces, the content is the same`(_ coding: ContentCoding) throws {
    let body = try Self.compressed(coding)
    for size in [1, 7, 100, 65_536, body.count] {
      #expect(try Self.decompress(body, coding, pieces: size).bytes == Self.text)
    }
  }

  @Test(arguments: [ContentCoding.gzip, .zstd])
  func `members and frames may follow one another`(_ coding: ContentCoding) throws {
    let one = try Self.compressed(coding)
    for size in [1, one.count, one.count + 1, 3 * one.count] {
      #expect(try Self.decompress(one + one, coding, pieces: size).bytes == Self.text + Self.text)
    }
    // As long as a piece of output, where the end of the frame and of the room fall together.
    let even = [UInt8](repeating: 7, count: 128 << 10)
    #expect(try Self.decompress(Self.compressed(coding, even), coding, pieces: 1 << 20).bytes == even)
  }

  @Test(arguments: [ContentCoding.gzip, .zstd])
  func `a body cut short, damaged or of another coding is refused`(_ coding: ContentCoding) throws {
    let body = try Self.compressed(coding)
    for length in [1, 5, 20, body.count / 2, body.count - 1] {
      #expect(throws: CodingError.self) { try Self.decompress(Array(body[..<length]), coding, pieces: 64) }
    }
    #expect(throws: CodingError.self) { try Self.decompress(Self.text, coding, pieces: 64) }
    #expect(throws: CodingError.self) { try Self.decompress(body + Array("garbage!".utf8), coding, pieces: 64) }
    var damaged = body
    damaged[body.count / 2] ^= 0x10
    let found = try? Self.decompress(damaged, coding, pieces: 64).bytes
    #expect(found != Self.text)
  }

  @Test(arguments: [ContentCoding.gzip, .zstd])
  func `a bomb costs no more memory than its first pieces`(_ coding: ContentCoding) throws {
    let bomb = try Self.compressed(coding, [UInt8](repeating: 0x20, count: 256 << 20))
    let (bytes, held) = try Self.decompress(bomb, coding, pieces: 65_536, limit: 1 << 20)
    #expect(bytes.count <= (1 << 20) + (64 << 10))
    #expect(held < 12 << 20)
  }
}
