import PenstockLog

/// What is kept of an accumulating batch, so that it need not be read from the log again when it is closed.
struct Gathered {
  /// So many bytes are kept in any case. A larger batch needs a share of ``KeptBytes``, or is read again. So many
  /// destinations whose batches fill slowly need little memory.
  static let mostBytes = 256 << 10
  /// No batch keeps more.
  static let mostBytesOfShare = 4 << 20

  /// The whole batch, where one read returned all of it.
  var whole: Batch?
  /// The selected events; nil when they became too many.
  private(set) var events: SelectedRecords? = SelectedRecords()
  /// Records of the range without a readable event time, if the selection has a window.
  var untimed = 0
  private var share: KeptBytes.Share?

  mutating func keep(_ bytes: [UInt8], of record: RecordView, _ kept: KeptBytes?) {
    events?.append(offset: record.offset, appendTime: record.appendTime) { $0 += bytes }
    guard let count = events?.byteCount, count > Self.mostBytes, count > share?.bytes ?? 0 else { return }
    if share == nil { share = kept?.share() }
    if count > Self.mostBytesOfShare || share?.grow(to: 2 * count) != true { dropEvents() }
  }

  mutating func dropEvents() { (events, share) = (nil, nil) }
}
