import CPenstock
import Testing

@testable import PenstockEvents

/// The ways that go many bytes at a time, held against what is obvious and slow.
@Suite("Fast ways through strings") struct StringScanTests {
  private static func isPlain(_ byte: UInt8) -> Bool {
    byte >= 0x20 && byte < 0x80 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
  }

  private func expectPlain(_ window: [UInt8], _ note: @autoclosure () -> String) {
    let expected = window.prefix(while: Self.isPlain).count
    window.withUnsafeBytes { bytes in
      #expect(bytes.plainBytes(at: 0) == expected, "\(note())")
      guard let start = bytes.baseAddress else { return }
      #expect(Int(penstock_plain_bytes_portable(start)) == expected, "portable, \(note())")
    }
  }

  @Test func `of sixteen bytes as many are plain as there are before the first that is not`() {
    expectPlain([UInt8](repeating: UInt8(ascii: "x"), count: 16), "all plain")
    for byte in UInt8.min...UInt8.max {
      for place in 0..<16 {
        var window = [UInt8](repeating: UInt8(ascii: "x"), count: 16)
        window[place] = byte
        expectPlain(window, "\(byte) at \(place)")
        if place < 15 { window[place + 1] = UInt8(ascii: "\"") }
        expectPlain(window, "\(byte) at \(place), a quote after it")
      }
    }
    let seed = testSeed("windows")
    var random = SeededGenerator(seed: seed)
    for _ in 0..<5000 {
      let window = (0..<16).map { _ in
        random.chance(12)
          ? UInt8.random(in: .min ... .max, using: &random) : UInt8.random(in: 0x20...0x7F, using: &random)
      }
      expectPlain(window, "seed \(seed), \(window)")
    }
  }

  /// What a string is, byte by byte.
  private struct Slow: Equatable {
    var content: Range<Int>?
    var hasEscapes = false
    var fault: JSONFault?

    init(_ bytes: [UInt8], at quote: Int) {
      var at = quote + 1
      func failed(_ reason: JSONFault.Reason, _ position: Int) -> JSONFault {
        JSONFault(reason: reason, position: position)
      }
      while at < bytes.count {
        let byte = bytes[at]
        if byte == UInt8(ascii: "\"") {
          content = quote + 1..<at
          return
        }
        if byte == UInt8(ascii: "\\") {
          hasEscapes = true
          guard at + 1 < bytes.count else {
            fault = failed(.unterminatedString, bytes.count)
            return
          }
          // Of escapes only those of one letter: the others have a test of their own.
          guard "\"\\/bfnrt".utf8.contains(bytes[at + 1]) else {
            fault = failed(.unknownEscape, at)
            return
          }
          at += 2
        } else if byte < 0x20 {
          fault = failed(.controlCharacter, at)
          return
        } else if byte < 0x80 {
          at += 1
        } else {
          guard let length = (2...4).first(where: { Self.isCharacter(bytes[at...].prefix($0)) }) else {
            fault = failed(.invalidUTF8, at)
            return
          }
          at += length
        }
      }
      fault = failed(.unterminatedString, bytes.count)
    }

    private static func isCharacter(_ bytes: ArraySlice<UInt8>) -> Bool {
      String(validating: bytes, as: UTF8.self)?.unicodeScalars.count == 1
    }

    init(scanning bytes: [UInt8], at quote: Int) {
      bytes.withUnsafeBytes { buffer in
        var scanner = JSONScanner(buffer, position: quote)
        do throws(JSONFault) {
          let string = try scanner.scanString()
          (content, hasEscapes) = (string.content, string.hasEscapes)
          if scanner.position != string.content.upperBound + 1 { fault = scanner.fault(.trailingBytes) }
        } catch {
          fault = error
        }
      }
      // Where it fails, what it saw before does not matter.
      if fault != nil { hasEscapes = false }
    }
  }

  @Test func `a string is what it is byte by byte, wherever it begins, is cut off, or goes wrong`() {
    let seed = testSeed("strings")
    var random = SeededGenerator(seed: seed)
    var kinds: [JSONFault.Reason?: Int] = [:]
    for round in 0..<400 {
      let pad = Int.random(in: 0...17, using: &random)
      var bytes = [UInt8](repeating: UInt8(ascii: " "), count: pad) + [UInt8(ascii: "\"")]
      for _ in 0..<Int.random(in: 0...45, using: &random) { bytes += piece(&random) }
      bytes +=
        [UInt8(ascii: "\"")] + [UInt8](repeating: UInt8(ascii: "y"), count: Int.random(in: 0...17, using: &random))
      for end in pad + 1...bytes.count {
        let part = Array(bytes[..<end])
        var expected = Slow(part, at: pad)
        if expected.fault != nil { expected.hasEscapes = false }
        #expect(Slow(scanning: part, at: pad) == expected, "seed \(seed), round \(round), cut at \(end): \(part)")
        kinds[expected.fault?.reason, default: 0] += 1
      }
    }
    // Each must occur, or the comparison says nothing about it.
    let wanted: [JSONFault.Reason?] = [nil, .unterminatedString, .controlCharacter, .invalidUTF8, .unknownEscape]
    #expect(wanted.allSatisfy { kinds[$0, default: 0] > 50 }, "\(kinds)")
  }

  private func piece(_ random: inout SeededGenerator) -> [UInt8] {
    switch Int.random(in: 0..<60, using: &random) {
    case 0: [UInt8(ascii: "\\"), Array("\"\\/bfnrt".utf8).randomElement(using: &random) ?? 0]
    case 1: Array(["é", "€", "😀", "\u{7F}", "\u{10FFFF}"].randomElement(using: &random)?.utf8 ?? "".utf8)
    case 2 where random.chance(3): [UInt8.random(in: 0...0x1F, using: &random)]
    case 3 where random.chance(3): [UInt8.random(in: 0x80...0xFF, using: &random)]
    case 4 where random.chance(3): [UInt8(ascii: "\\"), UInt8(ascii: "x")]
    default: [UInt8.random(in: UInt8(ascii: "a")...UInt8(ascii: "z"), using: &random)]
    }
  }

  @Test(arguments: EventField.allCases)
  func `a key is a field's name only if every byte is`(_ field: EventField) {
    let name = Array(field.rawValue.utf8)
    for pad in [0, 1, 7, 8] {
      let quoted = [UInt8](repeating: 0x20, count: pad) + [UInt8(ascii: "\"")] + name + [UInt8(ascii: "\"")]
      #expect(found(quoted, at: pad) == field)
      for place in name.indices {
        for bit in 0..<8 {
          var damaged = quoted
          damaged[pad + 1 + place] ^= 1 << bit
          let other = String(validating: damaged[(pad + 1)...].dropLast(), as: UTF8.self).flatMap(EventField.init)
          guard Self.isPlain(damaged[pad + 1 + place]) else { continue }
          #expect(found(damaged, at: pad) == other, "\(text(damaged))")
        }
        var shorter = quoted
        shorter.remove(at: pad + 1 + place)
        #expect(found(shorter, at: pad) != field, "\(text(shorter))")
        var longer = quoted
        longer.insert(name[place], at: pad + 1 + place)
        #expect(found(longer, at: pad) != field, "\(text(longer))")
      }
    }
  }

  private func found(_ bytes: [UInt8], at quote: Int) -> EventField? {
    bytes.withUnsafeBytes { buffer in
      var scanner = JSONScanner(buffer, position: quote)
      return (try? scanner.scanString()).flatMap { EventField($0, in: buffer) }
    }
  }
}
