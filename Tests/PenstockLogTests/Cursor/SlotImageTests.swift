@testable import PenstockLog
import PenstockTestKit
import Testing

/// The bytes of a slot: what was written is read, and nothing else ever is.
@Suite struct SlotImageTests {
  private let place = SlotPlaces.Place(size: .small, index: 3)

  private func write(
    _ place: SlotPlaces.Place, _ generation: UInt64, _ name: SlotName? = "billing", revision: UInt64 = 7
  ) -> SlotPlaces.Write {
    SlotPlaces.Write(
      place: place, content: SlotPlaces.Content(generation: generation, name: name, revision: revision))
  }

  private func decode(_ bytes: [UInt8], _ place: SlotPlaces.Place, slot: Int) -> SlotImage.Reading {
    let slotBytes = bytes + [UInt8](repeating: 0, count: SlotImage.bytes(place.size) - bytes.count)
    return slotBytes.withUnsafeBytes { SlotImage.decode($0, of: place, number: slot) }
  }

  @Test func `a value comes back as it was written, up to the largest, and so does a mark`() {
    for size in SlotPlaces.Size.allCases {
      for count in [0, 1, 500, SlotImage.bytes(size) - SlotImage.headSize] {
        let place = SlotPlaces.Place(size: size, index: 9)
        let value = [UInt8](repeating: 5, count: count)
        let name = SlotName(.cursor, String(repeating: "n", count: 64))
        let written = write(place, 12, name)
        guard case .whole(written.content, value) = decode(SlotImage.encode(written, value: value), place, slot: 0)
        else {
          Issue.record("\(size), \(count) bytes")
          continue
        }
      }
    }
    let mark = write(place, 5, nil)
    guard case .whole(mark.content, []) = decode(SlotImage.encode(mark, value: []), place, slot: 1) else {
      Issue.record("a mark")
      return
    }
    #expect(mark.content.value == nil)
  }

  @Test func `the small size is enough for a value up to its end, and the large one for the largest cursor`() {
    let small = (4 << 10) - SlotImage.headSize
    #expect(SlotImage.size(forValueOf: small) == .small && SlotImage.size(forValueOf: small + 1) == .large)
    let large = (16 << 10) - SlotImage.headSize
    #expect(SlotImage.size(forValueOf: large) == .large && SlotImage.size(forValueOf: large + 1) == nil)
  }

  @Test func `no flipped bit is read as a value, and none of the value takes its name`() {
    let bytes = SlotImage.encode(write(place, 4), value: Array("some value".utf8))
    var named = 0
    forEachFlippedBit(bytes) { bit, bytes in
      switch decode(bytes, place, slot: 0) {
      case .broken(let name):
        if name == "billing" { named += 1 }
        #expect(name == nil || name == "billing")
      default: Issue.record("bit \(bit)")
      }
    }
    #expect(named == "some value".utf8.count * 8)
  }

  @Test func `a slot counts only where it was written`() {
    let bytes = SlotImage.encode(write(place, 4), value: [1])
    for (index, slot) in [(3, 1), (2, 0), (4, 0)] {
      guard case .broken(nil) = decode(bytes, SlotPlaces.Place(size: .small, index: index), slot: slot) else {
        Issue.record("place \(index), slot \(slot)")
        continue
      }
    }
  }

  @Test func `a slot of a later version, or of a later kind, is known as one`() {
    for (position, value) in [(4, 2), (6, 77)] as [(Int, UInt8)] {
      var bytes = SlotImage.encode(write(place, 4), value: [1])
      bytes[position] = value
      var sum: [UInt8] = []
      sum.append(littleEndian: Checksum.of(Array(bytes[..<124]), seed: 6))
      bytes.replaceSubrange(124..<128, with: sum)
      guard case .future = decode(bytes, place, slot: 0) else {
        Issue.record("byte \(position)")
        continue
      }
    }
  }

  @Test func `the newest whole slot counts, a torn one does not, and one that cannot be read hides it`() {
    func whole(_ generation: UInt64) -> SlotImage.Reading {
      .whole(SlotPlaces.Content(generation: generation, name: "a", revision: generation), value: [])
    }
    func told(_ slots: SlotImage.Reading...) -> String {
      switch SlotPlaceReading(slots) {
      case .empty: "empty"
      case .whole(let content, _): "\(content.generation)"
      case .damaged(let name): "damaged \(name?.text ?? "-")"
      case .future: "future"
      }
    }
    #expect(told(whole(4), whole(3)) == "4" && told(whole(4), whole(5)) == "5")
    #expect(told(whole(4), .broken("a")) == "4" && told(.broken(nil), whole(5)) == "5")
    #expect(told(.zeros, .zeros) == "empty" && told(.zeros, .broken("a")) == "empty" && told(.zeros, whole(1)) == "1")
    #expect(told(.broken("a"), .broken(nil)) == "damaged a" && told(.broken(nil), .zeros) == "damaged -")
    #expect(told(whole(4), .unreadable) == "damaged a" && told(.unreadable, .broken(nil)) == "damaged -")
    #expect(told(.zeros, .unreadable) == "damaged -" && told(.future(version: 2), whole(3)) == "future")
  }

  @Test func `names have positions of their own, apart from the allocation's`() {
    var positions: Set<UInt64> = [SlotFiles.allocation]
    for number in 0..<20_000 { positions.insert(SlotName(.cursor, "destination-\(number)").lockPosition) }
    for count in 1...64 { positions.insert(SlotName(.cursor, String(repeating: "a", count: count)).lockPosition) }
    #expect(positions.count == 20_065)
    #expect(positions.allSatisfy { $0 == 0 || $0 >= 1 << 62 && $0 < 1 << 63 })
  }
}
