public import PenstockDelivery

/// A value that is never shown: an API key, a signing secret, a secret access key.
///
/// It prints as `<secret>` in string interpolation, in `dump` and in the debugger. No error of Penstock's sinks
/// contains a secret.
public struct Secret: Sendable, Hashable {
  private let value: String

  /// Wraps a value. Prefer ``init(environment:)`` or ``init(contentsOfFile:)`` to a literal in source code.
  public init(_ value: String) { self.value = value }

  /// Reads an environment variable. Throws if it is empty or not set.
  public init(environment name: String) throws(SinkError) {
    guard let value = Platform.environment(name), !value.isEmpty else {
      throw SinkError("the environment variable \(name), which must have the secret, is not set")
    }
    self.value = value
  }

  /// Reads a file, without a trailing line feed. Blocks. Throws unless it is UTF-8, not empty, and at most 64 KiB.
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

  /// The value, for a header or a signature; never for a message.
  package var revealed: String { value }

  /// Replaces every occurrence of a secret in `text`, because servers echo requests.
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
