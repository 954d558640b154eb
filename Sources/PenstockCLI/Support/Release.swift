/// Which penstock this is.
enum Release {
  static let number = "0.1.0"
  /// As `penstock --version` prints it.
  static var words: String { "penstock \(number) (\(commit))" }
}

/// What a build knows of itself. `scripts/release` writes, for its own build alone, a file with `extension Release { static let commit = "…" }`; a
/// member of the type is chosen before one of a protocol, so that file needs no change of this one.
protocol ReleaseDefaults {}

extension Release: ReleaseDefaults {}

extension ReleaseDefaults {
  static var commit: String { "development" }
}
