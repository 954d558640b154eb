import Foundation
import Hummingbird
import PenstockDelivery
import PenstockLog
import PenstockSupport

extension AdminAPI {
  /// The most bytes of records in a page, unless a single record is longer. The JSON text takes several times as much
  /// memory.
  private static let pageBytes = 4 << 20

  /// `GET …/deadletters`: a page of dead letters, the start of the next page, and the progress of redelivery.
  func deadLetters(_ name: String, _ request: Request) async -> Answer {
    guard let runner = runner(name) else { return Self.noSuch("destination") }
    guard let limit = Self.number("limit", request, 100, 1...1000),
      let from = Self.number("from", request, 0, 0...Int.max)
    else { return Self.wrongNumber }
    do throws(LogError) {
      var (count, sent, page): (Int, Offset?, DeadLetters.Page?) = (0, nil, nil)
      if let letters = runner.destination.letters {
        count = try await letters.count(of: name)
        page = try await letters.page(
          of: name, from: Offset(UInt64(from)), limit: limit, maxBytes: Self.pageBytes)
        sent = try await letters.redelivered(of: name, to: name)
      }
      return Answer(
        200,
        .object([
          ("count", .number(count)), ("deadLetters", .array(page?.letters.map(\.json) ?? [])),
          ("next", .optional(page?.next?.rawValue)),
          ("redeliveredUpTo", .optional(sent?.rawValue)), ("redelivery", await redeliveries.state(name)?.json ?? .null),
        ]))
    } catch { return Answer(error) }
  }

  /// `GET …/deadletters/{id}`.
  func deadLetter(_ number: String, of name: String) async -> Answer {
    guard let runner = runner(name) else { return Self.noSuch("destination") }
    guard let letters = runner.destination.letters, let number = UInt64(number) else {
      return Self.noSuch("dead letter")
    }
    do throws(LogError) {
      guard let letter = try await letters.letter(Offset(number), of: name) else { return Self.noSuch("dead letter") }
      return Answer(200, DeadLetters.Numbered(number: Offset(number), letter: letter).json)
    } catch { return Answer(error) }
  }

  private struct RedeliverBody: Decodable {
    var letter: UInt64?
    var all: Bool?
    var dryRun: Bool?
  }

  /// `POST …/redeliver`: sends dead letters to their destination again, or reports how many it would send.
  func redeliver(_ name: String, _ request: Request) async -> Answer {
    guard let runner = runner(name) else { return Self.noSuch("destination") }
    do {
      let body = try await SmallBody.decode(RedeliverBody.self, from: request)
      if body.letter != nil, body.all == true {
        return .failure(400, "bad_request", "letter and all exclude each other")
      }
      let scope: RedeliveryScope = body.letter.map { .one(Offset($0)) } ?? (body.all == true ? .all : .remaining)
      let letters = runner.destination.letters
      let range = try await letters?.pending(scope, of: name, to: name) ?? .zero ..< .zero
      let count = range.upperBound - range.lowerBound
      if body.letter != nil, range.isEmpty { return Self.noSuch("dead letter") }
      let summary = OrderedJSON.object([
        ("destination", .string(name)), ("letters", .number(count)),
        ("first", .optional(range.isEmpty ? nil : range.lowerBound.rawValue)),
      ])
      if body.dryRun == true { return Answer(200, summary) }
      guard let letters else { return .failure(409, "conflict", "this destination keeps no dead letters") }
      if range.isEmpty {
        return .failure(409, "conflict", "every dead letter was sent again; send \"all\" to start with the oldest")
      }
      guard try redeliveries.start(scope, of: letters, to: runner.destination, letters: count) else {
        return .failure(
          409, "conflict", "a redelivery to this destination is running, or the service is being shut down")
      }
      return Answer(202, summary)
    } catch let refusal as SmallBody.Refusal {
      return refusal.answer
    } catch let error as LogError {
      return Answer(error)
    } catch let error as SinkError {
      return .failure(409, "destination", error.message)
    } catch {
      return .failure(500, "failed", "the redelivery could not be started")
    }
  }
}

extension ServiceDestination {
  /// Nil: the destination stores none.
  var letters: DeadLetters? { options.deadLetters.map { DeadLetters(in: $0) } }
}

extension DeadLetters.Numbered {
  /// The record as text, or in base64 when it is not valid UTF-8.
  var json: OrderedJSON {
    let text = String(validating: letter.record, as: UTF8.self)
    return .object([
      ("number", .number(number.rawValue)), ("offset", .number(letter.offset.rawValue)),
      ("appendTime", .string(ServiceTime.text(letter.appendTime))),
      ("deadLetteredAt", .string(ServiceTime.text(letter.deadLetteredAt))),
      ("delivery", .string(letter.deliveryID.rawValue)),
      ("kind", .string(letter.isUnrenderable ? "unrenderable" : "rejected")), ("attempts", .number(letter.attempts)),
      ("destination", .string(letter.destination)), ("reason", .string(letter.reason)),
      ("bytes", .number(letter.record.count)),
      text.map { ("record", .string($0)) } ?? ("recordBase64", .string(Data(letter.record).base64EncodedString())),
    ])
  }
}
