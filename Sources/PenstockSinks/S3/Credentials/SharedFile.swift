/// A file in the format of `~/.aws/credentials`: sections in brackets, `name = value`, comments after `#` or `;`.
///
/// Parses lines as AWS tools do. A line that is indented more than the setting before it continues that setting.
/// Settings with equal indentation are separate settings. A leading byte order mark is ignored.
struct SharedFile {
  private(set) var sections: [String: [String: String]] = [:]
  /// Whether there is a setting before the first section, which all tools ignore.
  private(set) var hasStraySettings = false

  init(_ text: String) {
    var section: String?
    // The indentation of the section's newest setting; nil before the first.
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

  /// The settings of a profile in the configuration file, where sections have the name `profile NAME`. `profile
  /// default` takes precedence over `default`.
  func profile(_ name: String) -> [String: String]? {
    sections["profile \(name)"] ?? (name == "default" ? sections[name] : nil)
  }

  /// Normalises white space, and removes quotation marks around the profile's name.
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
