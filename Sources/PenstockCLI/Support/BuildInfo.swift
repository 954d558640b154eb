/// The version of this build.
enum BuildInfo {
  static let number = "0.1.0"
  /// As `penstock --version` prints it.
  static var words: String { "penstock \(number) (\(commit))" }
}

/// Defaults of a build that is no release.
///
/// `scripts/release` adds a file with `extension BuildInfo { static let commit = "…" }` to its own build. Swift prefers
/// a member of the type to one of a protocol, so this file needs no change.
protocol ReleaseDefaults {}

extension BuildInfo: ReleaseDefaults {}

extension ReleaseDefaults {
  static var commit: String { "development" }
}
