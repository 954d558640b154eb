@testable import PenstockLog
import Testing

/// What a reader finds that continues after every gap.
struct Reading: Equatable {
  var records: [Offset: [UInt8]] = [:]
  var appendTimes: [Offset: Timestamp] = [:]
  var gaps: [Gap] = []
  var end = Offset.zero

  init(_ view: LogView, from start: Offset = .zero, maxRecords: Int = 1_000) throws(LogError) {
    var offset = start
    while true {
      do throws(LogError) {
        guard let batch = try view.batch(from: offset, maxRecords: maxRecords, maxBytes: 1 << 20) else { break }
        take(batch)
        offset = batch.end
      } catch {
        guard let gap = error.gap else { throw error }
        gaps.append(gap)
        offset = gap.end
      }
    }
    end = offset
  }

  mutating func take(_ batch: Batch) {
    batch.forEachRecord {
      records[$0.offset] = Array($0.bytes)
      appendTimes[$0.offset] = $0.appendTime
    }
  }

  /// The offsets in gaps, in order.
  var lost: [Offset] { gaps.flatMap { gap in (0..<(gap.end - gap.first)).map { gap.first + $0 } } }

  /// The records by offset, when there is no gap.
  var inOrder: [[UInt8]] { records.sorted { $0.key < $1.key }.map(\.value) }
}

extension Gap {
  func covers(_ offset: Offset) -> Bool { first <= offset && offset < end }
}

/// The texts of all records from a place on.
func texts(_ log: Log, from start: Position = .beginning) async throws -> [String] {
  var found: [String] = []
  for try await record in log.records(from: start) { found.append(record.text) }
  return found
}

/// The bytes of all records.
func recordBytes(_ log: Log) async throws -> [[UInt8]] {
  var found: [[UInt8]] = []
  for try await record in log.records() { found.append(record.bytes) }
  return found
}

/// The bytes of a batch's records.
func recordBytes(_ batch: Batch?) -> [[UInt8]] {
  var found: [[UInt8]] = []
  batch?.forEachRecord { found.append(Array($0.bytes)) }
  return found
}

/// The code of the error that a call throws; nil when it succeeds.
func code(
  isolation actor: isolated (any Actor)? = #isolation, _ body: () async throws -> some Any
) async -> LogError.Code? {
  do { _ = try await body() } catch { return code(of: error) }
  return nil
}

func code(_ body: () throws -> some Any) -> LogError.Code? {
  do { _ = try body() } catch { return code(of: error) }
  return nil
}

private func code(of error: any Error) -> LogError.Code? {
  guard let error = error as? LogError else {
    Issue.record("no error of the log: \(error)")
    return nil
  }
  return error.code
}
