/// Whether the log rewrites full segments, smaller, in the background.
///
/// A sealed segment holds the same records at the same offsets with the same append times. Its blocks are larger and
/// compressed harder, without padding, and it has an index. The log proves each equal to its original, record by
/// record, before it replaces the original. A crash at any moment loses nothing.
public enum Sealing: Hashable, Sendable {
  /// Segments stay as they were written.
  case off
  /// Segments are sealed, with these settings.
  case settings(SealingSettings)

  /// With the defaults.
  public static let on = Sealing.settings(SealingSettings())
}

/// How segments are sealed.
public struct SealingSettings: Hashable, Sendable {
  /// zstd's level. Default 6; −7 … 19. Blocks of half a MiB at level 6 are about as small as one file of all records at
  /// level 3; blocks of a whole MiB are smaller.
  public var level = 6
  /// The most uncompressed bytes of a block. A block of one append is never split and may be larger. Default 1 MiB; 4
  /// KiB … 16 MiB. Larger blocks compress better and make a single read more expensive.
  public var blockBytes = 1 << 20
  /// The most bytes of segments that sealing reads and writes in a second, as stored. Default 64 MiB; 0 for no limit.
  public var bytesPerSecond = 64 << 20

  /// The defaults.
  public init() {}
}
