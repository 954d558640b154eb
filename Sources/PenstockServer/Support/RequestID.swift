import Logging

/// The id of the request that started the current task. A replay or a redelivery keeps it after the answer.
enum RequestID {
  @TaskLocal static var current: String?
}

extension Logger {
  /// The same logger, with the request's id in every line when there is one.
  var ofRequest: Logger {
    guard let id = RequestID.current else { return self }
    var logger = self
    logger[metadataKey: "requestId"] = "\(id)"
    return logger
  }
}
