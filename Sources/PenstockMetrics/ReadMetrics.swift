import CoreMetrics
import PenstockLog
import Synchronization

/// Metrics of reads and of cursors, including their lag.
final class ReadMetrics: Sendable {
  private struct CursorMetrics {
    let lag, committed: Gauge
    let moves: [LogObserverEvent.CursorMove.Kind: Timer]
    var committedOffset: Offset
  }
  private struct State {
    var end = Offset.zero
    var cursors: [String: CursorMetrics] = [:]
  }
  private let make: MetricMaker
  private let decoded, decodedBytes, hits: Counter
  private let decode: Timer
  private let end: Gauge
  private let state = Mutex(State())

  init(_ make: MetricMaker) {
    self.make = make
    decoded = make.counter("log_blocks_decoded_total")
    decodedBytes = make.counter("log_decoded_bytes_total")
    hits = make.counter("log_block_cache_hits_total")
    decode = make.timer("log_decode_duration_seconds")
    end = make.gauge("log_end_offset")
  }

  func observe(_ event: LogObserverEvent) {
    switch event {
    case .readBlock(let read):
      if read.wasCached { return hits.increment() }
      decoded.increment()
      decodedBytes.increment(by: read.bytes)
      decode.record(read.duration)
    case .movedCursor(let move): moved(move)
    default: break
    }
  }

  func logEnds(at offset: Offset) {
    end.record(offset.rawValue)
    state.withLock { state in
      state.end = max(state.end, offset)
      for cursor in state.cursors.values { cursor.lag.record(Self.lag(cursor.committedOffset, state.end)) }
    }
  }

  private func moved(_ move: LogObserverEvent.CursorMove) {
    state.withLock { state in
      state.end = max(state.end, move.end)
      var cursor = state.cursors[move.cursor] ?? known(move.cursor)
      cursor.committedOffset = move.committed
      cursor.moves[move.kind]?.record(move.duration)
      cursor.committed.record(move.committed.rawValue)
      cursor.lag.record(Self.lag(move.committed, state.end))
      state.cursors[move.cursor] = cursor
    }
  }

  private func known(_ name: String) -> CursorMetrics {
    let labels = [("cursor", name)]
    return CursorMetrics(
      lag: make.gauge("cursor_lag_records", labels), committed: make.gauge("cursor_committed_offset", labels),
      moves: Dictionary(
        uniqueKeysWithValues: LogObserverEvent.CursorMove.Kind.allCases.map {
          ($0, make.timer("cursor_\($0.rawValue)_duration_seconds", labels))
        }), committedOffset: .zero)
  }

  private static func lag(_ committedOffset: Offset, _ end: Offset) -> Int {
    end > committedOffset ? end - committedOffset : 0
  }
}
