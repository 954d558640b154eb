public import PenstockDelivery
public import PenstockLog

/// Writes each batch as one object into a bucket of Amazon S3 or a compatible store.
///
/// An object is created once and never overwritten: a second attempt at a delivery finds the first one's object, compares
/// its SHA-256 and length, and is content. Rows appear exactly once as long as the store honours `If-None-Match: *` on
/// PUT and nobody deletes objects while their delivery is under way.
///
/// An object carries `x-amz-meta-penstock-` `sha256` and `length` (of the content before compression), `count` (rows),
/// `first` and `last` (offsets), `log` and `id`. Needed rights: `s3:PutObject`, and `s3:GetObject` for the comparison.
public struct S3Sink: Sink {
  public let configuration: S3Configuration
  private let requests: S3Requests
  private let transport: any HTTPTransport
  private let ownsTransport: Bool
  private let clock: any WallClock

  /// - Parameters:
  ///   - transport: what sends; made and closed by the sink when nil.
  ///   - clock: for signatures and dates in `Retry-After`.
  /// - Throws: `SinkError` for a configuration that cannot work.
  public init(
    _ configuration: S3Configuration, transport: (any HTTPTransport)? = nil,
    clock: any WallClock = SystemWallClock()
  ) throws(SinkError) {
    try configuration.validate()
    self.configuration = configuration
    requests = try S3Requests(configuration)
    self.transport = transport ?? AsyncHTTPTransport()
    ownsTransport = transport == nil
    self.clock = clock
  }

  public var description: String {
    "s3 \(configuration.bucket)" + (configuration.endpoint.map { " at \($0)" } ?? "")
  }

  public func plan(_ outline: BatchOutline) throws(SinkError) -> [UInt8] {
    try configuration.layout.plan(outline).encoded()
  }

  public func prepare(_ batch: Batch, plan: [UInt8]) throws(SinkError) -> PreparedBody {
    try ExportPlan(parsing: plan).prepare(batch)
  }

  public func deliver(_ delivery: PendingDelivery) async -> DeliveryOutcome {
    if delivery.body.eventCount == 0 { return .nothingToSend }
    let plan: ExportPlan
    do throws(SinkError) {
      plan = try ExportPlan(parsing: delivery.intent.plan)
    } catch {
      return .refused(reason: error.description)
    }
    do throws(TransportError) {
      let response = try await transport.send(requests.create(delivery, plan: plan, now: clock.now()))
      let detail = S3Detail(response, credentials: configuration.credentials)
      switch S3Verdict.afterCreate(response, detail: detail, now: clock.now()) {
      case .outcome(let outcome): return outcome
      case .compare: return try await compare(delivery.body, plan)
      }
    } catch {
      return OutcomeClassifier.classify(error)
    }
  }

  public func close() async {
    if ownsTransport { await transport.close() }
  }

  private func compare(_ body: PreparedBody, _ plan: ExportPlan) async throws(TransportError) -> DeliveryOutcome {
    let response = try await transport.send(requests.head(key: plan.key, now: clock.now()))
    return S3Verdict.afterHead(
      response, key: plan.key, body: body, isCompressed: plan.compression != .none, now: clock.now())
  }
}
