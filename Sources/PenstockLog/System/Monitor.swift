internal import CPenstock

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// A value with a lock and a condition: threads wait until another has changed it.
///
/// For the log's own threads, which may block. A task waits here only for what another thread is computing at that moment.
///
/// `@unchecked Sendable`: `value` is touched only while `mutex` is held.
package final class Monitor<Value: ~Copyable>: @unchecked Sendable {
  private var value: Value
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>

  package init(_ value: consuming sending Value) {
    self.value = value
    mutex = .allocate(capacity: 1)
    condition = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(condition, nil)
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
    condition.deallocate()
  }

  /// Reads or changes the value.
  package func withLock<Result, Failure: Error>(
    _ body: (inout Value) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body(&value)
  }

  /// Wakes the waiting thread.
  package func signal() { pthread_cond_signal(condition) }

  /// Wakes all that wait.
  package func signalAll() { pthread_cond_broadcast(condition) }

  /// Calls `body` until it returns something, sleeping in between until ``signal()``.
  package func wait<Result>(until body: (inout Value) -> Result?) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while true {
      if let result = body(&value) { return result }
      pthread_cond_wait(condition, mutex)
    }
  }
}

/// Threads that the log owns, because they block in writes and syncs and must not hold up anybody's tasks.
package enum LogThread {
  /// Runs `body` on a new thread of its own, which ends with it.
  package static func start(name: String, _ body: @escaping @Sendable () -> Void) {
    let box = Unmanaged.passRetained(Job(name, body))
    #if canImport(Darwin)
      var thread: pthread_t?
    #else
      var thread = pthread_t()
    #endif
    let result = pthread_create(&thread, nil, run, box.toOpaque())
    precondition(result == 0, "no thread could be started (error \(result))")
    #if canImport(Darwin)
      if let thread { pthread_detach(thread) }
    #else
      pthread_detach(thread)
    #endif
  }

  /// From here on the calling thread runs only where others leave the processor free.
  package static func yieldToOthers() { penstock_background_thread() }

  fileprivate final class Job {
    let name: String
    let body: @Sendable () -> Void
    init(_ name: String, _ body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
  }
}

#if canImport(Darwin)
  private func run(_ argument: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    let job = Unmanaged<LogThread.Job>.fromOpaque(argument).takeRetainedValue()
    penstock_name_thread(job.name)
    job.body()
    return nil
  }
#else
  private func run(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    let job = Unmanaged<LogThread.Job>.fromOpaque(argument).takeRetainedValue()
    penstock_name_thread(job.name)
    job.body()
    return nil
  }
#endif
