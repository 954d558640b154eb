import FuzzKit
@testable import PenstockEvents

extension FuzzTarget {
  static let events: [FuzzTarget] = [
    FuzzTarget(name: "event", body: event),
    FuzzTarget(name: "ndjson", body: ndjson),
    FuzzTarget(name: "array", body: array),
    FuzzTarget(name: "filter", body: filter),
  ]

  private static let validator = EventValidator()
  private static let nothing = FieldSelection(keeping: [])
  nonisolated(unsafe) private static var output: [UInt8] = []
  private static let someFilter = try? EventFilter(parsing: "type=page,track event=Home*,\\*x")

  /// What the validator takes can be rendered: shorter or equal, an event again, and rendering twice changes nothing.
  @Sendable private static func event(_ input: UnsafeRawBufferPointer) {
    _ = someFilter?.verdict(on: input)
    output.removeAll(keepingCapacity: true)
    nothing.render(input, into: &output)
    require(output.count <= input.count, "a rendering longer than its record")
    do throws(EventError) {
      let summary = try validator.validate(input)
      let kept = output
      kept.withUnsafeBytes { kept in
        guard let again = try? validator.validate(kept) else { fatalError("a rendering that is no event") }
        require(again.type == nil || again.type == summary.type, "another type")
        output.removeAll(keepingCapacity: true)
        nothing.render(kept, into: &output)
        require(output.elementsEqual(kept), "a rendering that changes when it is rendered")
      }
    } catch {
      require((0...input.count).contains(error.position), "a place outside of the record")
    }
  }

  private struct Split: Equatable {
    var lines: [[UInt8]] = []
    var places: [NDJSONSplitter.Line] = []
    var error: EventError?
  }

  private static func split(_ input: UnsafeRawBufferPointer, chunk: Int) -> Split {
    var found = Split()
    var splitter = NDJSONSplitter(maxLineBytes: 24)
    do throws(EventError) {
      func keep(_ line: UnsafeRawBufferPointer, _ place: NDJSONSplitter.Line) {
        found.lines.append(Array(line))
        found.places.append(place)
      }
      var start = 0
      while start < input.count {
        let end = min(start + chunk, input.count)
        try splitter.feed(UnsafeRawBufferPointer(rebasing: input[start..<end]), keep)
        start = end
      }
      try splitter.finish(keep)
    } catch {
      found.error = error
    }
    return found
  }

  /// How the input is cut into pieces makes no difference, and no line is longer than allowed.
  @Sendable private static func ndjson(_ input: UnsafeRawBufferPointer) {
    guard let first = input.first else { return }
    let text = input.from(1)
    let whole = split(text, chunk: max(text.count, 1))
    require(whole.lines.allSatisfy { $0.count <= 24 && !$0.contains(10) }, "a line that is none")
    for (line, place) in zip(whole.lines, whole.places) {
      require(text[place.position..<(place.position + line.count)].elementsEqual(line), "a line that stands elsewhere")
    }
    require(split(text, chunk: 1 + Int(first) % 31) == whole, "lines that depend on the chunks")
  }

  /// The elements lie in order within the body, and each is an array's element again.
  @Sendable private static func array(_ input: UnsafeRawBufferPointer) {
    var last = 0
    var number = 0
    let splitter = JSONArraySplitter(maxBodyBytes: 4096, maxRecordBytes: 512, depthLimit: 8)
    do throws(EventError) {
      let count = try splitter.split(input) { (range, index) throws(EventError) in
        require(range.lowerBound >= last && range.upperBound <= input.count && index == number, "elements out of order")
        require(!range.isEmpty && range.count <= 512, "an element of a size that is not allowed")
        last = range.upperBound
        number += 1
      }
      require(count == number, "another number of elements")
    } catch {
      require(error.position >= 0 && error.position <= input.count, "a place outside of the body")
    }
  }

  private static let sample = Array(#"{"app_id":"a","type":"page","event":"Home Page","segments":["s"],"ts":1}"#.utf8)

  /// A filter's or a selection's text means the same when it is written and read again.
  @Sendable private static func filter(_ input: UnsafeRawBufferPointer) {
    let text = String(decoding: input, as: UTF8.self)
    if let selection = FieldSelection(text) {
      require(FieldSelection(selection.description) == selection, "another selection")
    }
    guard let filter = EventFilter(text) else { return }
    guard let again = EventFilter(filter.description) else { fatalError("a filter that is not read again") }
    require(again == filter && again.description == filter.description, "another filter")
    sample.withUnsafeBytes { require(filter.verdict(on: $0) == again.verdict(on: $0), "another verdict") }
  }
}
