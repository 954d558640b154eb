import Testing

@testable import PenstockSinks

@Suite struct S3DocumentsTests {
  /// Found by the fuzzer: Foundation's XML parser trapped on them.
  @Test("an answer that is not UTF-8, or holds zeros, is no document and ends nothing")
  func notText() {
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
}
