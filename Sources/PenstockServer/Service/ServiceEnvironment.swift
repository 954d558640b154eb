public import Logging
public import Tracing

/// What a ``PenstockService`` uses besides its logs and destinations.
public struct ServiceEnvironment: Sendable {
  /// Receives warnings and errors.
  public var logger: Logger
  /// Receives a span for each request. Without a tracer in the process, nothing is traced.
  public var tracer: any Tracer

  /// A logger of its own and the tracer of the process, unless the caller passes others.
  public init(
    logger: Logger = Logger(label: "penstock.service"), tracer: any Tracer = InstrumentationSystem.tracer
  ) {
    self.logger = logger
    self.tracer = tracer
  }
}
