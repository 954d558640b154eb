internal import CPenstock

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// A value with a lock and conditions: a thread waits until another thread has changed it.
///
/// For threads that may block, above all the log's own. A task waits here only for what another thread is computing at
/// that moment. Threads that wait for different things wait on different channels, so that a signal wakes the right
/// one.
///
/// `@unchecked Sendable`: `value` is touched only while `mutex` is held.
package final class Monitor<Value: ~Copyable>: @unchecked Sendable {
  private var value: Value
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let conditions: UnsafeMutablePointer<pthread_cond_t>
  private let channels: Int

  package init(_ value: consuming sending Value, channels: Int = 1) {
    self.value = value
    self.channels = channels
    mutex = .allocate(capacity: 1)
    conditions = .allocate(capacity: channels)
    pthread_mutex_init(mutex, nil)
    for channel in 0..<channels { pthread_cond_init(conditions + channel, nil) }
  }

  deinit {
    for channel in 0..<channels { pthread_cond_destroy(conditions + channel) }
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
    conditions.deallocate()
  }

  /// Reads or changes the value.
  package func withLock<Result, Failure: Error>(
    _ body: (inout Value) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body(&value)
  }

  /// Wakes one thread that waits on the channel. It makes no system call when no thread waits.
  package func signal(_ channel: Int = 0) { pthread_cond_signal(conditions + channel) }

  /// Wakes all threads that wait on the channel.
  package func signalAll(_ channel: Int = 0) { pthread_cond_broadcast(conditions + channel) }

  /// Calls `body` until it returns a value; sleeps in between until ``signal(_:)``. Blocks the calling thread.
  package func wait<Result>(on channel: Int = 0, until body: (inout Value) -> Result?) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while true {
      if let result = body(&value) { return result }
      pthread_cond_wait(conditions + channel, mutex)
    }
  }
}

/// Threads that the log owns, because they block in writes and syncs and must not delay the callers' tasks.
package enum LogThread {
  /// Runs `body` on a new thread, which ends with it.
  package static func start(name: String, _ body: @escaping @Sendable () -> Void) {
    let box = Unmanaged.passRetained(Job(name, body))
    #if canImport(Darwin)
      var thread: pthread_t?
    #else
      var thread = pthread_t()
    #endif
    let result = pthread_create(&thread, nil, run, box.toOpaque())
    precondition(result == 0, "no thread could be started: \(FileSystemError.Code.systemText(result))")
    #if canImport(Darwin)
      if let thread { pthread_detach(thread) }
    #else
      pthread_detach(thread)
    #endif
  }

  /// Busy-waits until `isOver`, for at most so many nanoseconds, and yields the processor to other threads. Returns
  /// whether it was over.
  static func spinWait(atMost nanoseconds: UInt64, until isOver: () -> Bool) -> Bool {
    let clock = SystemMonotonicClock()
    let end = clock.now() + Int64(nanoseconds)
    while !isOver() {
      if clock.now() >= end { return false }
      penstock_linger()
    }
    return true
  }

  /// From here on the calling thread runs only on otherwise idle processors.
  static func yieldToOthers() { penstock_background_thread() }

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
