import HTTPTypes
import Hummingbird
import NIOCore
import PenstockDelivery
@testable import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockServer

@Suite("What the service reads for its answers", .timeLimit(.minutes(1))) struct ServiceTaskReadingTests {
  /// Notes which calls are made on the threads of tasks.
  final class WatchedFileSystem: PassingFileSystem {
    let base: any FileSystem
    private let calls = Mutex<[String]?>(nil)

    init(_ base: any FileSystem) { self.base = base }

    func watch() { calls.withLock { $0 = [] } }
    var callsInTasks: [String] { calls.withLock { $0 ?? [] } }

    private func note(_ call: String) {
      if withUnsafeCurrentTask(body: { $0 != nil }) { calls.withLock { $0?.append(call) } }
    }

    func open(_ path: String, _ mode: OpenMode) throws(FileSystemError) -> OpenFileHandle {
      note("open \(path)")
      return try base.open(path, mode)
    }
    func read(_ file: OpenFileHandle, into buffer: UnsafeMutableRawBufferPointer, at position: UInt64)
      throws(FileSystemError) -> Int
    {
      note("read")
      return try base.read(file, into: buffer, at: position)
    }
    func size(_ file: OpenFileHandle) throws(FileSystemError) -> UInt64 {
      note("size")
      return try base.size(file)
    }
  }

  @Test func `sizes, segments, lags and pauses are read on no thread that runs tasks`() async throws {
    let disk = WatchedFileSystem(SimulatedFileSystem())
    let environment = ConnectionTimeoutTests.environment(disk)
    let log = try await Log.open(at: "/log", configuration: KeyedLife.configuration(), environment: environment)
    for _ in 0..<20 { try await log.append(SegmentSizeCacheTests.rows(40)) }
    try #require(log.view.set.segments.count > 3)
    let keyed = try await IdempotentAppender.open(
      log, journal: "/keys", options: IdempotencyOptions(capacity: 100, window: 3600, producers: 1),
      environment: environment)
    let admin = SegmentSizeCacheTests.admin(log, keyed: keyed)
    let destination = ServiceDestination.test { cursor, log in Delivery(from: cursor, source: log, to: ScriptedSink()) }
    let runner = DestinationRunner(
      destination, log, EventRouter(of: log), retention: RetentionPolicy(), logger: ConnectionTimeoutTests.quiet)
    // So that it takes its cursor and delivers nothing.
    try await runner.pause(reason: "")
    let running = Task { await runner.run() }
    while runner.committed == nil { await Task.yield() }
    runner.stop()
    await running.value
    disk.watch()
    #expect(try await SegmentSizeCacheTests.bytesOnDisk(admin) > 0)
    let request = Request(
      head: HTTPRequest(method: .get, scheme: nil, authority: nil, path: "/v1/segments"),
      body: RequestBody(buffer: ByteBuffer()))
    #expect(await admin.segments(request).status == 200)
    let facts = try #require(await DestinationRunner.facts(of: [runner, runner], at: SystemWallClock().now()).last)
    #expect(runner.lag(facts)?.records == Int(log.end.rawValue) && facts.pause != nil)
    #expect(disk.callsInTasks == [])
    try await log.close()
  }
}
