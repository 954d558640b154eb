import Hummingbird
import Logging
import PenstockDelivery
import PenstockLog
import PenstockSinks
import ServiceLifecycle

/// A shop. It takes orders over HTTP, and each order becomes an event that a partner's webhook and a bucket get.
@main
struct Backend {
  static func main() async throws {
    let settings = try Settings()
    let logger = Logger(label: "shop")
    let log = try await Log.open(at: settings.log)
    let shop = Application(
      router: Shop(events: log).router,
      configuration: .init(address: .hostname(settings.host, port: settings.port)), logger: logger)
    // A group ends its services from the last to the first. The shop answers what it was asked. The deliveries finish
    // the attempts they are at. The log closes last, when it has no users left.
    let services: [any Service] = [log, try await webhook(log, settings), try await archive(log, settings), shop]
    try await ServiceGroup(
      services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger
    ).run()
  }

  /// The partner: at most 500 events a request, signed, a second after the first of them at the latest.
  static func webhook(_ log: Log, _ settings: Settings) async throws -> Delivery {
    var configuration = WebhookConfiguration(url: settings.webhook)
    configuration.secrets = [try Secret(environment: "SHOP_WEBHOOK_SECRET")]
    configuration.addresses = settings.isPrivate ? .publicAndPrivate : .publicOnly
    // An event that the partner rejects must not hold up the next ones.
    let rejected = DeadLetterLog(in: settings.log + ".deadletters", cursor: "partner")
    return Delivery(
      from: try await log.cursor(named: "partner"), source: log, to: try WebhookSink(configuration),
      policy: BatchPolicy(maxWait: .seconds(1)), deadLetters: rejected)
  }

  /// The bucket: zstd, one object every five minutes or 64 MiB. Credentials are looked for where AWS tools do.
  static func archive(_ log: Log, _ settings: Settings) async throws -> Delivery {
    var configuration = S3Configuration(bucket: settings.bucket, region: settings.region)
    configuration.endpoint = settings.s3Endpoint
    configuration.layout.compression = .zstd()
    return Delivery(
      from: try await log.cursor(named: "archive"), source: log, to: try S3Sink(configuration),
      policy: BatchPolicy(maxRecords: 1_000_000, maxBytes: 64 << 20, maxWait: .seconds(settings.archiveSeconds)))
  }
}
