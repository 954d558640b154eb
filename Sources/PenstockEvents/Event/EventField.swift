/// A field of the usage event that Penstock knows; every other field passes through unread.
public enum EventField: String, Sendable, CaseIterable {
  case appID = "app_id"
  case userID = "user_id"
  case anonymousUserID = "anonymous_user_id"
  case event
  case platform
  case type
  /// When the activity occurred, in seconds since 1970-01-01T00:00:00Z.
  case timestamp = "ts"
  case properties
  case traits
  case segments
  case paths
}

/// The values of `type`.
public enum EventType: String, Sendable, CaseIterable {
  /// A page view.
  case page
  /// A click on a button or CSS class.
  case track
  /// An application-specific event, such as a completed transaction.
  case custom
}

extension EventField {
  /// One bit per field, for sets in a register.
  @inline(__always)
  var bit: UInt16 {
    switch self {
    case .appID: 1 << 0
    case .userID: 1 << 1
    case .anonymousUserID: 1 << 2
    case .event: 1 << 3
    case .platform: 1 << 4
    case .type: 1 << 5
    case .timestamp: 1 << 6
    case .properties: 1 << 7
    case .traits: 1 << 8
    case .segments: 1 << 9
    case .paths: 1 << 10
    }
  }

  /// The kind of value the field must have.
  @inline(__always)
  var kind: JSONKind {
    switch self {
    case .appID, .userID, .anonymousUserID, .event, .platform, .type: .string
    case .timestamp: .number
    case .properties, .traits: .object
    case .segments, .paths: .array
    }
  }

  /// The field that a key names after unescaping; nil if none.
  @inline(__always)
  init?(_ key: JSONString, in bytes: UnsafeRawBufferPointer) {
    if key.hasEscapes {
      self.init(escaped: key, in: bytes)
      return
    }
    guard let candidate = Self.candidate(key, in: bytes), key.equals(candidate.literal, in: bytes) else { return nil }
    self = candidate
  }

  /// Keys with escapes are rare, so they are compared with every name.
  @inline(never)
  private init?(escaped key: JSONString, in bytes: UnsafeRawBufferPointer) {
    for field in Self.allCases where key.equals(field.literal, in: bytes) {
      self = field
      return
    }
    return nil
  }

  /// The only field that a key without escapes can be, by its length and first letter.
  @inline(__always)
  private static func candidate(_ key: JSONString, in bytes: UnsafeRawBufferPointer) -> EventField? {
    let start = key.content.lowerBound
    switch key.content.count {
    case 2: return .timestamp
    case 4: return .type
    case 5: return bytes[start] == UInt8(ascii: "e") ? .event : .paths
    case 6: return bytes[start] == UInt8(ascii: "a") ? .appID : .traits
    case 7: return .userID
    case 8: return bytes[start] == UInt8(ascii: "p") ? .platform : .segments
    case 10: return .properties
    case 17: return .anonymousUserID
    default: return nil
    }
  }

  /// The name as bytes in the program's image: with a `String`, the call would cost more than the comparison.
  var literal: StaticString {
    switch self {
    case .appID: "app_id"
    case .userID: "user_id"
    case .anonymousUserID: "anonymous_user_id"
    case .event: "event"
    case .platform: "platform"
    case .type: "type"
    case .timestamp: "ts"
    case .properties: "properties"
    case .traits: "traits"
    case .segments: "segments"
    case .paths: "paths"
    }
  }
}

extension EventType {
  init?(_ value: JSONString, in bytes: UnsafeRawBufferPointer) {
    if value.equals("page", in: bytes) {
      self = .page
    } else if value.equals("track", in: bytes) {
      self = .track
    } else if value.equals("custom", in: bytes) {
      self = .custom
    } else {
      return nil
    }
  }
}
