import Testing

@testable import PenstockEvents

@Suite("A place in a growing file") struct FilePositionTests {
  private func decide(_ kept: [UInt8], _ file: [UInt8]) -> FilePosition.Decision {
    FilePosition.decide(FilePosition.StoredPosition(kept), size: file.count) { Array(file[$0]) }
  }

  /// The place after the line that ends before `position`.
  private func place(_ file: [UInt8], _ position: Int) -> FilePosition {
    FilePosition(position: position, beginning: Array(file.prefix(FilePosition.window)), record: file[..<position])
  }

  private func isOther(_ decision: FilePosition.Decision) -> Bool {
    if case .otherFile = decision { true } else { false }
  }

  private let file = Array("{\"n\":1}\n{\"n\":2}\r\n\n{\"n\":3}\n".utf8)

  @Test func `is found again after every line, in the file as it was and as it has grown`() {
    let ends = file.indices.filter { index in
      file[index] == UInt8(ascii: "}") && index + 1 < file.count
    }.map { $0 + 1 }
    #expect(ends.count == 3)
    for end in ends {
      let source = place(file, end).encoded
      #expect(source.count <= 64)
      #expect(decide(source, file) == .begin(at: end))
      #expect(decide(source, file + Array("{\"n\":4}\n{".utf8)) == .begin(at: end))
    }
    // What is taken last may end with the file.
    let complete = Array(file.dropLast())
    #expect(decide(place(complete, complete.count).encoded, complete) == .begin(at: complete.count))
  }

  @Test func `is the same whether the last record or all that precedes it is looked at, however long`() {
    for length in [1, 4095, 4096, 4097, 10_000] {
      let record = (0..<length).map { UInt8(ascii: "a") + UInt8($0 % 23) }
      let file = Array("{}\n".utf8) + record + Array("\n".utf8)
      let position = file.count - 1
      let kept = FilePosition(position: position, beginning: Array(file.prefix(FilePosition.window)), record: record)
      #expect(decide(kept.encoded, file) == .begin(at: position), "\(length)")
    }
  }

  @Test func `is not found in a file that was replaced, however long that is`() {
    let source = place(file, file.count - 1).encoded
    let other = Array("{\"n\":5}\n{\"n\":6}\r\n\n{\"n\":7}\n".utf8)
    #expect(other.count == file.count)
    for rotated in [other, other + other, Array(other.dropLast(9)), [], Array("{}\n".utf8)] {
      #expect(isOther(decide(source, rotated)))
    }
    // The beginning is the same, and the line before the place is not; and the other way round.
    var late = file
    late[file.count - 3] = UInt8(ascii: "9")
    #expect(isOther(decide(source, late)))
    var early = file
    early[5] = UInt8(ascii: "9")
    #expect(isOther(decide(source, early)))
  }

  @Test func `is not found where no line ends`() {
    let grown = Array("{\"n\":1}\n{\"n\":2".utf8)
    #expect(isOther(decide(Array("3".utf8), grown)))
    // Half a line was taken for a record, and the file has grown since.
    #expect(isOther(decide(place(grown, grown.count).encoded, grown + Array("5}\n".utf8))))
  }

  @Test func `of an earlier release is a position that nothing proves, and other words are none`() {
    #expect(decide([], file) == .begin(at: 0))
    #expect(decide(Array("0".utf8), file) == .begin(at: 0))
    #expect(decide(Array("7".utf8), file) == .unproven(at: 7))
    #expect(decide(Array("8".utf8), file) == .otherFile("no line ends at byte 8"))
    #expect(isOther(decide(Array("900".utf8), file)))
    for text in ["-1", "x", "2 7", "2 7 0 x", "3 7 0 0", "2 0 0 0", "2 -7 0 0", "offset 12"] {
      #expect(decide(Array(text.utf8), file) == .notAPlace, "\(text)")
    }
  }
}
