public import PenstockLog

extension Log: RecordSource {
  /// The end that readers see: a reader sees only durable records.
  public var durableEnd: Offset { end }
}

extension LogReader: RecordSource {
  public var durableEnd: Offset {
    get async {
      // A refresh that fails changes nothing; the next read reports the reason.
      try? await view.offload(.short) { () throws(LogError) in try self.refresh() }
      return end
    }
  }
}

extension RecordSource where Self: ReadableLog {
  public func records(from first: Offset, maxRecords: Int, maxBytes: Int) async throws(LogError) -> Batch? {
    try await view.fetchBatch(from: first, maxRecords: maxRecords, maxBytes: maxBytes)
  }

  public func records(in range: Range<Offset>) async throws(LogError) -> Batch { try await view.fetchBatch(in: range) }

  public func unopenedRecords(
    from first: Offset, maxRecords: Int, maxBytes: Int
  ) async throws(LogError) -> Batch? {
    try await view.fetchBatch(from: first, maxRecords: maxRecords, maxBytes: maxBytes, unopened: true)
  }

  public func unopenedRecords(in range: Range<Offset>) async throws(LogError) -> Batch {
    try await view.fetchBatch(in: range, unopened: true)
  }

  public func retainCompressedFrames() { view.retainCompressedFrames() }

  public func waitForRecords(past offset: Offset, timeout: Duration?) async -> Bool {
    guard let timeout else { return await view.wait(past: offset) }
    return await view.wait(past: offset, for: timeout)
  }
}

extension Cursor: CursorLease {}
