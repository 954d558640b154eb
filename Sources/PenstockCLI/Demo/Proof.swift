import Foundation
import PenstockLog
import PenstockToolSupport

/// Compares the results of a demo: acknowledged = in the log = received once = exported, same bytes, same order.
struct Proof: Sendable {
  struct Check: Sendable {
    let name: String
    let isTrue: Bool
    let detail: String
  }

  let files: DemoFiles
  let total: Int
  let outcome: DemoRun.Outcome

  /// - Parameter isExportLocal: False when the export is in a bucket, which `DemoSettings.bucketCheck` checks.
  func checks(isExportLocal: Bool) throws -> [Check] {
    var checks = [acknowledgedAreThere(), try logIsInput(), try receivedOnce(), try receivedIsLog()]
    if isExportLocal { checks.append(try exportIsLog()) }
    return checks + [try logIsSound()]
  }

  private func acknowledgedAreThere() -> Check {
    let end = (try? LogInspector(files.log))?.end.rawValue ?? 0
    let records = Int(clamping: end)
    let ranges = outcome.acknowledged
    // Records that the killed process appended but did not acknowledge are between its ranges and the next ones.
    let isInOrder = zip(ranges, ranges.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound }
    let isInside = ranges.allSatisfy { $0.lowerBound >= 0 && $0.upperBound < records }
    let count = ranges.reduce(0) { $0 + $1.count }
    return Check(
      name: "every acknowledged event is in the log, and no other",
      isTrue: isInOrder && isInside && records == total && count > 0,
      detail:
        "\(HumanFormat.count(count)) acknowledged, \(HumanFormat.count(records - count)) in flight at the kill, "
        + "\(HumanFormat.count(records)) in the log")
  }

  private func logIsInput() throws -> Check {
    let pipe = try ChildPipe()
    let tail = try ChildProcess(
      ["tail", "--log", files.log], output: pipe.writing, errors: files.errors, environment: [:])
    close(pipe.writing)
    let found = ByteStream.compare(ByteStream([pipe.reading]), try ByteStream(files: [files.input]))
    let ending = tail.wait()
    return equality("the log is the input, byte for byte, in order", found, isComplete: ending == .exited(0))
  }

  private func receivedOnce() throws -> Check {
    struct Entry: Decodable {
      let id: String
      let range: String?
      let sha256: String
      let status: Int
      let stored: Bool
    }
    let name = "each batch was received once by its id; repeats had the same bytes"
    var seen: [String: String] = [:]
    var (next, repeats) = (0, 0)
    for line in try Data(contentsOf: URL(filePath: files.ledger)).split(separator: UInt8(ascii: "\n")) {
      let entry = try JSONDecoder().decode(Entry.self, from: Data(line))
      if let known = seen[entry.id] {
        repeats += 1
        guard known == entry.sha256, !entry.stored else {
          return Check(
            name: name, isTrue: false, detail: "\(entry.id) was repeated with different bytes, or stored twice")
        }
      } else if entry.stored {
        seen[entry.id] = entry.sha256
        let bounds = (entry.range ?? "").split(separator: "-").compactMap { Int($0) }
        guard bounds.count == 2, bounds[0] == next else {
          return Check(name: name, isTrue: false, detail: "after offset \(next) came \(entry.range ?? "no range")")
        }
        next = bounds[1] + 1
      }
    }
    return Check(
      name: name, isTrue: next == total,
      detail:
        "\(HumanFormat.count(seen.count)) batches, \(HumanFormat.count(repeats)) repeated, offsets 0 to \(next - 1)")
  }

  private func receivedIsLog() throws -> Check {
    let found = ByteStream.compare(try ByteStream(files: [files.received]), try ByteStream(files: [files.input]))
    return equality("what was received is the log, byte for byte, in order", found)
  }

  private func exportIsLog() throws -> Check {
    let exported = files.exportedFiles()
    let found = ByteStream.compare(try ByteStream(files: exported), try ByteStream(files: [files.input]))
    let check = equality("the exported rows are the log, byte for byte, in order of names", found)
    return Check(
      name: check.name, isTrue: check.isTrue,
      detail: check.detail + " in \(HumanFormat.count(exported.count, "file"))")
  }

  private func logIsSound() throws -> Check {
    let findings = try LogInspector(files.log).walk(.contents)
    let problems = findings.flatMap(\.problems)
    let blocks = findings.reduce(0) { $0 + $1.blocks }
    return Check(
      name: "every checksum, chain and count of the log holds", isTrue: problems.isEmpty,
      detail: problems.first?.description ?? "\(HumanFormat.count(blocks, "block"))")
  }

  private func equality(_ name: String, _ found: ByteStream.Comparison, isComplete: Bool = true) -> Check {
    let isTrue = found.isEqual && isComplete && found.rows == total
    return Check(
      name: name, isTrue: isTrue,
      detail: isTrue
        ? "\(HumanFormat.count(found.rows, "row")), \(HumanFormat.bytes(found.bytes))"
        : "equal up to row \(HumanFormat.count(found.rows)) (counted from 0), byte \(HumanFormat.count(found.bytes))")
  }
}
