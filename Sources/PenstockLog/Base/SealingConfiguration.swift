/// Whether segments that are full are written again, smaller, in the background.
///
/// A sealed segment holds the same records at the same offsets with the same append times, in larger blocks, compressed harder,
/// without padding, and with an index. Each is proven equal to its original, record by record, before it takes its place;
/// a crash at any moment loses nothing.
public enum Sealing: Hashable, Sendable {
  /// Segments stay as they were written.
  case off
  /// Segments are sealed, so.
  case settings(SealingSettings)

  /// With the defaults.
  public static let on = Sealing.settings(SealingSettings())
}

/// How segments are sealed.
public struct SealingSettings: Hashable, Sendable {
  /// zstd's level. Default 6; −7 … 19. Blocks of half a MiB at level 6 take about what one file of all records takes at
  /// level 3; of a whole MiB, less.
  public var level = 6
  /// The most uncompressed bytes of a block, in bytes; blocks of one append are never split and may be larger. Default
  /// 1 MiB; 4 KiB … 16 MiB. Larger compresses better and makes a single read dearer.
  public var blockBytes = 1 << 20
  /// The most bytes of segments read and written for sealing in a second, as they lie on disk. Default 64 MiB; 0 for no
  /// limit.
  public var bytesPerSecond = 64 << 20

  public init() {}
}
