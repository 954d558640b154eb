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

  public init() {}

  /// The standard names with another beginning than `exports/usages`.
  public init(prefix: String) { keyTemplate = prefix + "-{yyyy}-{MM}-{dd}T{HH}-{first}-{last}.json" }

  func validate() throws(SinkError) {
    _ = try ObjectKeyTemplate(keyTemplate)
    try compression.validate()
  }

  func plan(_ outline: BatchOutline) throws(SinkError) -> ExportPlan {
    let key = try ObjectKeyTemplate(keyTemplate).key(for: outline, suffix: compression.suffix)
    return ExportPlan(key: key, compression: compression, selection: fields)
  }
}

extension ExportPlan {
  func prepare(_ batch: Batch) throws(SinkError) -> PreparedBody {
    var body = try PreparedBody(rendering: batch, as: .rows, selection: selection)
    body.bytes = try compression.compress(body.bytes)
    return body
  }
}
