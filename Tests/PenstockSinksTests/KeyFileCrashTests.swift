import PenstockLog
import PenstockServer
import PenstockTestKit
import Testing

/// Power cuts at every I/O of a change to the service's file of keys, on the disk the sinks are tested on.
@Suite(.timeLimit(.minutes(1))) struct KeyFileCrashTests {
  private func store(_ disk: SimulatedFileSystem) throws(KeyStoreError) -> APIKeyStore {
    try APIKeyStore("/keys.json", fileSystem: disk, clock: SystemWallClock(), randomness: .system)
  }

  @Test func `a key that was made or revoked stays so, and the others are what they were`() throws {
    for isRevoking in [false, true] {
      var (stop, isTold) = (0, false)
      while !isTold {
        stop += 1
        for seed in 0..<8 as Range<UInt64> {
          let disk = SimulatedFileSystem(seed: seed)
          let keys = try store(disk)
          let ops = try keys.create(.init(name: "ops", role: .companyAdmin)).token
          let old = try keys.create(.init(name: "old", role: .viewer))
          disk.crash(atIO: disk.ioCount + stop)
          var new: String?
          do throws(KeyStoreError) {
            if isRevoking {
              try keys.revoke(old.key.id)
            } else {
              new = try keys.create(.init(name: "new", role: .viewer)).token
            }
            isTold = true
          } catch {
            isTold = false
          }
          let found = try store(disk.powerCut(seed == 0 ? .nothingUnsynced : .seeded(seed, .tornSectors)))
          let story: Comment = "I/O \(stop), seed \(seed)"
          #expect(found.identify(ops)?.name == "ops", story)
          if isTold { #expect((found.identify(old.token) == nil) == isRevoking, story) }
          if let new { #expect(found.identify(new)?.name == "new", story) }
        }
      }
      #expect(stop > 4)
    }
  }
}
