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
  /// `limit` counts the records that are looked at, so the next page begins at `Penstock-End` whatever was left out of this one.
  func events(_ request: Request, appID: String?, context: ServiceContext) async -> Response {
    let query = request.uri.queryParameters
    guard let limit = Self.number("limit", request, 1000, 1...Self.mostEvents) else {
      return Response(Self.wrongNumber, to: context)
    }
    guard let from = ServicePlace.position(query["from"].map { String($0) } ?? "beginning"),
      let until = ServicePlace.position(query["to"].map { String($0) } ?? "end")
    else {
      return Response(
        .failure(400, "bad_request", "from and to are \(ServicePlace.explanation)"), to: context)
    }
    let range: Range<Offset>
    do throws(LogError) {
      let (first, end) = (max(try log.offset(of: from), log.first), min(try log.offset(of: until), log.end))
      range = first < end ? first..<(end - first > limit ? first + limit : end) : first..<first
    } catch { return Response(Answer(error), to: context) }
    var answer = Response(Answer(200, ""), to: context)
    answer.headers[.contentType] = "application/x-ndjson"
    for (name, offset) in [("Penstock-First", range.lowerBound), ("Penstock-End", range.upperBound)] {
      if let name = HTTPField.Name(name) { answer.headers[name] = offset.description }
    }
    let validator = appID.map { EventValidator(appID: $0) }
    answer.body = ResponseBody { [log] writer in
      var next = range.lowerBound
      while next < range.upperBound {
        guard
          let batch = try await log.records(
            from: next, maxRecords: min(1000, range.upperBound - next), maxBytes: 1 << 20)
        else { break }
        var lines: [UInt8] = []
        lines.reserveCapacity(batch.byteCount + batch.count)
        batch.forEachRecord { record in
          if let validator, (try? validator.validate(record.bytes)) == nil { return }
          RecordLine.append(record.bytes, to: &lines)
          lines.append(UInt8(ascii: "\n"))
        }
        try await context.write(ByteBuffer(bytes: lines), to: &writer)
        next = batch.end
      }
      try await writer.finish(nil)
    }
    return answer
  }
}
