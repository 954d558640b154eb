import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOEmbedded
import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockServer

@Suite("What waiting clients hold", .timeLimit(.minutes(1))) struct ConnectionTimeoutTests {
  static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

  static func environment(_ disk: any FileSystem, salt: UInt8 = 1) -> LogEnvironment {
    LogEnvironment(
      fileSystem: disk, clock: SystemWallClock(), randomBytes: { [UInt8](repeating: salt, count: 16) }, logger: quiet)
  }

  @Test(arguments: [[], [("Idempotency-Key", "one")], [("Penstock-Producer", "web"), ("Penstock-Sequence", "1")]])
  func `a body's memory is held until its answer, however it is sent, and given back then`(
    _ headers: [(String, String)]
  ) async throws {
    let disk = HookedFileSystem(SimulatedFileSystem())
    var configuration = LogConfiguration()
    (configuration.encoders, configuration.sealing) = (0, .off)
    let log = try await Log.open(at: "/log", configuration: configuration, environment: Self.environment(disk))
    let keyed = try await IdempotentAppender.open(
      log, journal: "/keys", options: IdempotencyOptions(capacity: 100, window: 3600, producers: 2),
      environment: Self.environment(disk, salt: 2))
    let ingest = Ingest(log, keyed: keyed, limits: ServiceLimits())
    // The log's thread waits with what it has written, before the sync that lets it answer.
    let (arrived, gate) = (AsyncCondition(false), Monitor(false))
    disk.onCall { verb, path in
      guard verb == .synchronize, path.hasPrefix("/log/data/"), path.hasSuffix(".seg") else { return }
      arrived.update { $0 = true }
      gate.wait { $0 ? () : nil }
    }
    var fields = HTTPFields()
    fields[.contentType] = "application/json"
    for (name, value) in headers { fields[try #require(HTTPField.Name(name))] = value }
    let body = #"{"event":"\#(String(repeating: "x", count: 300_000))"}"#
    let request = Request(
      head: HTTPRequest(method: .post, scheme: nil, authority: nil, path: "/v1/events", headerFields: fields),
      body: RequestBody(buffer: ByteBuffer(string: body)))
    let answering = Task { await ingest.respond(to: request, appID: nil, key: nil) }
    _ = await arrived.wait { $0 }
    #expect(ingest.budget.used >= body.utf8.count, "memory that is in use counts as free")
    gate.withLock { $0 = true }
    gate.signalAll()
    let answer = await answering.value
    #expect(answer.status == 200, "\(answer.body)")
    #expect(ingest.budget.used == 0)
    disk.onCall(nil)
    try await keyed.close()
    try await log.close()
  }

  /// Takes a piece as a connection does: when there is room, or never.
  struct Writer: ResponseBodyWriter {
    let channel: any Channel
    let takes: Bool
    let begun: AsyncCondition<Bool>

    mutating func write(_ buffer: ByteBuffer) async throws {
      begun.update { $0 = true }
      if takes { return }
      try await channel.closeFuture.get()
      throw ChannelError.ioOnClosedChannel
    }
    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
  }

  /// One piece written to a channel whose clock the test moves.
  struct Line {
    let channel: NIOAsyncTestingChannel
    let begun = AsyncCondition(false)
    let writing: Task<Void, any Error>
    private let isClosed = AsyncCondition(false)

    init(takes: Bool) async {
      let channel = NIOAsyncTestingChannel()
      self.channel = channel
      let context = ServiceContext(
        source: ApplicationRequestContextSource(channel: channel, logger: ConnectionTimeoutTests.quiet))
      let (begun, isClosed) = (begun, isClosed)
      channel.closeFuture.whenComplete { _ in isClosed.update { $0 = true } }
      writing = Task {
        var writer: any ResponseBodyWriter = Writer(channel: channel, takes: takes, begun: begun)
        try await context.write(ByteBuffer(string: "a piece"), to: &writer)
      }
      _ = await begun.wait { $0 }
    }

    /// Whether it is closed after that time.
    func isClosed(after time: TimeAmount) async throws -> Bool {
      await channel.testingEventLoop.advanceTime(by: time)
      try await channel.testingEventLoop.executeInContext {}
      return isClosed.value
    }
  }

  @Test func `a client that does not take a piece of its answer is cut off after a minute`() async throws {
    let line = await Line(takes: false)
    #expect(try await line.isClosed(after: .seconds(59)) == false)
    #expect(try await line.isClosed(after: .seconds(1)))
    await #expect(throws: ChannelError.self) { try await line.writing.value }
  }

  @Test func `a client that has taken it is not, however long it then stays`() async throws {
    let line = await Line(takes: true)
    try await line.writing.value
    #expect(try await line.isClosed(after: .hours(1)) == false)
    try await line.channel.close()
  }
}
