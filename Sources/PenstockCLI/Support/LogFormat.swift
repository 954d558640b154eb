import ArgumentParser
import Logging
import PenstockServer
import PenstockToolSupport

/// How a service writes its log, on standard error.
enum LogFormat: String, CaseIterable, ExpressibleByArgument {
  case text
  /// One object a line.
  case json

  var logger: Logger {
    var logger = Logger(label: "penstock") { label in
      switch self {
      case .text: StreamLogHandler.standardError(label: label)
      case .json: JSONLogHandler(label: label) { Output.note($0) }
      }
    }
    logger.logLevel = .notice
    return logger
  }
}
