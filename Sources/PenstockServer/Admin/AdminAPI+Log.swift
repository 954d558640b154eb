import Hummingbird
import PenstockLog
import PenstockSupport

extension AdminAPI {
  /// `GET /v1/segments`: the newest segments, newest first, with their compression. It reads the index and at most
  /// three blocks of each segment.
  func segments(_ request: Request) async -> Answer {
    guard let limit = Self.number("limit", request, 24, 1...200) else { return Self.wrongNumber }
    let set = log.view.set
    var views: [OrderedJSON] = []
    do throws(LogError) {
      // One at a time, so that other readers get their turns in between.
      for index in set.segments.indices.suffix(limit).reversed() {
        views.append(try await log.offload { () throws(LogError) in self.segment(index, of: set) })
      }
    } catch { return Answer(error) }
    return Answer(200, .object([("count", .number(set.segments.count)), ("segments", .array(views))]))
  }

  /// Blocks the calling thread.
  private func segment(_ index: Int, of set: SegmentSet) -> OrderedJSON {
    let segment = set.segments[index]
    let range = segment.name.baseOffset..<max(segment.name.baseOffset, set.end(ofSegmentAt: index))
    // A damaged segment, or one that retention has just removed, has null for what cannot be read.
    let extent = try? log.extent(of: range)
    let recordBytes = extent.flatMap { $0.recordBytes > 0 ? $0.recordBytes : nil }
    return .object([
      ("sequence", .number(segment.name.sequence)), ("first", .number(range.lowerBound.rawValue)),
      ("end", .number(range.upperBound.rawValue)), ("isOpen", .bool(index == set.segments.count - 1)),
      ("fileBytes", .optional(try? log.view.fileBytes(of: segment, in: set))),
      ("storedBytes", .optional(extent?.storedBytes)),
      ("recordBytes", .optional(recordBytes)), ("missing", .optional(extent?.missing)),
      ("since", extent?.firstAppendTime.map { .string(ServiceTime.text($0)) } ?? .null),
    ])
  }
}
