import PenstockDelivery
import PenstockEvents

/// What an exported object keeps for as long as its delivery is under way: its name and everything that shapes its bytes.
struct ExportPlan: Hashable {
  let key: String
  let compression: ExportCompression
  let selection: FieldSelection
  let filter: EventFilter

  private static let kind = "penstock-export"
  private static let version = 1

  init(key: String, compression: ExportCompression, selection: FieldSelection, filter: EventFilter = .all) {
    self.key = key
    self.compression = compression
    self.selection = selection
    self.filter = filter
  }

  func encoded() throws(SinkError) -> [UInt8] {
    let (name, level) =
      switch compression {
      case .none: ("none", 0)
      case .gzip(let level): ("gzip", level)
      case .zstd(let level): ("zstd", level)
      }
    return try PlanText.encode(
      kind: Self.kind, version: Self.version,
      [("key", key), ("compression", name), ("level", String(level)), ("fields", selection.description)]
        + filter.planEntry)
  }

  init(parsing plan: [UInt8]) throws(SinkError) {
    let text = try PlanText(
      parsing: plan, kind: Self.kind, version: Self.version, keys: ["key", "compression", "level", "fields", "filter"])
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
    selection = try FieldSelection(plan: text.value("fields"))
    filter = try EventFilter(plan: text.optional("filter"))
  }
}
