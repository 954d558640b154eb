#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// An append-only file.
final class ReceiverFile {
  private let descriptor: Int32
  private let path: String
  private let isSynced: Bool
  private(set) var length: Int

  /// Opens or creates the file.
  init(_ path: String, isSynced: Bool) throws(ReceiverError) {
    self.path = path
    self.isSynced = isSynced
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw Self.failure("opened", path) }
    length = Int(lseek(descriptor, 0, SEEK_END))
  }

  deinit { close(descriptor) }

  /// Appends the bytes, and syncs them if configured. After a failure the file has its former length.
  func append(_ bytes: [UInt8]) throws(ReceiverError) {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { bytes in
        pwrite(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(length + done))
      }
      if count < 0 {
        if errno == EINTR { continue }
        throw undone(Self.failure("written", path))
      }
      done += count
    }
    if isSynced, fsync(descriptor) != 0 { throw undone(Self.failure("synced", path)) }
    length += bytes.count
  }

  /// Cuts off the rest of a failed append, so that it does not appear after a later, shorter one.
  private func undone(_ failure: ReceiverError) -> ReceiverError {
    ftruncate(descriptor, off_t(length))
    return failure
  }

  /// Cuts off everything beyond `length`.
  func truncate(to length: Int) throws(ReceiverError) {
    guard length <= self.length else {
      throw ReceiverError("\(path) has \(self.length) bytes, but its ledger expects \(length)")
    }
    guard ftruncate(descriptor, off_t(length)) == 0 else { throw Self.failure("shortened", path) }
    self.length = length
  }

  func contents() throws(ReceiverError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: length)
    var done = 0
    while done < length {
      let count = bytes.withUnsafeMutableBytes { bytes in
        pread(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(done))
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw Self.failure("read", path) }
      done += count
    }
    return bytes
  }

  private static func failure(_ what: String, _ path: String) -> ReceiverError {
    ReceiverError("\(path) could not be \(what): \(String(cString: strerror(errno)))")
  }
}

/// Seconds since 1970.
func secondsNow() -> Int64 { Int64(time(nil)) }
