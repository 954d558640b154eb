import Logging

/// The request that asked for what goes on, also where that goes on behind its answer: a replay, a redelivery.
enum RequestID {
  @TaskLocal static var current: String?
}

extension Logger {
  /// With the id of the request in every line, if there is one.
  var ofRequest: Logger {
    guard let id = RequestID.current else { return self }
    var logger = self
    logger[metadataKey: "requestId"] = "\(id)"
    return logger
  }
}
