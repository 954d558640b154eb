import PenstockToolSupport

/// Unsupported input, detected by its first bytes.
enum InputKind: CaseIterable {
  case gzip, zstd, bzip2, xz, zip, utf16, marked

  /// The number of bytes that detection needs.
  static let leastBytes = 6

  /// Nil for everything else.
  init?(_ first: [UInt8]) {
    guard let kind = Self.allCases.first(where: { kind in kind.marks.contains { first.starts(with: $0) } }) else {
      return nil
    }
    self = kind
  }

  private var marks: [[UInt8]] {
    switch self {
    case .gzip: [[0x1F, 0x8B]]
    case .zstd: [[0x28, 0xB5, 0x2F, 0xFD]]
    case .bzip2: [Array("BZh".utf8)]
    case .xz: [[0xFD] + Array("7zXZ".utf8) + [0]]
    case .zip: [Array("PK".utf8) + [3, 4]]
    case .utf16: [[0xFF, 0xFE], [0xFE, 0xFF]]
    case .marked: [[0xEF, 0xBB, 0xBF]]
    }
  }

  private var words: String {
    switch self {
    case .gzip: "is compressed with gzip"
    case .zstd: "is compressed with zstd"
    case .bzip2: "is compressed with bzip2"
    case .xz: "is compressed with xz"
    case .zip: "is a zip archive"
    case .utf16: "is UTF-16 text"
    case .marked: "begins with a byte order mark"
    }
  }

  /// The shell command that converts a file, or standard input (`-`), to UTF-8 text.
  private func command(_ file: String) -> String {
    switch self {
    case .gzip: "gzip -dc \(file)"
    case .zstd: "zstd -dc \(file)"
    case .bzip2: "bzip2 -dc \(file)"
    case .xz: "xz -dc \(file)"
    case .zip: "unzip -p \(file)"
    case .utf16: "iconv -f UTF-16 -t UTF-8 \(file)"
    case .marked: "tail -c +4 \(file)"
    }
  }

  func failure(_ name: String, isFile: Bool) -> Failure {
    let isCompressed = self != .utf16 && self != .marked
    return Failure(
      .bad, isCompressed ? "compressed_input" : "encoded_input", "\(name) \(words)",
      advice: isFile
        ? "convert it first: \(command(name)) | penstock append --log DIR -"
        : "put `\(command("-"))` before penstock in the pipe")
  }
}
