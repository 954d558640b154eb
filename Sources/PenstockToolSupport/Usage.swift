package import ArgumentParser

/// Messages for unknown commands and options, with a suggestion.
package enum Usage {
  /// The names that other tools use for our commands.
  private static let otherNames = [
    "repair": "recover", "fix": "recover", "check": "verify", "fsck": "verify", "produce": "append",
    "publish": "append", "import": "append", "ingest": "append", "write": "append", "consume": "tail", "read": "tail",
    "cat": "tail", "dump": "export", "info": "status", "stats": "status", "run": "serve", "server": "serve",
    "start": "serve", "send": "deliver", "dlq": "deadletters", "ls": "list", "rm": "delete", "remove": "delete",
    "get": "show", "new": "create", "add": "create", "unpause": "resume",
  ]

  /// The message for an unknown command, also after `help`; nil when the command exists.
  package static func unknownCommand(_ arguments: [String], of root: any ParsableCommand.Type) -> String? {
    let words = arguments.first == "help" ? arguments.dropFirst() : arguments[...]
    let (command, path, rest) = find(words, root)
    let names = command.configuration.subcommands.map { $0._commandName }
    guard !names.isEmpty, let word = rest.first, !word.hasPrefix("-") else { return nil }
    // The parser handles `help` itself.
    if path.count == 1, word == "help" { return nil }
    let near = otherNames[word.lowercased()].flatMap { names.contains($0) ? $0 : nil }
    let meant = near ?? Spelling.nearest(to: word, among: names)
    let group = path.dropFirst().joined(separator: " ")
    let isThere = group.isEmpty ? "there is no command" : "\(path[0]) \(group) has no command"
    let spoken = path.joined(separator: " ")
    return "\(path[0]): \(isThere) \"\(word)\"; "
      + (meant.map { "did you mean \(spoken) \($0)?" } ?? "the commands are \(names.joined(separator: ", "))")
      + "\n  See '\(spoken) --help' for more information."
  }

  /// The message for an unknown option; nil when all options exist.
  package static func unknownOption(_ arguments: [String], of root: any ParsableCommand.Type) -> String? {
    let (found, path, rest) = find(arguments[...], root)
    let command = found.configuration.defaultSubcommand ?? found
    let known = options(of: command, root)
    for argument in rest.prefix(while: { $0 != "--" }) where argument.hasPrefix("--") {
      let name = String(argument.prefix { $0 != "=" })
      guard !known.contains(name) else { continue }
      let spoken = path.joined(separator: " ")
      let meant = Spelling.nearest(to: String(name.dropFirst(2)), among: known.map { String($0.dropFirst(2)) })
      return "\(spoken): there is no option \(name)" + (meant.map { "; did you mean --\($0)?" } ?? "")
        + "\n  See '\(spoken) --help' for more information."
    }
    return nil
  }

  /// The command that the first arguments name, its path, and the remaining arguments.
  private static func find(
    _ arguments: ArraySlice<String>, _ root: any ParsableCommand.Type
  ) -> (command: any ParsableCommand.Type, path: [String], rest: ArraySlice<String>) {
    var (command, path, rest) = (root, [root._commandName], arguments)
    while let word = rest.first,
      let next = command.configuration.subcommands.first(where: { $0._commandName == word })
    {
      command = next
      path.append(word)
      rest = rest.dropFirst()
    }
    return (command, path, rest)
  }

  /// The long option names of a command, taken from its help text.
  private static func options(of command: any ParsableCommand.Type, _ root: any ParsableCommand.Type) -> [String] {
    let help = root.helpMessage(for: command, includeHidden: true, columns: 2000)
    return help.split(separator: "\n").flatMap { line -> [String] in
      guard line.hasPrefix("  -") else { return [] }
      let names = line.split(separator: " ").prefix { $0.hasPrefix("-") }
      return names.flatMap { $0.split(separator: "/") }.map { $0.hasSuffix(",") ? String($0.dropLast()) : String($0) }
        .filter { $0.hasPrefix("--") }
    }
  }
}
