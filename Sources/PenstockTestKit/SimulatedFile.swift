/// One file of a simulated disk: what is on the platter, what a reader sees, and the way from one to the other.
///
/// `durable` is the content as of the last sync; `content` is what reads see; `pending` are the unsynced changes in the
/// order they were made. Applying all of `pending` to `durable` gives `content`, unless a failed sync lost pages.
struct SimulatedFile: Sendable {
  /// An unsynced change. A sector is written whole, as a drive does: it carries the unsynced bytes it already held.
  private enum Change: Sendable {
    /// `alters` is false when the write left every byte of the sectors as it was.
    case sectors(first: Int, bytes: [UInt8], alters: Bool)
    case grown(to: Int)
    case truncated(to: Int)
  }

  private(set) var durable = ByteImage()
  private(set) var content = ByteImage()
  private var pending: [Change] = []
  /// Numbers of sectors the drive cannot read. Asked for, never iterated.
  private var unreadable: Set<Int> = []
  /// Sectors in space that was taken by a write that failed: later writes of them stay in memory, though a sync
  /// succeeds, until the cache is dropped or the space is given back. So ext4 does with extents whose first write
  /// failed.
  private var severed: Set<Int> = []
  /// Writing what is there already can matter: pages were lost, or a truncation is not durable yet.
  private var sameBytesMatter = false

  var unsyncedItemCount: Int {
    pending.reduce(0) { sum, change in
      switch change {
      case .sectors(_, let bytes, let alters): sum + (alters ? bytes.count / ByteImage.sectorSize : 0)
      case .grown, .truncated: sum + 1
      }
    }
  }

  // MARK: - What the running system does

  mutating func write(_ bytes: UnsafeRawBufferPointer, at start: Int) {
    guard !bytes.isEmpty else { return }
    let end = start + bytes.count
    let grows = end > content.count
    if grows { content.resize(to: end) }
    let runs = runs(of: bytes, at: start)
    content.put(bytes, at: start)
    for run in runs {
      pending.append(
        .sectors(first: run.sectors.lowerBound, bytes: content.sectors(run.sectors), alters: run.alters))
      if !unreadable.isEmpty { unreadable.subtract(run.sectors) }
    }
    if grows { pending.append(.grown(to: end)) }
  }

  mutating func truncate(to size: Int) {
    guard size != content.count else { return }
    if size < content.count {
      pending.append(.truncated(to: size))
      sameBytesMatter = true
      severed = severed.filter { ($0 + 1) * ByteImage.sectorSize <= size }
    } else {
      pending.append(.grown(to: size))
    }
    content.resize(to: size)
  }

  mutating func synchronize() {
    // The size as well, also where a failed sync has lost the growth.
    durable = written(pending + [.grown(to: content.count)])
    durable.resize(to: content.count)
    pending = []
    // Lost pages stay different from the platter until they are written again.
    if sameBytesMatter { sameBytesMatter = !durable.bytes.withUnsafeBytes { content.matches($0, at: 0) } }
  }

  /// A sync that failed. `cut` chooses the number of changes, from 0 to its argument, that had become durable.
  mutating func failToSynchronize(_ effect: FaultEffect, cut: (Int) -> Int) {
    switch effect {
    case .nothing: break
    case .complete: synchronize()
    case .partial:
      let done = cut(pending.count)
      durable = applied(pending[..<done])
      pending.removeFirst(done)
    case .pagesLost:
      severed.formUnion(grownSectors)
      pending = []
      sameBytesMatter = true
    case .pagesReverted:
      content = durable
      pending = []
    }
  }

  /// Unsynced sectors past the end of what is durable.
  private var grownSectors: [Int] {
    let size = ByteImage.sectorSize
    let present = (durable.count + size - 1) / size
    return pending.flatMap { change -> [Int] in
      guard case .sectors(let first, let bytes, _) = change else { return [] }
      return Array(max(first, present)..<max(first + bytes.count / size, first, present))
    }
  }

  /// What a successful sync leaves on the platter.
  private func written(_ changes: [Change]) -> ByteImage {
    severed.isEmpty ? applied(changes[...]) : applied(reaching(changes)[...])
  }

  /// The changes without the sectors that no write reaches.
  private func reaching(_ changes: [Change]) -> [Change] {
    let size = ByteImage.sectorSize
    return changes.flatMap { change -> [Change] in
      guard case .sectors(let first, let bytes, let alters) = change else { return [change] }
      return (0..<bytes.count / size).filter { !severed.contains(first + $0) }.map {
        .sectors(first: first + $0, bytes: Array(bytes[($0 * size)..<(($0 + 1) * size)]), alters: alters)
      }
    }
  }

  /// Drops what memory holds and need not write: reads see the platter again, with the unsynced changes over it.
  mutating func dropCache() {
    let size = content.count
    severed = []
    content = applied((pending + [.grown(to: size)])[...])
    content.resize(to: size)
    sameBytesMatter = pending.contains { if case .truncated = $0 { true } else { false } }
  }

  /// Splits a write into runs of sectors that change something and runs that do not.
  private func runs(of bytes: UnsafeRawBufferPointer, at start: Int) -> [(sectors: Range<Int>, alters: Bool)] {
    let size = ByteImage.sectorSize
    let all = start / size..<(start + bytes.count - 1) / size + 1
    if sameBytesMatter { return [(all, true)] }
    if content.matches(bytes, at: start) { return [(all, false)] }
    var runs: [(sectors: Range<Int>, alters: Bool)] = []
    for sector in all {
      let from = max(sector * size, start) - start
      let to = min((sector + 1) * size, start + bytes.count) - start
      let alters = !content.matches(UnsafeRawBufferPointer(rebasing: bytes[from..<to]), at: start + from)
      if let last = runs.last, last.alters == alters {
        runs[runs.count - 1].sectors = last.sectors.lowerBound..<sector + 1
      } else {
        runs.append((sector..<sector + 1, alters))
      }
    }
    return runs
  }

  private func applied(_ changes: ArraySlice<Change>) -> ByteImage {
    var chooser = CrashChooser(.everything)
    return Self.survived(durable, changes, &chooser)
  }

  // MARK: - What a machine finds after a power loss

  func afterPowerCut(_ chooser: inout CrashChooser) -> SimulatedFile {
    chooser.begin()
    var file = self
    file.durable = Self.survived(durable, severed.isEmpty ? pending[...] : reaching(pending)[...], &chooser)
    file.content = file.durable
    file.pending = []
    file.severed = []
    file.sameBytesMatter = false
    return file
  }

  /// Every content that a power cut can leave, each once; nil where there are more than `limit`.
  ///
  /// A sector write carries the whole sector, so of several to one sector only the last that survives matters.
  func powerCuts(atMost limit: Int) -> [SimulatedFile]? {
    if !severed.isEmpty {
      var file = self
      file.pending = reaching(pending)
      file.severed = []
      return file.powerCuts(atMost: limit)
    }
    let (items, choices) = items()
    var count = 1
    for choice in choices {
      count *= choice.count + 1
      if count > limit { return nil }
    }
    var seen: Set<UInt64> = []
    var files: [SimulatedFile] = []
    for number in 0..<count {
      var answers = [Bool](repeating: false, count: items)
      var rest = number
      for choice in choices {
        let survivor = rest % (choice.count + 1)
        rest /= choice.count + 1
        if survivor > 0 { answers[choice[survivor - 1]] = true }
      }
      var chooser = CrashChooser(answers: answers)
      let file = afterPowerCut(&chooser)
      if seen.insert(file.content.digest).inserted { files.append(file) }
    }
    return files
  }

  /// How many items there are, and which of them are writes to one sector; a change of size stands alone.
  private func items() -> (count: Int, choices: [[Int]]) {
    var next = 0
    var choices: [[Int]] = []
    var placeOfSector: [Int: Int] = [:]
    for change in pending {
      guard case .sectors(let first, let bytes, let alters) = change else {
        choices.append([next])
        next += 1
        continue
      }
      guard alters else { continue }
      for sector in first..<(first + bytes.count / ByteImage.sectorSize) {
        if let place = placeOfSector[sector] {
          choices[place].append(next)
        } else {
          placeOfSector[sector] = choices.count
          choices.append([next])
        }
        next += 1
      }
    }
    return (next, choices)
  }

  private static func survived(
    _ durable: ByteImage, _ changes: ArraySlice<Change>, _ chooser: inout CrashChooser
  ) -> ByteImage {
    if changes.isEmpty || chooser.unanimous == false { return durable }
    var image = durable
    var size = durable.count
    for change in changes {
      switch change {
      case .sectors(let first, let bytes, let alters):
        place(bytes, at: first, alters, in: &image, over: durable, &chooser)
      case .grown(let end):
        if chooser.survives() { size = end }
      case .truncated(let end):
        guard chooser.survives() else { continue }
        size = end
        if image.count > end { image.resize(to: end) }
      }
    }
    image.resize(to: size)
    return image
  }

  private static func place(
    _ bytes: [UInt8], at first: Int, _ alters: Bool, in image: inout ByteImage, over durable: ByteImage,
    _ chooser: inout CrashChooser
  ) {
    let size = ByteImage.sectorSize
    bytes.withUnsafeBytes { raw in
      if chooser.unanimous == true { return image.put(raw, at: first * size) }
      for index in 0..<raw.count / size {
        let survives = alters ? chooser.survives() : chooser.survivesUnaltered()
        let position = (first + index) * size
        let new = UnsafeRawBufferPointer(rebasing: raw[index * size..<(index + 1) * size])
        // Over what was durable: a drive that has taken one write of a sector, and then stops within the next one, is
        // not modelled.
        if let torn = chooser.torn(new: new, old: { durable.sectors(first + index..<first + index + 1) }) {
          torn.withUnsafeBytes { image.put($0, at: position) }
        } else if survives {
          image.put(new, at: position)
        }
      }
    }
  }

  // MARK: - What a test does to a disk at rest

  /// Whether a read of these bytes meets a sector that cannot be read.
  func isUnreadable(_ range: Range<Int>) -> Bool {
    if unreadable.isEmpty || range.isEmpty { return false }
    let size = ByteImage.sectorSize
    return (range.lowerBound / size...(range.upperBound - 1) / size).contains { unreadable.contains($0) }
  }

  mutating func makeUnreadable(at position: Int) { unreadable.insert(position / ByteImage.sectorSize) }
  mutating func makeReadable() { unreadable = [] }

  /// Changes the platter and the cache at once, past every sync.
  mutating func damage(_ bytes: UnsafeRawBufferPointer, at position: Int) {
    durable.put(bytes, at: position)
    content.put(bytes, at: position)
    // Unsynced sectors as well: they are written later, as memory has them.
    let size = ByteImage.sectorSize
    for index in pending.indices {
      guard case .sectors(let first, var sectors, let alters) = pending[index] else { continue }
      let start = max(position, first * size)
      let end = min(position + bytes.count, first * size + sectors.count)
      guard start < end else { continue }
      sectors.replaceSubrange(
        (start - first * size)..<(end - first * size),
        with: UnsafeRawBufferPointer(rebasing: bytes[(start - position)..<(end - position)]))
      pending[index] = .sectors(first: first, bytes: sectors, alters: alters)
    }
  }

  mutating func replace(_ bytes: [UInt8]) {
    self = SimulatedFile()
    durable = ByteImage(bytes)
    content = durable
  }
}
