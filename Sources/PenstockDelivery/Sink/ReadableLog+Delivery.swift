public import PenstockLog

extension Log: RecordSource {
  /// The end that readers see: a reader sees only durable records.
  public var durableEnd: Offset { end }
}

extension LogReader: RecordSource {
  public var durableEnd: Offset {
    // A refresh that fails changes nothing; the next read reports the reason.
    try? refresh()
    return end
  }
}

extension RecordSource where Self: ReadableLog {
  public func records(from first: Offset, maxRecords: Int, maxBytes: Int) async throws(LogError) -> Batch? {
    try view.batch(from: first, maxRecords: maxRecords, maxBytes: maxBytes)
  }

  public func records(in range: Range<Offset>) async throws(LogError) -> Batch { try view.batch(in: range) }

  public func retainCompressedFrames() { view.retainCompressedFrames() }

  public func waitForRecords(past offset: Offset, timeout: Duration?) async -> Bool {
    guard let timeout else { return await view.wait(past: offset) }
    return await view.wait(past: offset, for: timeout)
  }
}

extension Cursor: CursorLease {}
