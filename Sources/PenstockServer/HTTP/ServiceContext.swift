import Hummingbird
import NIOCore
import PenstockLog

/// What goes with one request.
struct ServiceContext: InitializableFromSource {
  let channel: any Channel
  /// Unique enough to find it in a log.
  let id: String

  init(source: ApplicationRequestContextSource) {
    channel = source.channel
    let word = Randomness.system.word()
    let digits = String(word, radix: 16)
    id = String(repeating: "0", count: 16 - digits.count) + digits
  }
}
