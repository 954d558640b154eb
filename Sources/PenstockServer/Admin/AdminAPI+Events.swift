import HTTPTypes
import Hummingbird
import NIOCore
import PenstockDelivery
import PenstockEvents
import PenstockLog

extension AdminAPI {
  private static let mostEvents = 100_000

  /// `GET /v1/events`: records as lines, byte for byte as they were sent unless that would be more than one
  /// (``RecordLine``), in memory that does not grow with their number.
  ///
  /// `limit` counts the records that are looked at, so the next page begins at `Penstock-End` whatever was left out of
  /// this one: with `page` set to it and everything else as it was, so that a window of event times stays the same.
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
        .failure(400, "bad_request", "from and to are \(PositionParameter.explanation)"), to: context)
    }
    guard let untimed = PositionParameter.untimed(query["untimed"].map { String($0) }) else {
      return Response(.failure(400, "bad_request", PositionParameter.untimedExplanation), to: context)
    }
    let page = query["page"].map { UInt64($0) }
    if case .some(nil) = page { return Response(.failure(400, "bad_request", "page is an offset"), to: context) }
    let events = EventWindow(from: from, to: until, untimed: untimed)
    let range: Range<Offset>
    do throws(LogError) {
      let (first, end) = try log.page(from: from, to: until, at: page.flatMap { $0 }.map { Offset($0) }, events)
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
      // Known only now that all of them were looked at.
      var trailer: HTTPFields?
      if events != nil, let name = HTTPField.Name(Self.untimedField) { trailer = [name: String(untimedCount)] }
      try await writer.finish(trailer)
    }
    return answer
  }

  /// How many records without a readable event time were among those looked at.
  private static let untimedField = "Penstock-Untimed"
}

extension Log {
  /// The offsets from which a page is taken. In a window of event times they begin at the first block that may hold an
  /// event of it.
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
