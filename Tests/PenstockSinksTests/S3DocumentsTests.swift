import Testing

@testable import PenstockSinks

@Suite struct S3DocumentsTests {
  /// Found by the fuzzer: Foundation's XML parser trapped on them.
  @Test func `an answer that is not UTF-8, or holds zeros, is no document and ends nothing`() {
    let sound = Array("<Error><Code>SlowDown</Code><Message>less</Message></Error>".utf8)
    #expect(S3ErrorBody(sound)?.code == "SlowDown")
    for byte in [0xCA, 0xFF, 0x00] as [UInt8] {
      for place in sound.indices {
        var changed = sound
        changed[place] = byte
        #expect(S3ErrorBody(changed) == nil)
        #expect(S3Documents.read(S3Documents.NewUpload.self, changed) == nil)
      }
    }
    let wide: [UInt8] = sound.flatMap { [$0, 0] as [UInt8] }
    #expect(S3ErrorBody([0xFF, 0xFE] + wide) == nil && S3ErrorBody(wide) == nil)
  }

  /// Found by the fuzzer: Foundation's XML parser ended the process.
  @Test
  func `an answer with a processing instruction is no document and ends nothing; the declaration in front is none`() {
    let sound = "<Error><Code>SlowDown</Code></Error>"
    #expect(S3ErrorBody(Array((#"<?xml version="1.0" encoding="UTF-8"?>"# + "\n" + sound).utf8))?.code == "SlowDown")
    for instruction in ["<?x?>", "<?xml?>", "<?x y?>", "<?xml version=\"1.0\"?><?x?>", "<?"] {
      #expect(S3ErrorBody(Array((instruction + sound).utf8)) == nil)
      #expect(S3ErrorBody(Array(sound.replacing("SlowDown", with: instruction).utf8)) == nil)
    }
    // One that a search among characters, not bytes, would pass over.
    #expect(S3ErrorBody(Array("<?\u{301}x?>\(sound)".utf8)) == nil)
    #expect(S3ErrorBody(Array("<!DOCTYPE\u{301} x>\(sound)".utf8)) == nil)
  }
}
