#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// `Synchronization.Mutex` over a lock that ThreadSanitizer knows. Swift's own is in a library that is not instrumented: whatever it
/// guards looks like a race. A module's own name comes before an imported one, so this file is in every target here.
struct Mutex<Value: ~Copyable>: ~Copyable, @unchecked Sendable {
  private final class Storage {
    var value: Value
    let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

    init(_ value: consuming Value) {
      self.value = value
      pthread_mutex_init(lock, nil)
    }

    deinit {
      pthread_mutex_destroy(lock)
      lock.deallocate()
    }
  }
  private let storage: Storage

  init(_ value: consuming sending Value) { storage = Storage(value) }

  borrowing func withLock<Result: ~Copyable, Failure: Error>(
    _ body: (inout Value) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    pthread_mutex_lock(storage.lock)
    defer { pthread_mutex_unlock(storage.lock) }
    return try body(&storage.value)
  }
}
