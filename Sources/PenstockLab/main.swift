LaboratoryCommand.run(Array(CommandLine.arguments.dropFirst()))
