import PenstockLog

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The file system of a log's directory.
struct StorageState: Sendable, Hashable {
  var isMissing = false
  var isReadOnly = false
  /// Bytes available to a process without special rights; nil when unknown.
  var freeBytes: UInt64?

  /// Reads the state with one system call, which blocks the calling thread.
  static func of(_ path: String) -> StorageState {
    var status = statvfs()
    guard statvfs(path, &status) == 0 else { return StorageState(isMissing: errno == ENOENT || errno == ENOTDIR) }
    return StorageState(
      isReadOnly: UInt(status.f_flag) & UInt(ST_RDONLY) != 0,
      freeBytes: bytes(of: UInt64(status.f_bavail), each: UInt64(status.f_frsize)))
  }

  /// The product, or the largest number when it overflows: a file system may report any number of blocks.
  static func bytes(of blocks: UInt64, each size: UInt64) -> UInt64 {
    let (bytes, isTooMany) = blocks.multipliedReportingOverflow(by: size)
    return isTooMany ? .max : bytes
  }
}

/// Whether the disk is full, judged by the newest appends. A pure value; the caller passes the time.
///
/// A failed append for lack of space makes the disk full. The next successful append ends that. Free space for a whole
/// segment ends it too, because a service that is not ready receives no appends. Free space counts only ``settling``
/// after a failure: under a quota this process may be unable to use it.
struct FullDiskDetector: Sendable, Hashable {
  /// In nanoseconds: 5 seconds.
  static let settling: Int64 = 5_000_000_000

  /// Nanoseconds of a monotonic clock; nil while appends succeed.
  private var newestFailure: Int64?

  mutating func note(_ notice: LogObserverEvent, at now: Int64) {
    switch notice {
    case .parked: newestFailure = now
    case .failed(_, let code) where code == .noSpace: newestFailure = now
    case .committed: newestFailure = nil
    default: break
    }
  }

  /// - Parameters:
  ///   - freeBytes: the free space of the file system; nil when unknown.
  ///   - needed: the size of the next segment, in bytes.
  func isFull(freeBytes: UInt64?, needed: UInt64, at now: Int64) -> Bool {
    guard let newestFailure else { return false }
    if now - newestFailure < Self.settling { return true }
    return freeBytes.map { $0 < needed } ?? true
  }
}

extension AdminAPI {
  var isReady: Bool { whyNotReady == nil }

  /// Why the service is not ready; nil when it accepts events and keys, and stores idempotency keys.
  var whyNotReady: String? {
    if ingest.isEnded { return "the service is being shut down" }
    if metrics.hasLogFailed { return "a write failed; restart the service to recover the log" }
    let storage = storage(configuration.path)
    if storage.isMissing { return "the log's directory is gone" }
    if storage.isReadOnly { return "the log's file system is read-only" }
    if metrics.isFull(freeBytes: storage.freeBytes, needed: UInt64(configuration.log.segmentBytes)) {
      return "the log's disk is full"
    }
    if let trouble = ingest.keyTrouble { return "idempotency keys cannot be stored: \(trouble.code)" }
    return damage().contains { $0.part == .accessKeys } ? "the file of API keys cannot be read" : nil
  }
}
