import ArgumentParser
import PenstockLog
import PenstockSupport
import PenstockToolSupport

struct InspectCommand: ReportingCommand {
  static let spokenName = "inspect"
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Shows segments, blocks and raw bytes of a log.",
    discussion: """
      Without options: META and the header of every segment. With --segment: a table of its blocks. With --block \
      (numbered from 0 within the segment): its fields and the bytes before its records. \
      docs/internals/format.md explains the fields.

        penstock inspect --log ./events
        penstock inspect --log ./events --segment 1
        penstock inspect --log ./events --segment 1 --block 0 --json
      """)

  @OptionGroup var logOption: LogOption
  @Option(help: ArgumentHelp("The segment's sequence number.", valueName: "number")) var segment: UInt64?
  @Option(help: ArgumentHelp("The block within the segment, from 0.", valueName: "number")) var block: Int?
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if block != nil, segment == nil { throw ValidationError("--block needs --segment") }
  }

  func perform() async throws {
    let inspector = try LogInspector(logOption.log)
    guard let segment else { return try overview(inspector) }
    guard let index = inspector.segments.firstIndex(where: { $0.sequence == segment }) else {
      let names = inspector.segments.map { String($0.sequence) }
      throw Failure(
        .bad, "outOfRange", "the log has no segment \(segment)",
        advice: names.isEmpty ? "it has no segments" : "it has segments \(names.first ?? "") to \(names.last ?? "")")
    }
    var blocks: [(header: BlockHeader, bytes: [UInt8])] = []
    let wanted = block
    let finding = inspector.inspect(segmentAt: index, wanted == nil ? .headers : .contents, after: nil) {
      header, bytes in
      if wanted == nil || blocks.count == wanted { return blocks.append((header, bytes)) }
      blocks.append((header, []))
    }
    if let wanted {
      guard blocks.indices.contains(wanted) else {
        throw Failure(
          .bad, "outOfRange", "segment \(segment) has \(HumanFormat.count(blocks.count, "block")), numbered from 0")
      }
      detail(blocks[wanted].header, blocks[wanted].bytes)
    } else {
      table(finding, blocks.map(\.header))
    }
    for problem in finding.problems { Output.note("penstock inspect: \(problem)") }
  }

  private func overview(_ inspector: LogInspector) throws {
    let findings = inspector.walk(.headers)
    let producers = try LogSurvey(inspector).producers()
    let meta = inspector.meta
    var rows = [
      ["log", inspector.logID], ["epoch", String(meta.epoch)], ["created", HumanFormat.time(meta.createdAt)],
      ["durable end", inspector.end.description],
    ]
    if let end = meta.cleanEnd {
      rows.append(["closed at", "segment \(end.segment), byte \(end.position), offset \(end.offset)"])
    }
    if let end = inspector.commitPoint?.durable {
      rows.append(["commit point", "segment \(end.segment), byte \(end.position), offset \(end.offset)"])
    }
    if let end = producers.report.snapshot { rows.append(["producer snapshot", "up to offset \(end)"]) }
    var text = HumanFormat.table(rows) + "\n\n" + ProducerLine.words(producers.table)
    for finding in findings {
      text += "\n\n\(finding.path)"
      if let header = finding.header {
        text += "\n" + HumanFormat.table((Self.fields(header) + Self.sizes(finding)).map { ["  " + $0.0, $0.1.plain] })
      }
    }
    tell(
      .object([
        ("log", .string(inspector.logID)), ("epoch", .number(meta.epoch)), ("end", .number(inspector.end.rawValue)),
        ("cleanEnd", .encoding(meta.cleanEnd)), ("commit point", .encoding(inspector.commitPoint?.durable)),
        ("producers", .array(ProducerLine.all(producers.table).map(\.json))),
        ("segments", .array(findings.map(Self.json))),
      ]), text)
  }

  private func table(_ finding: SegmentReport, _ blocks: [BlockHeader]) {
    var rows = [
      ["#", "position", "offset", "records", "raw", "stored", "ratio", "padding", "appended", "durable up to", "chain"]
    ]
    for (number, block) in blocks.enumerated() {
      rows.append([
        String(number), String(block.position), block.baseOffset.description, String(block.recordCount),
        String(block.rawLength), String(block.storedLength), HumanFormat.share(block.storedLength, of: block.rawLength),
        String(block.paddingLength), HumanFormat.time(block.appendTime), String(block.durableUpTo),
        Self.hex(block.chain),
      ])
    }
    var members = [("segment", Self.json(finding))]
    members.append(("blocks", .array(blocks.map { .object(Self.fields($0)) })))
    tell(.object(members), "\(finding.path)\n" + HumanFormat.table(rows, right: [0, 1, 2, 3, 4, 5, 6, 7, 9]))
  }

  private func detail(_ block: BlockHeader, _ bytes: [UInt8]) {
    let front = Array(bytes.prefix(BlockFormat.headerSize + block.trailerLength))
    var fields = Self.fields(block)
    fields.append(("bytes", .string(Self.hex(front))))
    tell(
      .object(fields),
      HumanFormat.table(Self.fields(block).map { [$0.0, $0.1.plain] }) + "\n\n" + Self.dump(front, from: block.position)
    )
  }
}
