internal import CPenstock
import Foundation

/// How this process keeps the memory it frees.
package enum Malloc {
  /// Two rules, each unless the environment already has one.
  ///
  /// - One arena for each core. glibc makes up to eight for each, and what a thread frees stays in its own: buffers of up to
  ///   32 MiB lie in several of them at once. Measured with two cores and 10 GiB of appends: 77 MiB without, 54 with, and the
  ///   same speed.
  /// - What has 256 KiB or more comes from the system and goes back to it. glibc would raise that limit to the size of what was
  ///   freed last, and batches and blocks of changing sizes then leave holes in the heap: 67 MiB and rising without, 55 and
  ///   flat with, and the same speed.
  package static func configure() {
    let environment = ProcessInfo.processInfo.environment
    if environment["MALLOC_ARENA_MAX"] == nil {
      penstock_limit_arenas(Int32(clamping: max(2, ProcessInfo.processInfo.activeProcessorCount)))
    }
    if environment["MALLOC_MMAP_THRESHOLD_"] == nil { penstock_map_allocations(256 << 10) }
  }
}
