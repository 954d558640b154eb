import Foundation
public import PenstockLog

/// A folder that is removed when the last user lets go.
public final class Scratch: Sendable {
  public let path: String

  public init() throws {
    path = NSTemporaryDirectory() + "penstock-benchmarks-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// Records like usage events: JSON of about 550 bytes that compresses about tenfold.
public enum Records {
  public static func batch(_ count: Int, from first: Int = 0) -> RecordBatch {
    var batch = RecordBatch(reservingBytes: count * 600)
    for number in first..<(first + count) { batch.append(record(number)) }
    return batch
  }

  public static func record(_ number: Int) -> String {
    // A stranger's number in every record, so that none is like another.
    var state = UInt64(truncatingIfNeeded: number) &* 0x9E37_79B9_7F4A_7C15
    func word() -> String {
      state = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
      state ^= state >> 27
      return String(state, radix: 16)
    }
    let page = number % 37
    return #"{"app_id":"5deca919-35fc-52ac-9914-1b72479d216c","user_id":"","anonymous_user_id":"\#(word())\#(word())","#
      + #""event":"Section /articles","platform":"web","type":"page","ts":\#(1_760_000_000 + number / 40),"#
      + #""properties":{"id":"3c1d93b4-90a5-5c26-9e46-4b0f3fb6c6ad","values":[{"url_hash":"","#
      + #""url_path":"/articles/how-we-build-\#(page)","query_params":"page=\#(page)"}],"#
      + #""options":{"use_regex":false}},"#
      + #""traits":{"user_agent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:126.0) Gecko/20100101 Firefox/126.0","#
      + #""plan":"monthly","country":"DE","visits":\#(number % 300)}}"#
  }
}
