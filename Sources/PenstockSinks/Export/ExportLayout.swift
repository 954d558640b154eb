import PenstockDelivery
public import PenstockEvents
import PenstockLog

/// The names and the content of exported objects, for buckets and directories.
///
/// An object has one JSON object per row, and a line feed after each row. A delivery in flight keeps the layout it was
/// planned with; changes apply from the next object on.
public struct ExportLayout: Sendable {
  /// Default: `exports/usages-{yyyy}-{MM}-{dd}T{HH}-{first}-{last}.json`.
  ///
  /// The fields are `{yyyy} {MM} {dd} {HH} {mm}` (UTC time of the plan), `{first} {last}` (the offsets, 20 digits) and
  /// `{cursor}`. `{first}` and `{last}` are required. Compressed objects get the suffix `.gz` or `.zst`. Two
  /// destinations in the same bucket or directory need different names, for example with `{cursor}`.
  public var keyTemplate = ObjectKeyTemplate.standard
  /// How the objects are compressed. Default: not.
  public var compression: ExportCompression = .none
  /// The fields of each event to write. Default: all.
  public var fields: FieldSelection = .all
  /// Selects the events to write. Limits count them alone. With a manifest, a range without a selected event gets an
  /// entry without rows and writes no object.
  public var filter: EventFilter = .all
  /// The id of this sink's replay. `replays/<id>/` follows the first folder of the key, so the default names start with
  /// `exports/replays/<id>/usages`.
  public var replay: String?
  /// Whether to write a manifest entry for each batch, in the folder `_penstock` next to the objects.
  /// ``ExportVerifier`` checks the export against it, and ``ManifestReader`` recreates a lost cursor from it. Costs one
  /// small object per batch.
  public var manifest = true

  /// The default names, without compression, with a manifest.
  public init() {}

  /// The default names with a different prefix than `exports/usages`.
  public init(prefix: String) { keyTemplate = prefix + "-{yyyy}-{MM}-{dd}T{HH}-{first}-{last}.json" }

  /// Whether a plan with this layout may copy compressed frames of the log; see ``ExportPlan``.
  var acceptsCompressedFrames: Bool {
    ExportPlan(key: "", compression: compression, selection: selection).acceptsCompressedFrames
  }

  func validate() throws(SinkError) {
    try compression.validate()
    try ReplayMark.validate(replay)
    // Try the longest possible plan: a filter that does not fit must fail now, not with the first batch.
    let longest = BatchMetadata(
      logID: "", cursor: String(repeating: "c", count: 64), first: .zero, end: Offset(.max), byteCount: 0,
      firstAppendTime: Timestamp(nanoseconds: 0), plannedAt: Timestamp(nanoseconds: 0), closedBy: .records,
      events: replay == nil ? nil : .longest)
    _ = try plan(longest).encoded()
  }

  /// The template, with the replay's folder after the first one.
  private var replayTemplate: String {
    guard let replay else { return keyTemplate }
    var template = keyTemplate
    let folder = template.firstIndex(of: "/").map { template.index(after: $0) } ?? template.startIndex
    template.insert(contentsOf: "replays/\(replay)/", at: folder)
    return template
  }

  var selection: EventSelection { selection(nil) }

  private func selection(_ window: EventWindow?) -> EventSelection {
    EventSelection(filter: filter, fields: fields, window: window)
  }

  func plan(_ outline: BatchMetadata) throws(SinkError) -> ExportPlan {
    let template = try ObjectKeyTemplate(replayTemplate)
    var plan = ExportPlan(
      key: try template.key(for: outline, suffix: compression.suffix), compression: compression,
      selection: selection(outline.events), closedBy: outline.closedBy,
      manifest: manifest ? Manifest.folder(template, logID: outline.logID, cursor: outline.cursor) : nil)
    // SHA-256 would need the rows of every block.
    if plan.acceptsCompressedFrames { plan.digest = .crc32c }
    return plan
  }
}

extension ExportPlan {
  /// - Parameter streamingAbove: A body with more uncompressed bytes is not kept in memory. It is rendered twice
  ///   instead: once for its digest, and once while it is sent.
  func prepare(_ batch: Batch, streamingAbove limit: Int = .max) throws(SinkError) -> PreparedBody {
    var untimed = 0
    let batch = try selection.applied(to: batch, untimed: &untimed)
    guard batch.byteCount + batch.count <= limit else { return try ExportStream(batch: batch, plan: self).prepare() }
    if acceptsCompressedFrames, batch.slices.contains(where: { RowIterator.copiedFrame($0) != nil }) {
      return try ExportStream(batch: batch, plan: self).prepareWhole()
    }
    var body = try PreparedBody(rendering: batch, as: .rows, selection, digest: digest)
    if body.eventCount == 0 { return body }
    body.bytes = try compression.compress(body.bytes)
    return body
  }
}
