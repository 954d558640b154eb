import PenstockDelivery
public import PenstockLog

extension CrashSimulation {
  /// What your consumer changes outside of the log, a database or a mailbox: it survives the crashes. Put it where your
  /// consumer has the real one.
  ///
  /// Every call is two places to crash at: before it has an effect and after. A call of a dead process does not return
  /// until its task is cancelled, and then throws.
  public final class Ledger: Sendable {
    struct Contents: Sendable {
      var position: Offset?
    }

    private let contents: AsyncCondition<Contents>
    private let processRun: ProcessRun

    init(_ contents: AsyncCondition<Contents>, _ processRun: ProcessRun) {
      self.contents = contents
      self.processRun = processRun
    }

    /// An effect for a record that happens as often as it is called: a mail, a counter. Once for each record, or it is
    /// found.
    public func perform(_ offset: Offset) async throws {
      try await processRun.effect("does its work for record \(offset)") { [processRun] in
        processRun.note(.processed(consumer: CrashScenario.consumer, offset, key: nil))
      }
    }

    /// ``perform(_:)-(Offset)`` for each record of the batch, one after the other.
    public func perform(_ batch: Batch) async throws {
      for number in 0..<batch.count { try await perform(batch.first + number) }
    }

    /// An effect under a key, as an upsert or a request with an idempotency key: the same again changes nothing. A key
    /// is one record's, and a record has one key, or it is found.
    public func put(_ offset: Offset, key: String) async throws {
      try await processRun.effect("puts record \(offset) under \(key)") { [processRun] in
        processRun.note(.processed(consumer: CrashScenario.consumer, offset, key: key))
      }
    }

    /// Stores all records of the batch and the ``position`` after them, in one transaction.
    public func store(_ batch: Batch) async throws {
      let words = "stores records \(batch.first) ..< \(batch.end) and the position"
      try await processRun.effect(words) { [processRun, contents] in
        for number in 0..<batch.count {
          processRun.note(.processed(consumer: CrashScenario.consumer, batch.first + number, key: nil))
        }
        contents.update { $0.position = batch.end }
      }
      processRun.look()
    }

    /// One past the last record that ``store(_:)`` has stored; nil when it has stored none.
    public var position: Offset? { contents.value.position }
  }
}
