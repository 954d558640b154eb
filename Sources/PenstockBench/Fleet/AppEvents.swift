import ArgumentParser
import Foundation
import PenstockEvents
import PenstockLog
import PenstockToolSupport

/// Generated events of many apps, numbered from 0: which app each has, and which of many destinations wants it.
struct AppEvents: Sendable {
  /// How the apps follow each other.
  enum Order: String, CaseIterable, Sendable, ExpressibleByArgument {
    /// The next event is of the next app.
    case mixed
    /// Up to a hundred events of one app, then of the next.
    case clustered
  }

  let apps: Int
  let order: Order
  /// Events of one app in a row.
  private let run: Int
  private let generator = EventGenerator()

  /// - Parameter count: How many there will be. Of a few events each app has fewer in a row, so that each app has some.
  init(apps: Int, order: Order, count: Int) {
    self.apps = apps
    self.order = order
    run = order == .mixed ? 1 : max(1, min(100, count / apps))
  }

  func app(of number: Int) -> Int { number / run % apps }

  func destination(of number: Int, among destinations: Int) -> Int { app(of: number) % destinations }

  /// What a destination wants. All destinations together want each event once; where there are more of them than apps,
  /// the others want an app without events.
  func filter(of destination: Int, among destinations: Int) throws -> EventFilter {
    guard destinations > 1 else { return .all }
    var wanted = EventFilter.Terms()
    wanted.appIDs = stride(from: destination, to: max(apps, destinations), by: destinations).map(Self.id)
    return try EventFilter(including: wanted)
  }

  /// - Parameter moment: Of ``BenchClock``; the events carry it.
  func batch(_ numbers: Range<Int>, at moment: UInt64 = 0) -> RecordBatch {
    var batch = RecordBatch(reservingBytes: numbers.count * 640)
    var event: [UInt8] = []
    for number in numbers {
      event.removeAll(keepingCapacity: true)
      append(number, at: moment, to: &event)
      batch.append(event)
    }
    return batch
  }

  /// Adds one event, without a line feed.
  func append(_ number: Int, at moment: UInt64 = 0, to output: inout [UInt8]) {
    generator.append(number, of: Self.id(app(of: number)), to: &output)
    EventMark(number: number, moment: moment).append(to: &output)
  }

  /// Short, because the filter of a batch is in its intent, and a webhook may want hundreds of apps.
  private static func id(_ app: Int) -> String { String(app, radix: 36) }
}

/// What an event says of itself to the bench that receives it: a member of its own, `"bench":[NUMBER,MOMENT]`.
struct EventMark: Equatable {
  var number: Int
  /// Nanoseconds of ``BenchClock``; 0 where no time is measured.
  var moment: UInt64

  private static let name = Array(#""bench":"#.utf8)

  /// Puts it into an event, as its last member.
  func append(to event: inout [UInt8]) {
    event.removeLast()
    event.append(contentsOf: ",".utf8)
    event.append(contentsOf: Self.name)
    event.append(contentsOf: "[\(number),\(moment)]}".utf8)
  }

  /// Every mark in a body, in order. Searches for brackets, of which an event has few.
  static func forEach(in body: UnsafeRawBufferPointer, _ visit: (EventMark) -> Void) {
    guard let base = body.baseAddress else { return }
    var start = 0
    while start < body.count, let found = memchr(base + start, Int32(UInt8(ascii: "[")), body.count - start) {
      start = base.distance(to: UnsafeRawPointer(found)) + 1
      let before = start - 1 - name.count
      guard before >= 0, memcmp(base + before, name, name.count) == 0 else { continue }
      let number = integer(in: body, from: &start)
      // A comma is between them.
      start += 1
      let moment = integer(in: body, from: &start)
      visit(EventMark(number: Int(clamping: number), moment: moment))
    }
  }

  private static func integer(in body: UnsafeRawBufferPointer, from start: inout Int) -> UInt64 {
    var value: UInt64 = 0
    while start < body.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(body[start]) {
      value = value &* 10 &+ UInt64(body[start] - UInt8(ascii: "0"))
      start += 1
    }
    return value
  }
}
