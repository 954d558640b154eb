@testable import PenstockLog
import PenstockTestKit
import Testing

/// After a quiet time the commit point is on the disk, so that recovery can tell damage from a torn write.
@Suite(.timeLimit(.minutes(1))) struct CommitPointSyncTests {
  @Test func `the commit point is synced when no commit has come for a while, and not before`() async throws {
    let test = TestLog(SimulatedFileSystem(tracing: true))
    let gate = GatedFileSystem(test.disk)
    var environment = test.environment(on: gate)
    environment.commitPointSyncDelay = .seconds(1)
    // Each look waits until the test says that the time has passed.
    let (looks, nextLook) = AsyncStream<CheckedContinuation<Void, Never>>.makeStream()
    environment.sleep = { _ in await withCheckedContinuation { nextLook.yield($0) } }
    let log = try await test.open(with: environment)
    var look = looks.makeAsyncIterator()
    func syncs() -> Int { test.disk.trace.count { $0.contains("synchronize /log/COMMIT") } }
    try await log.append("0")
    let first = try #require(await look.next())
    // A commit in between: the next look is a delay later.
    try await log.append("1")
    first.resume()
    let second = try #require(await look.next())
    #expect(syncs() == 0)
    gate.close(for: "COMMIT", only: .synchronize)
    second.resume()
    await gate.arrival()
    gate.open()
    try await log.close()
  }
}
