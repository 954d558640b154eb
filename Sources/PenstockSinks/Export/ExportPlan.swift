import PenstockDelivery
import PenstockEvents
import PenstockLog

/// The plan of an exported object, fixed for its delivery: its name, and everything that its bytes depend on.
struct ExportPlan: Hashable {
  let key: String
  let compression: ExportCompression
  let selection: EventSelection
  /// Why the batch was closed; nil when that is unknown.
  var closedBy: CloseReason?
  /// What identifies the rows. Plans of earlier versions name none, and mean SHA-256.
  var digest = ContentDigest.Kind.sha256
  /// The folder of the manifest, with a trailing slash; nil for no manifest.
  var manifest: String?

  private static let kind = "penstock-export"
  private static let version = 1

  /// Whether the log's own zstd frames may be copied as rows: nothing is selected or filtered, and the level is not
  /// higher than the log's.
  var acceptsCompressedFrames: Bool {
    guard case .zstd(let level) = compression, level <= Self.copiedUpToLevel else { return false }
    return selection.isEverything
  }

  /// Whether blocks that are whole in a batch are not even decompressed.
  var copiesFrames: Bool { acceptsCompressedFrames && digest == .crc32c }

  /// With a higher level, the user wants smaller objects than copied frames give.
  private static let copiedUpToLevel = 3

  func encoded() throws(SinkError) -> [UInt8] {
    let (name, level) =
      switch compression {
      case .none: ("none", 0)
      case .gzip(let level): ("gzip", level)
      case .zstd(let level): ("zstd", level)
      }
    let window = selection.window.map { [$0.planEntry] } ?? []
    return try PlanText.encode(
      kind: Self.kind, version: Self.version,
      [
        ("key", key), ("compression", name), ("level", String(level)), ("fields", selection.fields.description),
        ("closed", closedBy?.rawValue ?? ""), ("manifest", manifest ?? ""),
      ] + (digest == .sha256 ? [] : [("digest", digest.rawValue)]) + selection.filter.planEntry + window)
  }
}

extension ExportPlan {
  init(parsing plan: [UInt8]) throws(SinkError) {
    let text = try PlanText(
      parsing: plan, kind: Self.kind, version: Self.version,
      keys: ["key", "compression", "level", "fields", "filter", EventWindow.planKey, "closed", "manifest", "digest"])
    key = try text.value("key")
    try ObjectKeyTemplate.validate(key: key)
    let level = try text.integer("level")
    let name = try text.value("compression")
    switch name {
    case "none": compression = .none
    case "gzip": compression = .gzip(level: level)
    case "zstd": compression = .zstd(level: level)
    default: throw SinkError("the plan of this delivery has compression=\(name)")
    }
    try compression.validate()
    selection = try EventSelection(plan: text)
    if let reason = text.optional("closed") {
      guard let closedBy = CloseReason(rawValue: reason) else {
        throw SinkError("the plan of this delivery has closed=\(reason)")
      }
      self.closedBy = closedBy
    }
    digest = try ContentDigest.Kind(plan: text)
    manifest = text.optional("manifest")
    if let manifest { try ObjectKeyTemplate.validate(key: manifest + "x") }
  }
}
