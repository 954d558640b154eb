import Foundation
import PenstockEvents
import PenstockToolSupport

/// The directory of a demo and the paths in it.
struct DemoFiles {
  let directory: String

  var input: String { directory + "/input.ndjson" }
  var log: String { directory + "/log" }
  var received: String { directory + "/received.ndjson" }
  var ledger: String { directory + "/ledger.ndjson" }
  var configuration: String { directory + "/penstock.yaml" }
  var exports: String { directory + "/exports" }
  var errors: String { directory + "/stderr.txt" }

  /// Creates the directory. A named one must be empty or missing; without a name it is a temporary one.
  init(_ named: String?) throws(Failure) {
    let files = FileManager.default
    let path = named ?? files.temporaryDirectory.path + "/penstock-demo-\(UUID().uuidString.prefix(8))"
    do {
      try files.createDirectory(atPath: path, withIntermediateDirectories: true)
      if let entry = try files.contentsOfDirectory(atPath: path).first {
        throw Failure(
          .cannot, "notEmpty", "\(path) is not empty (\(entry)); name an empty or a new directory with --dir")
      }
    } catch let failure as Failure {
      throw failure
    } catch {
      throw Failure(.cannot, "io", "could not use \(path): \(error.localizedDescription)")
    }
    directory = path
  }

  /// The exported files, sorted by name.
  func exportedFiles() -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: exports)) ?? []
    return names.filter { $0.hasPrefix("usages") }.sorted().map { exports + "/" + $0 }
  }

  func size(of path: String) -> Int {
    let found = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? NSNumber
    return found?.intValue ?? 0
  }

  /// Writes the demo's events, one per line. Returns their number.
  func makeInput(from source: String?, events: Int) throws -> Int {
    let descriptor = open(input, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw Failure(.cannot, "io", "could not create \(input): \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    var buffer: [UInt8] = []
    func drain(_ limit: Int) throws {
      guard buffer.count >= limit else { return }
      var done = 0
      while done < buffer.count {
        let count = buffer.withUnsafeBytes { write(descriptor, $0.baseAddress.map { $0 + done }, $0.count - done) }
        if count < 0, errno == EINTR { continue }
        guard count > 0 else {
          throw Failure(.cannot, "io", "could not write \(input): \(String(cString: strerror(errno)))")
        }
        done += count
      }
      buffer.removeAll(keepingCapacity: true)
    }
    guard let source else {
      let generator = EventGenerator()
      for number in 0..<events {
        generator.append(number, to: &buffer)
        buffer.append(UInt8(ascii: "\n"))
        try drain(1 << 20)
      }
      try drain(1)
      return events
    }
    let file = try InputFile(source)
    var splitter = NDJSONSplitter(maxLineBytes: RecordFeed.recordLimit)
    let validator = EventValidator()
    var isOver = false
    while !isOver {
      let bytes = try file.read()
      isOver = bytes.isEmpty
      var lines: [UInt8] = []
      func take(_ record: UnsafeRawBufferPointer, _ line: NDJSONSplitter.Line) throws(EventError) {
        do throws(EventError) { _ = try validator.validate(record) } catch {
          throw error.inRecord(line.record, startingAt: line.position)
        }
        lines.append(contentsOf: record)
        lines.append(UInt8(ascii: "\n"))
      }
      do throws(EventError) {
        if isOver {
          try splitter.finish(take)
        } else {
          try bytes.withUnsafeBufferPointer { (bytes) throws(EventError) in
            try splitter.feed(UnsafeRawBufferPointer(bytes), take)
          }
        }
      } catch {
        throw Failure(event: error, in: source)
      }
      buffer += lines
      try drain(isOver ? 1 : 1 << 20)
    }
    guard splitter.records > 0 else { throw Failure(.bad, "empty", "no records in \(source)") }
    return splitter.records
  }

  /// Opens the input, positioned at the first byte of record `number`.
  func openInput(atRecord number: Int) throws(Failure) -> Int32 {
    let descriptor = open(input, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Failure(.cannot, "unreadable", "could not open \(input)") }
    var (left, position) = (number, off_t(0))
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    while left > 0 {
      let count = read(descriptor, &buffer, buffer.count)
      guard count > 0 else { throw Failure(.cannot, "unreadable", "\(input) has no record \(number)") }
      for (index, byte) in buffer[..<count].enumerated() where byte == UInt8(ascii: "\n") {
        left -= 1
        if left == 0 {
          position += off_t(index + 1)
          break
        }
      }
      if left > 0 { position += off_t(count) }
    }
    lseek(descriptor, position, SEEK_SET)
    return descriptor
  }
}
