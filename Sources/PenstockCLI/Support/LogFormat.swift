import ArgumentParser
import Logging
import PenstockServer
import PenstockToolSupport

/// The format of a service's log messages on standard error.
enum LogFormat: String, CaseIterable, ExpressibleByArgument {
  case text
  /// One object per line.
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
