/// One decoder under test: called with anything at all, it must not trap, and what it returns must keep its promises.
package struct FuzzTarget: Sendable {
  package let name: String
  package let body: @Sendable (UnsafeRawBufferPointer) -> Void

  package init(name: String, body: @escaping @Sendable (UnsafeRawBufferPointer) -> Void) {
    self.name = name
    self.body = body
  }
}

/// A promise that was broken: libFuzzer stops and keeps the input. A test notes it and goes on.
package func require(_ isKept: Bool, _ promise: @autoclosure () -> String) {
  if !isKept { brokenPromise(promise()) }
}

/// Set once, before the first target is called; targets are called by one thread.
nonisolated(unsafe) package var brokenPromise: (String) -> Void = { fatalError($0) }

extension UnsafeRawBufferPointer {
  /// The bytes from `start` on; none when there are not so many.
  package func from(_ start: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: self[Swift.min(start, count)...])
  }
}

extension [UInt8] {
  /// Writes a number over what stands there.
  package mutating func put(_ value: some FixedWidthInteger, at position: Int) {
    Swift.withUnsafeBytes(of: value.littleEndian) { bytes in
      for (index, byte) in bytes.enumerated() { self[position + index] = byte }
    }
  }
}
