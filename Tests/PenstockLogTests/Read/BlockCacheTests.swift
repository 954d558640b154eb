@testable import PenstockLog
import PenstockTestKit
import Testing

@Suite struct BlockCacheTests {
  private struct Piece: CacheableBlock, Hashable {
    let baseOffset: Offset
    let endOffset: Offset
    let footprint: Int
    init(_ number: Int, bytes: Int = 1) {
      baseOffset = Offset(UInt64(number * 10))
      endOffset = baseOffset + 10
      footprint = bytes
    }
    var range: Range<Offset> { baseOffset..<endOffset }
  }
  private typealias Cache = BlockCache<Piece, Int>

  private func check(_ cache: Cache, tail: Cache.Limit, recent: Cache.Limit, put: [Piece]) -> String? {
    func bytes(_ pieces: [Piece]) -> Int { pieces.reduce(0) { $0 + $1.footprint } }
    if cache.tail.count > tail.blocks || bytes(cache.tail) > tail.bytes { return "the tail is too large" }
    if cache.recent.count > 1, cache.recent.count > recent.blocks || bytes(cache.recent) > recent.bytes {
      return "the recent region is too large"
    }
    if cache.tail.map(\.baseOffset) != cache.tail.map(\.baseOffset).sorted() { return "the tail is not in order" }
    if Set(cache.tail + cache.recent).count != cache.tail.count + cache.recent.count {
      return "a block is there twice"
    }
    // Of all blocks ever put in, the last that fit together are there: nobody who reads old ones pushes them out.
    var (count, sum) = (0, 0)
    for piece in Set(put).sorted(by: { $0.baseOffset > $1.baseOffset }) {
      count += 1
      sum += piece.footprint
      if count > tail.blocks || sum > tail.bytes { break }
      if !cache.tail.contains(piece) { return "\(piece.baseOffset) was pushed out by somebody behind" }
    }
    return nil
  }

  @Test func `in every order of every few blocks, the newest stay`() {
    let (tail, recent) = (Cache.Limit(blocks: 2, bytes: 4), Cache.Limit(blocks: 2, bytes: 3))
    let pieces = [Piece(0), Piece(1, bytes: 2), Piece(2, bytes: 3), Piece(3), Piece(4, bytes: 9)]
    // Every sequence of up to five insertions or look-ups among five blocks.
    let start = (cache: Cache(tail: tail, recent: recent), put: [Piece]())
    let tried = explore(start, pieces, upTo: 5) { state, piece in
      if state.cache.find(piece.baseOffset + 3) == nil {
        state.cache.insert(piece)
        state.put.append(piece)
      }
      if let problem = check(state.cache, tail: tail, recent: recent, put: state.put) { return problem }
      return piece.footprint <= 3 && state.cache.find(piece.baseOffset) != piece ? "not kept at all" : ""
    }
    #expect(tried == 5 + 25 + 125 + 625 + 3_125)
  }

  @Test(arguments: 1...8 as ClosedRange<UInt64>)
  func `a replay over a whole log leaves what is shared at its end alone`(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let (tail, recent) = (Cache.Limit(blocks: 8, bytes: 40), Cache.Limit(blocks: 4, bytes: 20))
    var cache = Cache(tail: tail, recent: recent)
    var put: [Piece] = []
    var (end, scan) = (1_000, 0)
    func insert(_ number: Int) {
      let piece = Piece(number, bytes: 1 + number % 9)
      if cache.find(piece.baseOffset) == nil {
        cache.insert(piece)
        put.append(piece)
      }
    }
    for step in 0..<600 {
      switch random.below(4) {
      case 0:
        end += 1
        insert(end)
      case 1: insert(end - random.below(4))
      default:
        insert(scan)
        scan = (scan + 1) % end
      }
      if step % 4 == 0, let problem = check(cache, tail: tail, recent: recent, put: put) {
        Issue.record("seed \(seed): \(problem)")
        return
      }
    }
    cache.drop(below: Offset(UInt64(end * 10)))
    #expect(cache.tail.allSatisfy { $0.baseOffset >= Offset(UInt64(end * 10)) } && cache.recent.isEmpty)
  }

  @Test func `a block with more after it than the tail holds goes through the recent region`() {
    var cache = Cache(tail: .init(blocks: 9, bytes: 30), recent: .init(blocks: 2, bytes: 30))
    // Ten records to a block, five bytes to a block: the tail reaches six blocks back.
    for number in 0..<20 { cache.insert(Piece(number, bytes: 5), end: Offset(200)) }
    #expect(cache.tail.map(\.baseOffset.rawValue) == [140, 150, 160, 170, 180, 190])
    #expect(cache.recent.map(\.baseOffset.rawValue) == [120, 130])
  }

  @Test func `the first who misses decodes, the others wait for it, and after a failure the next one decodes`() {
    var cache = Cache(tail: .init(blocks: 4, bytes: 10), recent: .init(blocks: 4, bytes: 10))
    let (one, two) = (Piece(1), Piece(2))
    func turn(_ piece: Piece, _ ticket: Int) -> String {
      switch cache.begin(piece.range, for: piece.baseOffset, ticket: ticket) {
      case .found: "found"
      case .wait(let ticket): "wait for \(ticket)"
      case .decode(let ticket): "decode \(ticket)"
      }
    }
    #expect(turn(one, 1) == "decode 1" && turn(one, 2) == "wait for 1" && turn(two, 3) == "decode 3")
    // The same beginning and another end is another block: sealed meanwhile.
    #expect(
      cache.inProgress.count == 2
        && cache.begin(one.baseOffset..<(one.endOffset + 5), for: one.baseOffset, ticket: 9).isDecode)
    cache.finish(one.range, nil)
    #expect(turn(one, 4) == "decode 4" && turn(two, 5) == "wait for 3")
    cache.finish(two.range, two)
    cache.finish(one.range, one)
    #expect(turn(one, 6) == "found" && turn(two, 7) == "found" && cache.inProgress.count == 1)
  }
}

extension BlockCache.Step {
  fileprivate var isDecode: Bool { if case .decode = self { true } else { false } }
}
