@testable import PenstockLog
import PenstockTestKit
import Testing

@Suite struct EventWindowTests {
  private func time(_ nanoseconds: Int64?) -> Timestamp? { nanoseconds.map { Timestamp(nanoseconds: $0) } }

  @Test func `a condition comes back from its text, and equal conditions have equal texts`() {
    let bounds: [Int64?] = [nil, 0, -1, 7, .min, .max]
    var texts: Set<String> = []
    for from in bounds {
      for until in bounds {
        for untimed in EventWindow.Untimed.allCases {
          let window = EventWindow(from: time(from), until: time(until), untimed: untimed)
          #expect(EventWindow(window.description) == window)
          texts.insert(window.description)
        }
      }
    }
    #expect(texts.count == 36 * 3)
    for text in [
      "", "..", ".. ", "1..2", "1..2 never", "1.2 skip", "1...2 skip", "+1..2 skip", "01..2 skip", "a..2 skip",
      "1..2 skip ", " 1..2 skip", "1..9223372036854775808 skip", "-0.. skip",
    ] {
      #expect(EventWindow(text) == nil, "\(text)")
    }
  }

  @Test func `a record is in a window by its own time, from the first moment up to and without the last`() {
    for untimed in EventWindow.Untimed.allCases {
      for from in [nil, -2, 0, 3] as [Int64?] {
        for until in [nil, -2, 0, 3] as [Int64?] {
          let window = EventWindow(from: time(from), until: time(until), untimed: untimed)
          func isIn(_ at: Int64) -> Bool { (from.map { at >= $0 } ?? true) && (until.map { at < $0 } ?? true) }
          for at in [.min, -3, -2, -1, 0, 2, 3, 4, .max] as [Int64] {
            // The time of its append says nothing about an event that has its own.
            let time = Timestamp(nanoseconds: at)
            #expect(window.holds(eventTime: time, appendTime: Timestamp(nanoseconds: -2)) == isIn(at))
            let untimedIsIn = window.holds(eventTime: nil, appendTime: time)
            switch untimed {
            case .skip: #expect(!untimedIsIn)
            case .include: #expect(untimedIsIn)
            case .appendTime: #expect(untimedIsIn == isIn(at))
            }
          }
        }
      }
    }
  }

  @Test func `records between two event times end with the last block that may hold an earlier one`() async throws {
    let test = TestLog()
    let log = try await test.open()
    for time in [10, 20, 900, 30, 21, 40, 50] as [Int64] {
      var batch = RecordBatch()
      batch.append("event \(time)", eventTime: Timestamp(nanoseconds: time))
      try await log.append(batch)
    }
    var found: [String] = []
    for try await record in log.records(
      from: .eventTime(Timestamp(nanoseconds: 20)), to: .eventTime(Timestamp(nanoseconds: 31)))
    { found.append(record.text) }
    #expect(found == ["event 20", "event 900", "event 30", "event 21"])
    let window = try log.window(
      from: .eventTime(Timestamp(nanoseconds: 20)), to: .eventTime(Timestamp(nanoseconds: 31)))
    #expect(window.offsets == Offset(1)..<Offset(5))
    let runs = try log.offsets(mayHold: try #require(window.events), in: window.offsets)
    #expect(runs == [Offset(1)..<Offset(2), Offset(3)..<Offset(5)])
    // Nobody said of this one that it has no time, or which.
    try await log.append(batch([Array("untold".utf8)]))
    let wider = try log.window(
      from: .eventTime(Timestamp(nanoseconds: 20)), to: .eventTime(Timestamp(nanoseconds: 31)))
    #expect(wider.offsets == Offset(1)..<Offset(8))
    var none = RecordBatch()
    none.append("without a time", eventTime: nil)
    try await log.append(none)
    #expect(try log.window(from: .eventTime(Timestamp(nanoseconds: 901)), to: .end).offsets == Offset(7)..<Offset(8))
    // The last offset there can be is only far away.
    var count = 0
    for try await _ in log.records(to: .offset(Offset(.max))) { count += 1 }
    #expect(count == 9)
    try await log.close()
  }

  @Test func `records that are lost may have been in a window, and trimmed ones are no part of the log`() async throws {
    let (test, writer) = try TestLog.written()
    for number in 0..<60 {
      var batch = RecordBatch()
      for _ in 0..<2 { batch.append(record(number), eventTime: Timestamp(nanoseconds: Int64(number))) }
      try writer.commit(batches: batch)
    }
    try writer.close()
    try #require(test.segments.count > 4)
    let bases = writer.view.set.segments.map(\.name.baseOffset)
    try test.remove(test.segments[2])
    let reader = try await test.openReader()
    func window(_ from: Int64, _ until: Int64) throws -> Range<Offset> {
      let from = Position.eventTime(Timestamp(nanoseconds: from))
      return try reader.window(from: from, to: .eventTime(Timestamp(nanoseconds: until))).offsets
    }
    #expect(try window(0, 1) == .zero..<bases[3])
    #expect(try window(59, 60) == bases[2]..<Offset(120))
    reader.view.trim(to: writer.view.set.segments[3].name)
    #expect(try window(0, 1).isEmpty)
    #expect(try window(59, 60) == Offset(118)..<Offset(120))
    reader.close()
  }
}
