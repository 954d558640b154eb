public import PenstockDelivery
public import PenstockLog

/// A place for dead letters in memory, as durable as an ``InMemoryCursor``.
public final class InMemoryDeadLetters: Sendable {
  private struct State: Sendable {
    var letters: [DeadLetter] = []
    var failures: [LogError] = []
  }
  private let state = AsyncCondition(State())

  /// Makes an empty store.
  public init() {}

  /// The letters, in order.
  public var letters: [DeadLetter] { state.value.letters }

  /// Makes the next burials fail, one after another, without effect.
  public func failNext(with errors: LogError...) { state.update { $0.failures += errors } }

  /// As one process has it.
  public func box(crash: CrashSwitch? = nil) -> any DeadLetterStore { Box(deadLetters: self, crash: crash) }

  fileprivate func writeDeadLetter(_ letter: DeadLetter) throws(LogError) -> Offset {
    let result: Result<Offset, LogError> = state.update { state in
      if !state.failures.isEmpty { return .failure(state.failures.removeFirst()) }
      if let last = state.letters.last, last.offset == letter.offset, last.record == letter.record {
        return .success(.zero + (state.letters.count - 1))
      }
      state.letters.append(letter)
      return .success(.zero + (state.letters.count - 1))
    }
    return try result.get()
  }

  private struct Box: DeadLetterStore {
    let deadLetters: InMemoryDeadLetters
    let crash: CrashSwitch?

    func writeDeadLetter(_ letter: DeadLetter) async throws(LogError) -> Offset {
      try await crash.live("before dead letter")
      let number = try deadLetters.writeDeadLetter(letter)
      try await crash.live("after dead letter")
      return number
    }
  }
}
