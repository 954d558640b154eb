import PenstockLog

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// What the file system says of a log's directory.
struct StorageState: Sendable, Hashable {
  var isMissing = false
  var isReadOnly = false
  /// Bytes that a process without special rights may still take; nil where that cannot be told.
  var freeBytes: UInt64?

  /// Looks, with one system call.
  static func of(_ path: String) -> StorageState {
    var found = statvfs()
    guard statvfs(path, &found) == 0 else { return StorageState(isMissing: errno == ENOENT || errno == ENOTDIR) }
    return StorageState(
      isReadOnly: UInt(found.f_flag) & UInt(ST_RDONLY) != 0,
      freeBytes: bytes(of: UInt64(found.f_bavail), each: UInt64(found.f_frsize)))
  }

  /// The most that a number holds where it is more: a file system may claim any number of blocks.
  static func bytes(of blocks: UInt64, each size: UInt64) -> UInt64 {
    let (bytes, isTooMany) = blocks.multipliedReportingOverflow(by: size)
    return isTooMany ? .max : bytes
  }
}

/// Whether appends find room, by what became of the newest ones. A pure value; time is handed in.
///
/// An append that found none makes the disk full. The next one that succeeds ends that, and so does room for a whole
/// segment: a service that is not ready is sent no appends that could show it. But not for ``settling`` after a
/// failure, because room may be there that this process may not take, under a quota.
struct RoomTally: Sendable, Hashable {
  /// 5 seconds.
  static let settling: Int64 = 5_000_000_000

  /// By a clock that never jumps, in nanoseconds; nil while appends find room.
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
  ///   - freeBytes: of the file system; nil where that cannot be told.
  ///   - needed: what the next segment takes.
  func isFull(freeBytes: UInt64?, needed: UInt64, at now: Int64) -> Bool {
    guard let newestFailure else { return false }
    if now - newestFailure < Self.settling { return true }
    return freeBytes.map { $0 < needed } ?? true
  }
}

extension AdminAPI {
  var isReady: Bool { whyNotReady == nil }

  /// Nil as long as events are taken, and their idempotency keys kept, and somebody is let in.
  var whyNotReady: String? {
    if ingest.isEnded { return "the service is being shut down" }
    if metrics.hasLogFailed { return "the log takes nothing since a failed write" }
    let storage = storage(facts.path)
    if storage.isMissing { return "the log's directory is gone" }
    if storage.isReadOnly { return "the log's file system is read-only" }
    if metrics.isFull(freeBytes: storage.freeBytes, needed: UInt64(facts.log.segmentBytes)) {
      return "the log's disk is full"
    }
    if let trouble = ingest.keyTrouble { return "idempotency keys cannot be kept: \(trouble.code)" }
    return damage().contains { $0.part == .accessKeys } ? "the file of keys cannot be read" : nil
  }
}
