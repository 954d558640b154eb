/// Which penstock this is.
enum BuildInfo {
  static let number = "0.1.0"
  /// As `penstock --version` prints it.
  static var words: String { "penstock \(number) (\(commit))" }
}

/// What a build knows of itself. `scripts/release` writes, for its own build alone, a file with `extension BuildInfo { static let commit = "…" }`; a
/// member of the type is chosen before one of a protocol, so that file needs no change of this one.
protocol ReleaseDefaults {}

extension BuildInfo: ReleaseDefaults {}

extension ReleaseDefaults {
  static var commit: String { "development" }
}
