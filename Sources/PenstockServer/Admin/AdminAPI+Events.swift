import HTTPTypes
import Hummingbird
import NIOCore
import PenstockDelivery
import PenstockEvents
import PenstockLog

extension AdminAPI {
  private static let mostEvents = 100_000

  /// `GET /v1/events`: one record on each line, byte for byte as the client sent it. A record with line breaks is
  /// rewritten as one line (``RecordLine``). The memory does not grow with the number of records.
  ///
  /// `limit` counts the records that are read, with those that the filter leaves out. The next page begins at
  /// `Penstock-End`: the client sends it as `page` and repeats the other parameters, so that a window of event times
  /// stays the same.
  func events(_ request: Request, appID: String?, context: ServiceContext) async -> Response {
    let query = request.uri.queryParameters
    guard let limit = Self.number("limit", request, 1000, 1...Self.mostEvents) else {
      return Response(Self.wrongNumber, to: context)
    }
    let now = clock.now()
    guard let from = PositionParameter.position(query["from"].map { String($0) } ?? "beginning", now: now),
      let until = PositionParameter.position(query["to"].map { String($0) } ?? "end", now: now)
    else {
      return Response(
        .failure(400, "bad_request", "from and to must be \(PositionParameter.explanation)"), to: context)
    }
    guard let untimed = PositionParameter.untimed(query["untimed"].map { String($0) }) else {
      return Response(.failure(400, "bad_request", PositionParameter.untimedExplanation), to: context)
    }
    let page = query["page"].map { UInt64($0) }
    if case .some(nil) = page {
      return Response(.failure(400, "bad_request", "page must be an offset"), to: context)
    }
    let events = EventWindow(from: from, to: until, untimed: untimed)
    let range: Range<Offset>
    do throws(LogError) {
      let begin = page.flatMap { $0 }.map { Offset($0) }
      let (first, end) = try await log.offload { [log] () throws(LogError) in
        try log.page(from: from, to: until, at: begin, events)
      }
      range = first < end ? first..<(end - first > limit ? first + limit : end) : first..<first
    } catch { return Response(Answer(error), to: context) }
    var answer = Response(Answer(200, ""), to: context)
    answer.headers[.contentType] = "application/x-ndjson"
    for (name, offset) in [("Penstock-First", range.lowerBound), ("Penstock-End", range.upperBound)] {
      if let name = HTTPField.Name(name) { answer.headers[name] = offset.description }
    }
    if events != nil { answer.headers[.trailer] = Self.untimedField }
    let validator = appID.map { EventValidator(appID: $0) }
    answer.body = ResponseBody { [log] writer in
      var (next, untimedCount) = (range.lowerBound, 0)
      while next < range.upperBound {
        guard
          let batch = try await log.records(
            from: next, maxRecords: min(1000, range.upperBound - next), maxBytes: 1 << 20)
        else { break }
        var lines: [UInt8] = []
        lines.reserveCapacity(batch.byteCount + batch.count)
        batch.forEachRecord { record in
          if let validator, (try? validator.validate(record.bytes)) == nil { return }
          if let verdict = events?.verdict(on: record) {
            if !verdict.isTimed { untimedCount += 1 }
            if !verdict.isInside { return }
          }
          RecordLine.append(record.bytes, to: &lines)
          lines.append(UInt8(ascii: "\n"))
        }
        try await context.write(ByteBuffer(bytes: lines), to: &writer)
        next = batch.end
      }
      // A trailer, because the count is known only after the last record.
      var trailer: HTTPFields?
      if events != nil, let name = HTTPField.Name(Self.untimedField) { trailer = [name: String(untimedCount)] }
      try await writer.finish(trailer)
    }
    return answer
  }

  /// The number of records in the page without a readable event time.
  private static let untimedField = "Penstock-Untimed"
}

extension Log {
  /// The offsets of a page. A window of event times begins at the first block that may hold one of its events. Blocks
  /// the calling thread.
  fileprivate func page(
    from: Position, to: Position, at page: Offset?, _ events: EventWindow?
  ) throws(LogError) -> (first: Offset, end: Offset) {
    let end = min(to.asEventTime == nil ? try offset(of: to) : self.end, self.end)
    let start = from.asEventTime == nil ? try offset(of: from) : first
    let begin = max(start, first, page ?? .zero)
    guard let events, begin < end else { return (begin, end) }
    return (try view.firstOffset(mayHold: events, in: begin..<end) ?? end, end)
  }
}
