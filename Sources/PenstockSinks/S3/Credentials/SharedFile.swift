/// A file in the form of `~/.aws/credentials`: sections in brackets, `name = value`, comments behind `#` or `;`.
///
/// Lines are read as AWS tools read them. A line that stands further in than the setting before it belongs to that
/// setting and is none of its own; settings that all stand equally far in are settings. A byte order mark in front is
/// passed over.
struct SharedFile {
  private(set) var sections: [String: [String: String]] = [:]
  /// Whether a setting stands before the first section, where no tool looks for it.
  private(set) var hasStraySettings = false

  init(_ text: String) {
    var section: String?
    // How far in the newest setting of the section stands; nil before the first.
    var depth: Int?
    let text = text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text
    for line in text.split(whereSeparator: \.isNewline) {
      let indent = line.prefix { $0 == " " || $0 == "\t" }.count
      let line = String(line).trimmingBlanks()
      guard !line.isEmpty, !line.hasPrefix("#"), !line.hasPrefix(";") else { continue }
      if let depth, indent > depth { continue }
      if line.hasPrefix("["), let end = line.firstIndex(of: "]") {
        let name = Self.name(line[line.index(after: line.startIndex)..<end])
        (section, depth) = (name, nil)
        sections[name, default: [:]] = sections[name] ?? [:]
      } else if let equals = line.firstIndex(of: "=") {
        depth = indent
        guard let section else {
          hasStraySettings = true
          continue
        }
        let name = String(line[..<equals]).trimmingBlanks().lowercased()
        var value = String(line[line.index(after: equals)...]).trimmingBlanks()
        if let comment = value.range(ofComment: " #") ?? value.range(ofComment: " ;") {
          value = String(value[..<comment]).trimmingBlanks()
        }
        sections[section]?[name] = value
      }
    }
  }

  /// The settings of a profile in the configuration file, where sections are called `profile NAME`; `default` may be
  /// called so too, and that one counts first.
  func profile(_ name: String) -> [String: String]? {
    sections["profile \(name)"] ?? (name == "default" ? sections[name] : nil)
  }

  /// Words with one blank between them, without quotation marks around the last.
  private static func name(_ text: Substring) -> String {
    let name = text.split { $0 == " " || $0 == "\t" }.joined(separator: " ")
    let (prefix, rest) = name.hasPrefix("profile ") ? ("profile ", name.dropFirst("profile ".count)) : ("", name[...])
    for mark in ["\"", "'"] where rest.count > 2 && rest.hasPrefix(mark) && rest.hasSuffix(mark) {
      return prefix + rest.dropFirst().dropLast()
    }
    return name
  }
}

extension String {
  fileprivate func range(ofComment mark: String) -> Index? {
    indices.first { self[$0...].hasPrefix(mark) }
  }
}
