extension LogWriter {
  /// The parts that opening found or made; see `LogOpening`.
  struct Parts {
    var environment: LogEnvironment
    var configuration: LogConfiguration
    var paths: LogPaths
    var lock: OpenFile
    var commitPoint: OpenFile
    var metaFile: MetaFile
    var segments: [Segment]
    var active: SegmentWriter
    var activeSegment: Segment
    var recovery: RecoveryReport
    var producers: ProducerRegistry
    var producerStore: ProducerStore
    var clock: AppendClock
  }
}
