#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Says something that is not the layer's one line: how far it is, what it found.
func tell(_ line: String) { _ = (line + "\n").withCString { write(STDERR_FILENO, $0, strlen($0)) } }

/// Says why, and ends the program as a wrong call does.
func fail(_ message: String) -> Never {
  tell("penstock lab: \(message)")
  exit(2)
}

enum LaboratoryCommand {
  static func run(_ arguments: [String]) {
    let options = Options(arguments.dropFirst())
    switch arguments.first {
    case "sim": SimulationLayer(options).run()
    case "sweep": SweepLayer(options).run()
    case "small": SmallScopeLayer(options).run()
    case "model": ModelLayer(options).run()
    default:
      fail(
        "sim [seed=N] [seconds=N | worlds=N] [threads=N], or sim seed=N tell=1; sweep [stride=N]; "
          + "small [scope=N] [depth=N] [threads=N]; model [producers=N] [cursors=N] [crashes=N] [takeovers=N]")
    }
  }
}
