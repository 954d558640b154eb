extension Committer {
  /// The body of a thread that compresses ahead of the committer.
  func encode() {
    var encoder: BlockEncoder?
    while let (group, block) = takeGroup() {
      let result: Result<EncodedBlock, LogError>
      do throws(LogError) {
        if encoder == nil { encoder = try BlockEncoder(level: configuration.compressionLevel) }
        try encoder?.compress(group.batches, into: block)
        result = .success(block)
      } catch {
        result = .failure(error)
      }
      change { state in
        if !state.queue.encoded(group.number, result) { state.release(block, configuration) }
      }
    }
  }

  /// Sleeps until there is something to compress; nil when nothing more will come.
  private func takeGroup() -> (Queue.Group, EncodedBlock)? {
    var isIdle = false
    let taken: (Queue.Group, EncodedBlock)?? = monitor.wait(on: Channel.encoders) { state in
      let next = state.queue.encode()
      if case .wait = next {
        if !isIdle { state.idleEncoders += 1 }
        isIdle = true
        return nil
      }
      if isIdle { state.idleEncoders -= 1 }
      if case .compress(let group) = next { return .some((group, state.free.popLast() ?? EncodedBlock())) }
      return .some(nil)
    }
    // There may be another whole block, and an encoder for it.
    if taken != nil { change { _ in } }
    return taken ?? nil
  }
}

extension Committer.State {
  /// Keeps a block for its next use, unless one large batch made it much larger than others need.
  mutating func release(_ block: EncodedBlock, _ configuration: LogConfiguration) {
    if block.capacity <= 4 * configuration.blockBytes { free.append(block) }
  }
}
