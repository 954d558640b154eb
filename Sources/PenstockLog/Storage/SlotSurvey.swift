/// What the tables of small values hold, read without a lock and without a write, while any process writes them. Blocks
/// the calling thread: 80 MB for 10,000 small values.
///
/// A value that is moved to another place meanwhile is found, old or new. One that is removed meanwhile may be found
/// with a value that it had before. What is found may not be durable yet.
struct SlotSurvey {
  private(set) var values: [SlotName: Result<SlotValue, LogError>] = [:]
  /// Damaged places of which not even the name can be read, as an operator reads of them.
  private(set) var unnamed: [(label: String, damage: LogError)] = []

  /// Throws `.futureFormat` and `.io`. There need be no tables.
  init(_ fileSystem: any FileSystem, _ paths: LogPaths) throws(LogError) {
    // The small table first, because a value moves from it to the other, and never back.
    for size in SlotPlaces.Size.allCases {
      let path = paths.slots(size)
      let file: OpenFileHandle
      do throws(FileSystemError) { file = try fileSystem.open(path, .readOnly) } catch {
        if error.code == .notFound { continue }
        throw LogError(error, while: "read \(path)")
      }
      defer { fileSystem.close(file) }
      try SlotReader(fileSystem, file, path, size).forEachPlace { (place, reading) throws(LogError) in
        note(reading, at: place, path)
      }
    }
  }

  /// The names of a kind, sorted.
  func names(_ kind: SlotName.Kind) -> [String] { values.keys.filter { $0.kind == kind }.map(\.text).sorted() }

  private mutating func note(_ reading: SlotPlaceReading, at place: SlotPlaces.Place, _ path: String) {
    switch reading {
    case .empty, .future: break
    case .damaged(let name):
      let damage = SlotReader.damage(place, path)
      if let name { values[name] = .failure(damage) } else { unnamed.append((place.label, damage)) }
    case .whole(let content, let bytes):
      guard let (name, revision) = content.value else { return }
      switch values[name] {
      case .failure: break  // The damaged place may hold the newer value.
      case .success(let other) where other.revision >= revision: break
      default: values[name] = .success(SlotValue(revision: revision, bytes: bytes))
      }
    }
  }
}
