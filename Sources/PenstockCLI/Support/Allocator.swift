internal import CPenstock
import Foundation

/// How this process keeps the memory it frees.
enum Allocator {
  /// One arena for each core. glibc makes up to eight for each, and what a thread frees stays in its own: buffers of up to 32 MiB
  /// lie in several of them at once. Measured with two cores and 10 GiB of appends: 77 MiB without, 54 with, and the same speed.
  /// Whoever set `MALLOC_ARENA_MAX` decides.
  static func settle() {
    guard ProcessInfo.processInfo.environment["MALLOC_ARENA_MAX"] == nil else { return }
    penstock_limit_arenas(Int32(clamping: max(2, ProcessInfo.processInfo.activeProcessorCount)))
  }
}
