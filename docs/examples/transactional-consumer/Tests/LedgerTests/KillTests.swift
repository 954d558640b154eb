import Foundation
import Ledger
import PenstockLog
import Testing

@Suite struct KillTests {
  /// `LEDGER_KILLS` and `LEDGER_SEED` choose how often and when; a failure prints its seed.
  @Test("Killed again and again while payments arrive, the consumer books each exactly once", .timeLimit(.minutes(5)))
  func kills() async throws {
    let environment = ProcessInfo.processInfo.environment
    let kills = environment["LEDGER_KILLS"].flatMap(Int.init) ?? 20
    let seed = environment["LEDGER_SEED"].flatMap(UInt64.init) ?? .random(in: .min ... .max)
    var random = Dice(state: seed)
    let place = try Place()
    let log = try await Log.open(at: place.log)
    let ledger = try Ledger(at: place.database)
    var appended = 0
    var died = 0
    while died < kills {
      // Several batches for the consumer, so that it dies at any of its steps.
      let more = Int.random(in: 50...600, using: &random)
      try await log.append(payments: appended..<appended + more)
      appended += more
      let consumer = try Consumer(place)
      let goal = try ledger.next + Int.random(in: 0..<more, using: &random)
      try await consumer.wait { try ledger.next > goal }
      // Somewhere in what comes after: a transaction takes about a millisecond.
      spin(.microseconds(Int.random(in: 0..<4_000, using: &random)))
      await consumer.kill()
      died += 1
    }
    let consumer = try Consumer(place)
    try await consumer.wait { try ledger.next == Offset(UInt64(appended)) }
    await consumer.kill()
    try ledger.expectEverything(0..<appended)
    print("killed \(died) times, \(appended) payments, 0 lost, 0 doubled; seed \(seed)")
    try await log.close()
  }
}

/// The program, as a process of its own.
private final class Consumer {
  private let process = Process()

  init(_ place: Place) throws {
    // SwiftPM puts it next to the tests' own program.
    let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    process.executableURL = URL(fileURLWithPath: tests).deletingLastPathComponent().appending(path: "Consumer")
    process.arguments = [place.log, place.database]
    try process.run()
  }

  /// Returns when it is so; throws when the process ends before.
  func wait(until condition: () throws -> Bool) async throws {
    while try !condition() {
      try #require(process.isRunning, "the consumer ended by itself, with \(process.terminationStatus)")
      try await Task.sleep(for: .milliseconds(1))
    }
  }

  func kill() async {
    Foundation.kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }
}

/// Waits without giving the processor away: a sleep would be longer than what is aimed at.
private func spin(_ duration: Duration) {
  let end = ContinuousClock.now + duration
  while ContinuousClock.now < end {}
}

/// Equal numbers for an equal seed (SplitMix64, public domain, Sebastiano Vigna).
private struct Dice: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
