import PenstockDelivery
public import PenstockEvents
import PenstockLog

/// What exported objects are called and how they are written: the same in a bucket and in a directory.
///
/// An object holds one JSON object a row and a line feed after each row. All of this is frozen for a delivery under way;
/// changes apply from the next object on.
public struct ExportLayout: Sendable {
  /// `exports/usages-{yyyy}-{MM}-{dd}T{HH}-{first}-{last}.json` unless set.
  ///
  /// May have `{yyyy} {MM} {dd} {HH} {mm}` (UTC, when the object was planned), `{first} {last}` (the offsets, 20 digits),
  /// both compulsory, and `{cursor}`. `.gz` or `.zst` is added for compressed objects. Two destinations that write to the
  /// same place need names that differ, `{cursor}` for example.
  public var keyTemplate = ObjectKeyTemplate.standard
  public var compression: ExportCompression = .none
  public var fields: FieldSelection = .all
  /// Which events are written at all. A batch of which nothing remains makes no object, and counts as delivered: names then
  /// leave out its range, and the manifest says that it had no rows.
  public var filter: EventFilter = .all
  /// The id of the replay that this sink is for: `replays/<id>/` stands behind the first folder of the key, so that the
  /// standard names begin `exports/replays/<id>/usages`.
  public var replay: String?
  /// Whether each batch is written down in a manifest beside the objects, in the folder `_penstock`: what
  /// ``ExportVerifier`` proves the export with, and what a lost cursor is rebuilt from. Costs one small object for each.
  public var manifest = true

  public init() {}

  /// The standard names with another beginning than `exports/usages`.
  public init(prefix: String) { keyTemplate = prefix + "-{yyyy}-{MM}-{dd}T{HH}-{first}-{last}.json" }

  /// Whether stored frames may be copied: what an ``ExportPlan`` says of it, for batches to come.
  var acceptsCompressedFrames: Bool {
    ExportPlan(key: "", compression: compression, selection: fields, filter: filter).acceptsCompressedFrames
  }

  func validate() throws(SinkError) {
    try compression.validate()
    try ReplayMark.validate(replay)
    // The longest plan there can be, so that a filter that does not fit is refused now and not by a batch.
    let longest = BatchMetadata(
      logID: "", cursor: String(repeating: "c", count: 64), first: .zero, end: Offset(.max), byteCount: 0,
      firstAppendTime: Timestamp(nanoseconds: 0), plannedAt: Timestamp(nanoseconds: 0), closedBy: .records,
      events: replay == nil ? nil : .longest)
    _ = try plan(longest).encoded()
  }

  /// The template, with a replay's folder behind its first one.
  private var placed: String {
    guard let replay else { return keyTemplate }
    var template = keyTemplate
    let folder = template.firstIndex(of: "/").map { template.index(after: $0) } ?? template.startIndex
    template.insert(contentsOf: "replays/\(replay)/", at: folder)
    return template
  }

  func plan(_ outline: BatchMetadata) throws(SinkError) -> ExportPlan {
    let template = try ObjectKeyTemplate(placed)
    return ExportPlan(
      key: try template.key(for: outline, suffix: compression.suffix), compression: compression, selection: fields,
      filter: filter, events: outline.events, closedBy: outline.closedBy,
      manifest: manifest ? Manifest.place(template, logID: outline.logID, cursor: outline.cursor) : nil)
  }
}

extension ExportPlan {
  /// - Parameter streamingAbove: a body of more uncompressed bytes is rendered twice, once for its digest and once while it
  ///   is sent, instead of standing in memory.
  func prepare(_ batch: Batch, streamingAbove limit: Int = .max) throws(SinkError) -> PreparedBody {
    guard batch.byteCount + batch.count <= limit else { return try ExportStream(batch: batch, plan: self).prepare() }
    if acceptsCompressedFrames, batch.slices.contains(where: { RowIterator.copiedFrame($0) != nil }) {
      return try ExportStream(batch: batch, plan: self).prepareWhole()
    }
    var body = try PreparedBody(rendering: batch, as: .rows, selection: selection, filter: filter, events: events)
    if body.eventCount == 0 { return body }
    body.bytes = try compression.compress(body.bytes)
    return body
  }
}
