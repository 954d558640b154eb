#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The number of files and connections this process may have open at once (`RLIMIT_NOFILE`).
package enum OpenFileLimit {
  /// The soft limit; nil when the system does not report one.
  package static var current: Int? { limits.map { number($0.rlim_cur) } }

  /// Raises the soft limit to the hard limit. Call it from a program only: a library must not change its process.
  package static func raise() {
    guard var limits, limits.rlim_cur < limits.rlim_max else { return }
    limits.rlim_cur = limits.rlim_max
    // A refused change leaves the old limit in force.
    _ = setrlimit(resource, &limits)
  }

  /// How many of the `wanted` connections the service may accept, so that the log, its cursors and destinations keep
  /// descriptors.
  ///
  /// The reserve is 256 plus 64 for each destination, or half of a low limit, but never less than `needed`.
  static func connections(wanted: Int, of limit: Int?, destinations: Int, needed: Int = 0) -> Int {
    guard let limit else { return wanted }
    let reserve = max(min(256 + 64 * destinations, limit / 2), needed)
    return max(1, min(wanted, limit - reserve))
  }

  #if canImport(Glibc)
    private static var resource: __rlimit_resource_t { __rlimit_resource_t(RLIMIT_NOFILE.rawValue) }
  #else
    private static var resource: Int32 { RLIMIT_NOFILE }
  #endif

  private static var limits: rlimit? {
    var limits = rlimit()
    return getrlimit(resource, &limits) == 0 ? limits : nil
  }

  private static func number(_ limit: rlim_t) -> Int { Int(clamping: limit) }
}
