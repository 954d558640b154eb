import Hummingbird

/// Everything that differs between two machines, from the environment.
struct Settings {
  let log: String
  let host: String
  let port: Int
  let webhook: String
  /// Whether the webhook may be in a private network or on this machine.
  let isPrivate: Bool
  let bucket: String
  let region: String
  /// Nil for Amazon's.
  let s3Endpoint: String?
  let archiveSeconds: Int

  init(_ environment: Environment = Environment()) throws {
    log = environment.get("SHOP_LOG") ?? "./events"
    host = environment.get("SHOP_HOST") ?? "127.0.0.1"
    port = environment.get("SHOP_PORT", as: Int.self) ?? 8080
    webhook = try environment.require("SHOP_WEBHOOK_URL")
    isPrivate = environment.get("SHOP_PRIVATE_WEBHOOK", as: Bool.self) ?? false
    bucket = try environment.require("SHOP_BUCKET")
    region = environment.get("AWS_REGION") ?? "us-east-1"
    s3Endpoint = environment.get("SHOP_S3_ENDPOINT")
    archiveSeconds = environment.get("SHOP_ARCHIVE_SECONDS", as: Int.self) ?? 300
  }
}
