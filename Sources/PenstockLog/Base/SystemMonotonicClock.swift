#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The machine's monotonic clock.
package struct SystemMonotonicClock: MonotonicClock {
  package init() {}

  package func now() -> Int64 {
    var time = timespec()
    precondition(clock_gettime(CLOCK_MONOTONIC, &time) == 0, "the system has no monotonic clock")
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  package func sleep(nanoseconds: Int64) {
    guard nanoseconds > 0 else { return }
    var time = timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
    // A signal ends it early; callers read the clock again.
    _ = nanosleep(&time, nil)
  }
}
