SuiteCommand.run(Array(CommandLine.arguments.dropFirst()))
