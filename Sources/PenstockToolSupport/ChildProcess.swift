package import Foundation
import Synchronization

/// A program of this package, run as a child in the same process group. It is ended by its process id, never by name.
package final class ChildProcess: Sendable {
  /// How a child ended.
  package enum Ending: Equatable {
    case exited(Int32)
    case killed(Int32)
  }

  /// Which program is started.
  package enum Program {
    /// The one that runs.
    case own
    /// The one of this name in the folder of the one that runs.
    case sibling(String)
  }

  package let name: String
  package let pid: pid_t
  private let ending = Mutex<Ending?>(nil)
  private static let alive = Mutex<Set<pid_t>>([])

  /// - Parameters:
  ///   - program: The program to run. The arguments begin with the name of a command.
  ///   - input: The child's standard input; nil is /dev/null.
  ///   - output: The child's standard output; nil is /dev/null.
  ///   - errors: The file to which the child's standard error is appended.
  package init(
    _ arguments: [String], of program: Program = .own, input: Int32? = nil, output: Int32? = nil, errors: String,
    environment: [String: String]
  ) throws(Failure) {
    name = arguments[0]
    let program = try Self.path(of: program)
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
      throw Failure(.cannot, "spawn", "could not start \(program) \(name): \(String(cString: strerror(result)))")
    }
    self.pid = pid
  }

  private static func path(of program: Program) throws(Failure) -> String {
    guard let own = Bundle.main.executableURL else {
      throw Failure(.cannot, "spawn", "this program's own path is not known")
    }
    switch program {
    case .own: return own.path
    case .sibling(let name): return own.deletingLastPathComponent().appending(component: name).path
    }
  }

  /// Waits until the child ends. Blocks; a second call returns the same result.
  package func wait() -> Ending {
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
  package var isRunning: Bool {
    Self.alive.withLock { alive in
      guard alive.contains(pid) else { return false }
      var info = siginfo_t()
      return waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_signo != SIGCHLD
    }
  }

  package func send(_ signal: Int32) {
    // Under the lock, so that the process id cannot be reused in between.
    Self.alive.withLock { alive in
      if alive.contains(pid) { kill(pid, signal) }
    }
  }

  /// Kills every child that this process has not reaped.
  package static func endAll() {
    alive.withLock { alive in
      for pid in alive { kill(pid, SIGKILL) }
    }
  }
}

/// A pipe that children inherit only when it is passed to them.
package struct ChildPipe {
  package let reading: Int32
  package let writing: Int32

  package init() throws(Failure) {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else {
      throw Failure(.cannot, "spawn", "could not create a pipe: \(String(cString: strerror(errno)))")
    }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    (reading, writing) = (ends[0], ends[1])
  }

  /// Reads lines on a separate thread until the other end closes. Calls `line` with each, without its line feed.
  package func forEachLine(_ line: @escaping @Sendable (Data) -> Void) {
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
