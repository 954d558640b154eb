// The producers of a block: a trailer section of kind 2 (`BlockFormat`). Little endian:
//
//     0  u32  entries, each:
//             u8 name length, name (UTF-8)
//             u64 epoch · u64 sequence of the newest append · u32 how many appends of this producer the block holds
//             u8 source length, source of the newest append
//             u8 n = min(16, appends), then the newest n appends, oldest first:
//                u32 index of the append's first record in the block · u32 records
//
// One entry is at most 280 bytes, whatever the number of appends, so the number of producers bounds the section. A
// producer has a second entry only where its sequence jumps within a block; its entries are in order.

/// The producer's part of one append in the queue.
package final class ProducerMark: Sendable {
  let name: String
  let epoch: UInt64
  let sequence: UInt64
  /// The producer's position in its source after this append; opaque, at most ``ProducerTable/maxSourceBytes``.
  let source: [UInt8]

  package init(name: String, epoch: UInt64, sequence: UInt64, source: [UInt8]) {
    self.name = name
    self.epoch = epoch
    self.sequence = sequence
    self.source = source
  }
}

/// The producers of one block, and the records of each. A pure value.
struct ProducerTrailer: Hashable, Sendable {
  /// The kind of trailer section.
  static let section: UInt16 = 2

  /// A run of records by their indices in the block.
  struct Run: Hashable, Sendable {
    var first: Int
    var count: Int
  }

  struct Entry: Hashable, Sendable {
    var name: String
    var epoch: UInt64
    /// Of the newest append.
    var lastSequence: UInt64
    var appendCount: Int
    var source: [UInt8]
    /// The newest appends, at most ``ProducerTable/remembered``, oldest first; the last is `lastSequence`.
    var runs: [Run]

    var firstSequence: UInt64 { lastSequence - UInt64(appendCount - 1) }
  }

  private(set) var entries: [Entry] = []
  /// The index of a producer's newest entry.
  private var places: [String: Int] = [:]

  init() {}

  /// The marks of the batches that become one block; nil when none has any.
  init?(_ batches: some Collection<RecordBatch>) {
    guard batches.contains(where: { $0.producer != nil }) else { return nil }
    var index = 0
    for batch in batches {
      if let mark = batch.producer {
        add(
          Entry(
            name: mark.name, epoch: mark.epoch, lastSequence: mark.sequence, appendCount: 1, source: mark.source,
            runs: [Run(first: index, count: batch.count)]))
      }
      index += batch.count
    }
  }

  private mutating func add(_ entry: Entry) {
    if let place = places[entry.name], entries[place].lastSequence &+ 1 == entry.firstSequence {
      entries[place].epoch = entry.epoch
      entries[place].lastSequence = entry.lastSequence
      entries[place].appendCount += entry.appendCount
      entries[place].source = entry.source
      entries[place].runs = Array((entries[place].runs + entry.runs).suffix(ProducerTable.remembered))
    } else {
      places[entry.name] = entries.count
      entries.append(entry)
    }
  }

  /// The same, for records that move by `count` in a larger block.
  func rebased(by count: Int) -> ProducerTrailer {
    var moved = self
    for index in moved.entries.indices {
      for run in moved.entries[index].runs.indices { moved.entries[index].runs[run].first += count }
    }
    return moved
  }

  /// Adds the trailer of a block whose records follow this one's, already rebased.
  mutating func join(_ next: ProducerTrailer) {
    for entry in next.entries { add(entry) }
  }

  /// The section of a joined block; nil when the section of a part cannot be read.
  @Sendable package static func joined(_ parts: [TrailerSections.Part]) -> [UInt8]? {
    var all = ProducerTrailer()
    for part in parts {
      guard let one = try? ProducerTrailer(decoding: part.bytes, recordCount: part.recordCount) else { return nil }
      all.join(one.rebased(by: part.firstRecord))
    }
    return all.encoded()
  }

  /// The section's content.
  func encoded() -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: UInt32(entries.count))
    for entry in entries {
      bytes.append(UInt8(entry.name.utf8.count))
      bytes.append(contentsOf: entry.name.utf8)
      bytes.append(littleEndian: entry.epoch)
      bytes.append(littleEndian: entry.lastSequence)
      bytes.append(littleEndian: UInt32(entry.appendCount))
      bytes.append(UInt8(entry.source.count))
      bytes.append(contentsOf: entry.source)
      bytes.append(UInt8(entry.runs.count))
      for run in entry.runs {
        bytes.append(littleEndian: UInt32(run.first))
        bytes.append(littleEndian: UInt32(run.count))
      }
    }
    return bytes
  }

  /// Reads a section's content. The caller has validated the trailer's checksum.
  init(decoding bytes: [UInt8], recordCount: Int) throws(BlockFlaw) {
    do throws(LogError) {
      try read(bytes)
    } catch {
      throw BlockFlaw("the producers' section is cut short or is not UTF-8")
    }
    let isSound = entries.allSatisfy { entry in
      (1...ProducerTable.remembered).contains(entry.runs.count) && entry.runs.count <= entry.appendCount
        && entry.appendCount <= entry.lastSequence
        && entry.runs.allSatisfy { $0.count > 0 && $0.first + $0.count <= recordCount }
    }
    guard isSound else { throw BlockFlaw("the producers' section contradicts itself") }
  }

  private mutating func read(_ bytes: [UInt8]) throws(LogError) {
    var reader = ByteReader(bytes, of: "the producers' section")
    for _ in 0..<(try reader.take(UInt32.self)) {
      guard let name = String(validating: try reader.take(Int(try reader.take(UInt8.self))), as: UTF8.self) else {
        throw LogError(.damaged, "a producer's name is not text")
      }
      let epoch = try reader.take(UInt64.self)
      let lastSequence = try reader.take(UInt64.self)
      let appendCount = Int(try reader.take(UInt32.self))
      let source = try reader.take(Int(try reader.take(UInt8.self)))
      var runs: [Run] = []
      for _ in 0..<(try reader.take(UInt8.self)) {
        runs.append(Run(first: Int(try reader.take(UInt32.self)), count: Int(try reader.take(UInt32.self))))
      }
      places[name] = entries.count
      entries.append(
        Entry(
          name: name, epoch: epoch, lastSequence: lastSequence, appendCount: appendCount, source: source, runs: runs))
    }
  }

  static func == (a: ProducerTrailer, b: ProducerTrailer) -> Bool { a.entries == b.entries }
  func hash(into hasher: inout Hasher) { hasher.combine(entries) }
}
