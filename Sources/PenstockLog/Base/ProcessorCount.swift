#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

enum ProcessorCount {
  /// How many processors the system has online, at least 1.
  static let online = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
}
