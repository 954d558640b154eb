import FuzzKit
@testable import PenstockLog
@testable import PenstockSinks
import PenstockSupport

extension FuzzTarget {
  static let sinks: [FuzzTarget] = [
    FuzzTarget(name: "s3-xml", body: xml),
    FuzzTarget(name: "manifest", body: manifest),
    FuzzTarget(name: "dates", body: dates),
    FuzzTarget(name: "credentials", body: credentials),
    FuzzTarget(name: "addresses", body: addresses),
    FuzzTarget(name: "plans", body: plans),
  ]

  /// What a server may answer: a document of its kind, or none. Nothing in it grows.
  @Sendable private static func xml(_ input: UnsafeRawBufferPointer) {
    guard let kind = input.first, input.count <= 4096 else { return }
    let bytes = Array(input.dropFirst())
    switch kind % 4 {
    case 0:
      guard let list = S3Documents.read(S3Documents.ObjectList.self, bytes) else { return }
      require((list.Contents ?? []).reduce(0) { $0 + $1.Key.utf8.count } <= bytes.count * 4, "keys out of nothing")
    case 1:
      guard let list = S3Documents.read(S3Documents.UploadList.self, bytes) else { return }
      require((list.Upload ?? []).count <= bytes.count, "uploads out of nothing")
    case 2: _ = S3Documents.read(S3Documents.NewUpload.self, bytes)
    default:
      guard let error = S3ErrorBody(bytes) else { return }
      require(error.code.utf8.count <= bytes.count * 4, "a code out of nothing")
    }
  }

  /// A line that is taken is, byte for byte, the one that would be written.
  @Sendable private static func manifest(_ input: UnsafeRawBufferPointer) {
    let line = Array(input) + [10]
    guard let (entry, hash) = ManifestEntry.parse(line) else { return }
    require(Array(entry.line.utf8) + [10] == line && entry.hash == hash, "another line")
    _ = entry.hasOwnID
  }

  private static let now = Timestamp(nanoseconds: 1_700_000_000_000_000_000)

  @Sendable private static func dates(_ input: UnsafeRawBufferPointer) {
    let text = String(decoding: input, as: UTF8.self)
    if let wait = RetryAfter.parse(text, now: now) {
      require(wait >= .zero && wait <= .seconds(365 * 86_400), "a wait without bound")
    }
    if let time = CivilTime(internetDate: text) {
      let seconds = time.secondsSince1970
      require(abs(seconds) < 400_000_000_000, "a time out of all years")
      guard abs(seconds) < 9_000_000_000 else { return }
      let again = CivilTime(Timestamp(nanoseconds: Int64(seconds) * 1_000_000_000))
      require(again.secondsSince1970 == seconds, "another time")
    }
  }

  @Sendable private static func credentials(_ input: UnsafeRawBufferPointer) {
    let bytes = Array(input)
    if let found = try? CredentialDocument.read(bytes, source: "x") {
      require(found.credentials.problem == nil, "credentials with a problem")
    }
    let file = SharedFile(String(decoding: bytes, as: UTF8.self))
    for (_, values) in file.sections {
      for (name, value) in values {
        require(!name.contains("\n") && value.utf8.count <= bytes.count * 3, "a value of several lines")
      }
    }
  }

  @Sendable private static func addresses(_ input: UnsafeRawBufferPointer) {
    let text = String(decoding: input, as: UTF8.self)
    _ = IPNetwork(text)
    if let address = IPAddress(text) {
      require(IPAddress(address.description) == address, "another address")
      _ = AddressPolicy().objection(to: address)
    }
    if let url = try? DestinationURL(text) {
      // An empty query is not written.
      require((try? DestinationURL(url.string()))?.string() == url.string(), "another destination")
      _ = url.parameters
    }
    if let template = try? ObjectKeyTemplate(text) { _ = template.prefix(cursor: "c") }
  }

  @Sendable private static func plans(_ input: UnsafeRawBufferPointer) {
    let bytes = Array(input)
    _ = try? WebhookPlan(parsing: bytes)
    _ = try? ExportPlan(parsing: bytes)
  }
}
