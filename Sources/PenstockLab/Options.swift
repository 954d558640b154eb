/// `name=value` arguments, as `make lab-sim SEED=1 DURATION=600` gives them.
struct Options {
  private var values: [String: UInt64] = [:]
  /// The file in which a suite keeps how far it is, so that it can be interrupted.
  private(set) var progress: String?

  init(_ arguments: some Sequence<String>) {
    for argument in arguments {
      let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
      if parts.count == 2, parts[0] == "progress" {
        progress = parts[1]
        continue
      }
      guard parts.count == 2, let value = UInt64(parts[1]) else { fail("\(argument) is not NAME=number") }
      values[parts[0]] = value
    }
  }

  func number(_ name: String) -> UInt64? { values[name] }

  /// Ends the program at an unknown option.
  func allow(_ names: String...) {
    for name in values.keys.sorted() where !names.contains(name) {
      fail("there is no option \(name); there are \(names.joined(separator: ", "))")
    }
  }
}
