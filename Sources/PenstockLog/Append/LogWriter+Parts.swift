extension LogWriter {
  /// The parts that opening found or made; see `LogOpening`.
  package struct Parts {
    var environment: LogEnvironment
    var configuration: LogConfiguration
    var paths: LogPaths
    var lock: OpenFile
    var beacon: OpenFile
    var metaFile: MetaFile
    var segments: [Segment]
    var hot: SegmentWriter
    var hotSegment: Segment
    var recovery: RecoveryReport
    var producers: ProducerRegistry
    var producerStore: ProducerStore
    var clock: AppendClock
  }
}
