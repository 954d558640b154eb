public import PenstockDelivery

/// A value that is used but never shown: an API key, a signing secret, a secret access key.
///
/// It prints as `<secret>`, in string interpolation, in `dump` and in the debugger's summary alike, and no error of
/// Penstock's sinks contains one.
public struct Secret: Sendable, Hashable {
  private let value: String

  /// Takes the secret itself. Prefer ``init(environment:)`` or ``init(contentsOfFile:)`` to a literal in source code.
  public init(_ value: String) { self.value = value }

  /// Takes the value of an environment variable; throws if it is not set or empty.
  public init(environment name: String) throws(SinkError) {
    guard let value = Platform.environment(name), !value.isEmpty else {
      throw SinkError("the environment variable \(name), which should hold a secret, is not set")
    }
    self.value = value
  }

  /// Takes the content of a file without the line feed it may end with; at most 64 KiB of UTF-8, not empty.
  public init(contentsOfFile path: String) throws(SinkError) {
    let bytes: [UInt8]
    do throws(PlatformError) {
      bytes = try Platform.contents(ofFile: path, limit: 65_536)
    } catch {
      throw SinkError("the secret in \(path) cannot be read: \(error)")
    }
    guard var text = String(validating: bytes, as: UTF8.self) else {
      throw SinkError("the secret in \(path) is not UTF-8 text")
    }
    if text.utf8.last == UInt8(ascii: "\n") { text.unicodeScalars.removeLast() }
    if text.utf8.last == UInt8(ascii: "\r") { text.unicodeScalars.removeLast() }
    guard !text.isEmpty else { throw SinkError("the secret in \(path) is empty") }
    value = text
  }

  /// The text itself: for a header or a signature, never for a message.
  package var revealed: String { value }

  /// `text` with every occurrence of a secret replaced: servers echo what they were sent.
  static func redact(_ text: String, _ secrets: [Secret]) -> String {
    var text = text
    for secret in secrets where !secret.value.isEmpty {
      text = text.split(separator: secret.value, omittingEmptySubsequences: false).joined(separator: "<secret>")
    }
    return text
  }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  public var description: String { "<secret>" }
  public var debugDescription: String { "<secret>" }
  public var customMirror: Mirror { Mirror(self, children: []) }
}
