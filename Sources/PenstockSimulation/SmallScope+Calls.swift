import PenstockLog
import PenstockTestKit

// What the log is asked for.
extension SmallScope {
  mutating func perform(
    _ call: Call, _ process: inout Simulation.Process, _ disk: SimulatedFileSystem
  ) throws(LogError) {
    switch call {
    case .append: try append([outgoing()], to: process.writer)
    case .pair: try append([outgoing(), outgoing(ofProducer: true)], to: process.writer)
    case .roll:
      try fillSegment(process.writer)
      // An append like any other, but of so many sectors that not all of its outcomes can be looked at.
      _ = disk.takeKept()
      simulation.crashPoints = []
      try append([outgoing()], to: process.writer)
    case .cursor: try moveCursor(&process, disk)
    case .seal: try simulation.seal(&process)
    case .trim: try simulation.trim(process, disk)
    case .reopen: try simulation.reopen(&process, disk)
    }
  }

  /// Leaves no room for a block.
  private mutating func fillSegment(_ writer: LogWriter) throws(LogError) {
    let set = writer.view.set
    let end = try set.segments.last?.entries(upTo: set.end).last?.endPosition ?? UInt64(SegmentHeader.size)
    let room = simulation.configuration.segmentBytes - Int(end)
    if room > 0 { try append([outgoing(bytes: max(0, room - 1_000))], to: writer) }
  }

  /// The n-th record of every log is the same, but for fillings.
  mutating func outgoing(bytes: Int = 0, ofProducer: Bool = false) -> Simulation.Outgoing {
    simulation.branch.made += 1
    var record = Array("record \(simulation.branch.made)".utf8)
    var random = SplitMix64(seed: simulation.branch.made)
    while record.count + 8 <= bytes { withUnsafeBytes(of: random.next()) { record.append(contentsOf: $0) } }
    if ofProducer { simulation.branch.sequence += 1 }
    return Simulation.Outgoing(
      records: [record], digests: [History.digest(record)], sequence: ofProducer ? simulation.branch.sequence : 0)
  }

  mutating func append(_ all: [Simulation.Outgoing], to writer: LogWriter) throws(LogError) {
    simulation.branch.unsent = all.filter { $0.sequence > 0 }
    try simulation.append(all, to: writer)
  }

  private mutating func moveCursor(
    _ process: inout Simulation.Process, _ disk: SimulatedFileSystem
  ) throws(LogError) {
    let held = try simulation.hold(Simulation.consumer, &process, disk)
    _ = try simulation.move(held, upTo: process.writer.durableEnd, inFlight: 1, choosing: { $0 - 1 })
  }
}
