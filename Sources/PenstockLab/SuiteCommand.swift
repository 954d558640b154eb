#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Prints progress and findings on standard error. Standard output gets the suite's one line.
func tell(_ line: String) { _ = (line + "\n").withCString { write(STDERR_FILENO, $0, strlen($0)) } }

/// Prints the suite's line, before anything that follows on standard error.
func say(_ line: String) {
  print(line)
  fflush(nil)
}

func finish(isClean: Bool) -> Never { exit(isClean ? 0 : 1) }

/// Prints the reason, and ends the program as wrong use does.
func fail(_ message: String) -> Never {
  tell("penstock lab: \(message)")
  exit(2)
}

enum SuiteCommand {
  static func run(_ arguments: [String]) {
    let options = Options(arguments.dropFirst())
    switch arguments.first {
    case "sim": SimulationSuite(options).run()
    case "sweep": SweepSuite(options).run()
    case "small": SmallScopeSuite(options).run()
    case "model": ModelSuite(options).run()
    default:
      fail(
        "sim [seed=N] [seconds=N | worlds=N | recoveries=N] [routing=1] [threads=N] [progress=FILE], "
          + "or sim seed=N tell=1; sweep [stride=N]; "
          + "small [scope=N] [depth=N] [threads=N]; model [producers=N] [cursors=N] [crashes=N] [takeovers=N]")
    }
  }
}
