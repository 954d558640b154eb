#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The machine's time of day (`CLOCK_REALTIME`): nanoseconds since 1970. It jumps when an operator sets the clock.
public struct SystemWallClock: WallClock {
  /// The machine's clock.
  public init() {}

  /// The machine's time of day; it may jump.
  public func now() -> Timestamp {
    var time = timespec()
    // Fails only for a clock that does not exist or a bad address.
    precondition(clock_gettime(CLOCK_REALTIME, &time) == 0, "the system has no time of day")
    let (scaled, overflow) = Int64(time.tv_sec).multipliedReportingOverflow(by: 1_000_000_000)
    guard !overflow else { return Timestamp(nanoseconds: time.tv_sec < 0 ? .min : .max) }
    let (sum, late) = scaled.addingReportingOverflow(Int64(time.tv_nsec))
    return Timestamp(nanoseconds: late ? .max : sum)
  }
}
