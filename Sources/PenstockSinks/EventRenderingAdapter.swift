package import PenstockDelivery
package import PenstockEvents
package import PenstockLog

/// How the events of a batch are laid out in a body. The raw values are frozen in plans.
package enum BodyForm: String, Sendable {
  /// One JSON array.
  case array
  /// One bare object; the batch has one record.
  case single
  /// One JSON object a row, a line feed after each.
  case rows
}

// The one place where sinks meet the renderers of PenstockEvents.
extension PreparedBody {
  /// Renders a batch, not compressed.
  package init(rendering batch: Batch, as form: BodyForm, selection: FieldSelection) throws(SinkError) {
    switch form {
    case .array: self.init(batch, ArrayRenderer(selection: selection))
    case .rows: self.init(batch, NDJSONRenderer(selection: selection))
    case .single:
      guard batch.count == 1 else {
        throw SinkError("this delivery carries one event, and the batch has \(batch.count)", offset: batch.first)
      }
      self.init(batch, SingleRenderer(selection: selection))
    }
  }

  private init(_ batch: Batch, _ renderer: some EventRenderer) {
    var renderer = renderer
    var bytes: [UInt8] = []
    bytes.reserveCapacity(batch.byteCount + batch.count + 2)
    renderer.begin(&bytes)
    batch.forEachRecord { renderer.append($0.bytes, to: &bytes) }
    renderer.finish(&bytes)
    self.init(
      bytes: bytes, contentDigest: Digest.sha256(bytes), contentLength: bytes.count, eventCount: batch.count)
  }
}

extension FieldSelection {
  /// Reads a selection out of a plan.
  init(plan text: String) throws(SinkError) {
    do throws(ParseError) {
      self = try FieldSelection(parsing: text)
    } catch {
      throw SinkError("the plan of this delivery has fields=\(text): \(error)")
    }
  }
}
