/// Reads a table file of small values; safe while other processes write it. Every method blocks the calling thread.
struct SlotReader {
  /// How often a place is read in which no slot is whole: a writer may write one slot while the other is read, and then
  /// the other.
  private static let looks = 8
  private static let chunkBytes = 1 << 20

  private let fileSystem: any FileSystem
  private let file: OpenFileHandle
  private let path: String
  private let size: SlotPlaces.Size

  init(_ fileSystem: any FileSystem, _ file: OpenFileHandle, _ path: String, _ size: SlotPlaces.Size) {
    self.fileSystem = fileSystem
    self.file = file
    self.path = path
    self.size = size
  }

  static func damage(_ place: SlotPlaces.Place, _ path: String) -> LogError {
    LogError(
      .damaged, "neither copy of the value at place \(place.index) is intact; another program changed the file",
      location: .init(path: path))
  }

  /// Every whole place of the file, in order. Throws `.futureFormat` for a slot of a later version.
  func forEachPlace(
    _ body: (SlotPlaces.Place, SlotPlaceReading) throws(LogError) -> Void
  ) throws(LogError) {
    let placeBytes = SlotImage.placeBytes(size)
    let count: Int
    do throws(FileSystemError) { count = Int(try fileSystem.size(file)) / placeBytes } catch {
      throw LogError(error, while: "read \(path)")
    }
    var index = 0
    while index < count {
      let places = min(Self.chunkBytes / placeBytes, count - index)
      let start = UInt64(index * placeBytes)
      // A page that the disk cannot read costs its own place only.
      let bytes = try? fileSystem.readAll(file, count: places * placeBytes, at: start)
      for number in 0..<places {
        let place = SlotPlaces.Place(size: size, index: index + number)
        if let bytes, bytes.count == places * placeBytes {
          try body(place, try settled(bytes[(number * placeBytes)...].prefix(placeBytes), place))
        } else {
          try body(place, try read(place))
        }
      }
      index += places
    }
  }

  func read(_ place: SlotPlaces.Place) throws(LogError) -> SlotPlaceReading {
    var reading = try look(place)
    for _ in 1..<Self.looks {
      guard case .damaged = reading else { break }
      reading = try look(place)
    }
    return reading
  }

  private func settled(_ image: ArraySlice<UInt8>, _ place: SlotPlaces.Place) throws(LogError) -> SlotPlaceReading {
    let slotBytes = SlotImage.bytes(size)
    let reading = image.withUnsafeBytes { image in
      SlotPlaceReading(
        (0..<2).map { slot in
          let bytes = UnsafeRawBufferPointer(rebasing: image[(slot * slotBytes)..<((slot + 1) * slotBytes)])
          return SlotImage.decode(bytes, of: place, number: slot)
        })
    }
    if case .damaged = reading { return try read(place) }
    return try known(reading)
  }

  private func look(_ place: SlotPlaces.Place) throws(LogError) -> SlotPlaceReading {
    var slots: [SlotImage.Reading] = []
    for slot in 0..<2 {
      do throws(FileSystemError) {
        let bytes = try fileSystem.readAll(
          file, count: SlotImage.bytes(size), at: SlotImage.position(of: place, slot: slot))
        slots.append(bytes.withUnsafeBytes { SlotImage.decode($0, of: place, number: slot) })
      } catch {
        guard error.code == .inputOutput else { throw LogError(error, while: "read \(path)") }
        slots.append(.unreadable)
      }
    }
    return try known(SlotPlaceReading(slots))
  }

  private func known(_ reading: SlotPlaceReading) throws(LogError) -> SlotPlaceReading {
    if case .future(let version) = reading {
      throw LogError(
        .futureFormat, "a slot has version \(version), this penstock knows \(SlotImage.version); use a newer one",
        location: .init(path: path))
    }
    return reading
  }
}
