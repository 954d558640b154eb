// A sealed segment is a full segment that the log has rewritten, smaller:
//
//   0          4096       8192
//   ┌──────────┬──────────┬───────┬───────┬───┬────────┬────────────┐
//   │ header 0 │ header 1 │ block │ block │ … │ footer │ seek table │
//   └──────────┴──────────┴───────┴───────┴───┴────────┴────────────┘
//
// Same name, same sequence, offsets, records and append times. The blocks are joined, compressed harder and not
// aligned. The header has incompatible bit 0, a salt of its own, and from byte 112 on, little endian:
//   112  u64  chain: the digest of the original's last block header, which the next segment continues
//   120  u64  end offset: one past the last record
//   128  i64  append time of the last record
//   136  u64  footer position
//   144  u64  file length
//   152  u64  bytes of the original, header and padding included
//   160  u64  stored bytes of the original: its zstd frames
//   168  u64  blocks of the original
//
// The first block's chain value is the digest of the header with these fields zero.

/// The fields of a sealed segment's header about its original and about itself.
package struct SegmentSeal: Hashable, Sendable {
  package var chain: UInt64 = 0
  package var endOffset = Offset.zero
  package var lastAppendTime = Timestamp(nanoseconds: 0)
  package var footerPosition: UInt64 = 0
  package var fileLength: UInt64 = 0
  package var originalBytes: UInt64 = 0
  package var originalStoredBytes: UInt64 = 0
  package var originalBlocks: UInt64 = 0

  init() {}

  func encode(into page: UnsafeMutableRawBufferPointer) {
    page.put(chain, at: 112)
    page.put(endOffset.rawValue, at: 120)
    page.put(lastAppendTime.nanoseconds, at: 128)
    page.put(footerPosition, at: 136)
    page.put(fileLength, at: 144)
    page.put(originalBytes, at: 152)
    page.put(originalStoredBytes, at: 160)
    page.put(originalBlocks, at: 168)
  }

  init(decoding page: UnsafeRawBufferPointer) {
    chain = page.get(UInt64.self, at: 112)
    endOffset = Offset(page.get(UInt64.self, at: 120))
    lastAppendTime = Timestamp(nanoseconds: page.get(Int64.self, at: 128))
    footerPosition = page.get(UInt64.self, at: 136)
    fileLength = page.get(UInt64.self, at: 144)
    originalBytes = page.get(UInt64.self, at: 152)
    originalStoredBytes = page.get(UInt64.self, at: 160)
    originalBlocks = page.get(UInt64.self, at: 168)
  }
}
