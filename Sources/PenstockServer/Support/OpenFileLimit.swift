#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// How many files and connections this process may have open at once (`RLIMIT_NOFILE`).
package enum OpenFileLimit {
  /// What counts at present; nil where that cannot be found out.
  package static var current: Int? { limits.map { number($0.rlim_cur) } }

  /// Raises it as far as a process may by itself. For a program: a library leaves alone what belongs to its process.
  package static func raise() {
    guard var limits, limits.rlim_cur < limits.rlim_max else { return }
    limits.rlim_cur = limits.rlim_max
    // Where that is refused, what counts stays.
    _ = setrlimit(resource, &limits)
  }

  /// How many of the connections that are wanted may be taken, so that something is left for the log, its cursors and
  /// destinations: 256 and 64 for each destination, or half of a low limit, but always what is `needed`.
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
