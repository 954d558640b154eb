import Foundation
import FuzzKit
import Synchronization
import Testing

/// Every committed input goes through the decoder it was found with, without libFuzzer. A program reads the
/// configuration file, not a library; it goes through changes drawn from a seed.
@Suite("Committed inputs of the fuzzers", .serialized)
struct CorpusTests {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "corpus")
  private static let targets =
    FuzzTarget.log + FuzzTarget.recovery + FuzzTarget.events + FuzzTarget.sinks + FuzzTarget.receiver
    + FuzzTarget.command

  private static let broken = Mutex<[String]>([])

  /// What a target says of an input.
  private func complaints(_ target: FuzzTarget, _ input: [UInt8]) -> [String] {
    brokenPromise = { promise in Self.broken.withLock { $0.append(promise) } }
    input.withUnsafeBytes { target.body($0) }
    return Self.broken.withLock { broken in
      defer { broken = [] }
      return broken
    }
  }

  private func inputs(of target: String) throws -> [(name: String, bytes: [UInt8])] {
    let folder = Self.folder.appending(path: target)
    return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().map {
      ($0, Array(try Data(contentsOf: folder.appending(path: $0))))
    }
  }

  @Test("break no promise of their target, and every target has some")
  func replay() throws {
    var count = 0
    for target in Self.targets {
      let inputs = try inputs(of: target.name)
      #expect(!inputs.isEmpty, "\(target.name) has no inputs")
      for (name, bytes) in inputs {
        let complaints = complaints(target, bytes)
        #expect(complaints.isEmpty, "\(target.name)/\(name)")
        count += 1
      }
    }
    let folders = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
    #expect(Set(folders) == Set(Self.targets.map(\.name)))
    print("fuzz corpus: \(Self.targets.count) targets, \(count) inputs")
  }

  @Test("would be told of a broken promise")
  func planted() {
    let target = FuzzTarget(name: "planted") { require($0.count < 3, "three bytes") }
    #expect(complaints(target, [1, 2]).isEmpty)
    #expect(complaints(target, [1, 2, 3]) == ["three bytes"])
  }

  @Test("of the configuration, changed at random, are taken or refused in words")
  func configurations() throws {
    let target = try #require(FuzzTarget.command.first)
    var random = Drawn(state: 20_261_124)
    let seeds = try inputs(of: target.name).map(\.bytes)
    let words = seeds.flatMap { $0.split { $0 == 10 || $0 == 58 || $0 == 32 }.map(Array.init) }
    for number in 0..<3_000 {
      var bytes = seeds[random.below(seeds.count)]
      for _ in 0...random.below(4) { random.change(&bytes, words) }
      let complaints = complaints(target, bytes)
      #expect(complaints.isEmpty, "change \(number):\n\(String(decoding: bytes, as: UTF8.self))")
    }
  }
}

/// Equal numbers in every run.
private struct Drawn {
  var state: UInt64

  mutating func below(_ bound: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int((state >> 33) % UInt64(max(1, bound)))
  }

  mutating func change(_ bytes: inout [UInt8], _ words: [[UInt8]]) {
    guard !bytes.isEmpty else { return }
    let place = below(bytes.count)
    let end = min(bytes.count, place + 1 + below(12))
    switch below(6) {
    case 0: bytes[place] = UInt8(below(256))
    case 1: bytes.removeSubrange(place..<end)
    case 2: bytes.insert(contentsOf: Array(bytes[place..<end]), at: below(bytes.count))
    case 3: bytes.insert(contentsOf: words[below(words.count)], at: place)
    case 4: bytes.replaceSubrange(place..<end, with: words[below(words.count)])
    default: bytes.insert(Array(":-[]{}&*!|>'\"%@#\n\t ${}".utf8)[below(22)], at: place)
    }
  }
}
