#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A file that is appended to.
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

  /// Returns when the bytes are written and, where asked for, synced. After a failure the file is as long as before.
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

  /// Cuts off what an append that failed has left, so that no later, shorter one shows its end.
  private func undone(_ failure: ReceiverError) -> ReceiverError {
    ftruncate(descriptor, off_t(length))
    return failure
  }

  /// Cuts off what lies beyond `length`.
  func truncate(to length: Int) throws(ReceiverError) {
    guard length <= self.length else {
      throw ReceiverError("\(path) holds \(self.length) bytes; its ledger says \(length)")
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
