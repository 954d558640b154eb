public import PenstockLog

extension Log: RecordSource {
  public var durableEnd: Offset { end }

  public func records(from first: Offset, maxRecords: Int, maxBytes: Int) async throws(LogError) -> Batch? {
    try view.batch(from: first, maxRecords: maxRecords, maxBytes: maxBytes)
  }

  public func records(in range: Range<Offset>) async throws(LogError) -> Batch { try view.batch(in: range) }

  public func keepFrames() { view.keepFrames() }

  public func waitForRecords(past offset: Offset, timeout: Duration?) async -> Bool {
    guard let timeout else { return await view.wait(past: offset) }
    return await view.wait(past: offset, for: timeout)
  }
}

extension LogReader: RecordSource {
  public var durableEnd: Offset {
    // A look that fails changes nothing; the read that follows will say what is wrong.
    try? refresh()
    return end
  }

  public func records(from first: Offset, maxRecords: Int, maxBytes: Int) async throws(LogError) -> Batch? {
    try view.batch(from: first, maxRecords: maxRecords, maxBytes: maxBytes)
  }

  public func records(in range: Range<Offset>) async throws(LogError) -> Batch { try view.batch(in: range) }

  public func keepFrames() { view.keepFrames() }

  public func waitForRecords(past offset: Offset, timeout: Duration?) async -> Bool {
    guard let timeout else { return await view.wait(past: offset) }
    return await view.wait(past: offset, for: timeout)
  }
}

extension Cursor: CursorLease {}
