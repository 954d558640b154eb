import Foundation
import Synchronization

/// A child process that runs this program, in the same process group.
final class ChildProcess: Sendable {
  /// How a child ended.
  enum Ending: Equatable {
    case exited(Int32)
    case killed(Int32)
  }

  let name: String
  let pid: pid_t
  private let ending = Mutex<Ending?>(nil)
  private static let alive = Mutex<Set<pid_t>>([])

  /// - Parameters:
  ///   - input: The child's standard input; nil is /dev/null.
  ///   - output: The child's standard output; nil is /dev/null.
  ///   - errors: The file to which the child's standard error is appended.
  init(
    _ arguments: [String], input: Int32? = nil, output: Int32? = nil, errors: String, environment: [String: String]
  ) throws(Failure) {
    name = arguments[0]
    guard let program = Bundle.main.executablePath else {
      throw Failure(.cannot, "spawn", "the path of this program is unknown")
    }
    #if canImport(Darwin)
      var actions: posix_spawn_file_actions_t?
    #else
      var actions = posix_spawn_file_actions_t()
    #endif
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if let input {
      posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
    } else {
      posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    }
    if let output {
      posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
    } else {
      posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
    }
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, errors, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    let all = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    var arguments: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
    var variables: [UnsafeMutablePointer<CChar>?] = all.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for pointer in arguments + variables { free(pointer) } }
    var pid: pid_t = 0
    let result = Self.alive.withLock { alive in
      let result = posix_spawn(&pid, program, &actions, nil, &arguments, &variables)
      if result == 0 { alive.insert(pid) }
      return result
    }
    guard result == 0 else {
      throw Failure(.cannot, "spawn", "could not start penstock \(name): \(String(cString: strerror(result)))")
    }
    self.pid = pid
  }

  /// Waits until the child ends. Blocks; a second call returns the same result.
  func wait() -> Ending {
    ending.withLock { ending in
      if let ending { return ending }
      // Wait first, reap under the lock: until it is reaped, the system does not reuse its process id.
      var info = siginfo_t()
      while waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) < 0, errno == EINTR {}
      let status: Int32 = Self.alive.withLock { alive in
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        alive.remove(pid)
        return status
      }
      // Swift does not import the macros WIFEXITED and WTERMSIG.
      let found: Ending = status & 0x7F == 0 ? .exited((status >> 8) & 0xFF) : .killed(status & 0x7F)
      ending = found
      return found
    }
  }

  /// Whether the child still runs. Does not block.
  var isRunning: Bool {
    Self.alive.withLock { alive in
      guard alive.contains(pid) else { return false }
      var info = siginfo_t()
      return waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_signo != SIGCHLD
    }
  }

  func send(_ signal: Int32) {
    // Under the lock, so that the process id cannot be reused in between.
    Self.alive.withLock { alive in
      if alive.contains(pid) { kill(pid, signal) }
    }
  }

  /// Kills every child that this process has not reaped.
  static func endAll() {
    alive.withLock { alive in
      for pid in alive { kill(pid, SIGKILL) }
    }
  }
}

/// A pipe that children inherit only when it is passed to them.
struct Pipe {
  let reading: Int32
  let writing: Int32

  init() throws(Failure) {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else {
      throw Failure(.cannot, "spawn", "could not create a pipe: \(String(cString: strerror(errno)))")
    }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    (reading, writing) = (ends[0], ends[1])
  }

  /// Reads lines on a separate thread until the other end closes. Calls `line` with each, without its line feed.
  func forEachLine(_ line: @escaping @Sendable (Data) -> Void) {
    let reading = reading
    Thread {
      var pending = Data()
      var buffer = [UInt8](repeating: 0, count: 64 << 10)
      while true {
        let count = read(reading, &buffer, buffer.count)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { break }
        pending.append(contentsOf: buffer[..<count])
        while let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
          line(Data(pending[..<end]))
          pending = Data(pending[(end + 1)...])
        }
      }
      close(reading)
    }.start()
  }
}
