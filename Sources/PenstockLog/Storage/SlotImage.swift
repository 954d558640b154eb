/// The bytes of a slot in a table file, and what they say.
///
/// Slot, little endian: u32 "PNST" · u16 version 1 · u16 kind, 0 for the mark of a free place · u64 generation ·
/// u64 revision · u32 value length · u32 CRC-32C of the value · u8 name length · 64 bytes name, then zeros up to
/// byte 124 · u32 CRC-32C of the 124 bytes before, seeded with the slot's number in its file · the value · zeros.
///
/// The head has its own checksum. So a damaged value still has a name, a slot of a later version is known as one, and
/// a slot that was written to the wrong place counts as none.
enum SlotImage {
  static let headSize = 128
  static let maxNameBytes = 64
  private static let magic: UInt32 = 0x5453_4E50  // "PNST"
  static let version: UInt16 = 1

  /// What one slot says.
  enum Reading {
    /// Nothing was ever written there, or it was erased.
    case zeros
    case whole(SlotPlaces.Content, value: [UInt8])
    /// Torn or damaged; with the name, where the head is whole.
    case broken(SlotName?)
    /// The disk cannot read it.
    case unreadable
    /// From a later penstock.
    case future(version: UInt16)
  }

  static func bytes(_ size: SlotPlaces.Size) -> Int { size == .small ? 4 << 10 : 16 << 10 }
  static func placeBytes(_ size: SlotPlaces.Size) -> Int { 2 * bytes(size) }
  static func position(of place: SlotPlaces.Place, slot: Int) -> UInt64 {
    UInt64(place.index * placeBytes(place.size) + slot * bytes(place.size))
  }

  /// The smallest size that holds a value; nil for a longer one.
  static func size(forValueOf count: Int) -> SlotPlaces.Size? {
    SlotPlaces.Size.allCases.first { headSize + count <= bytes($0) }
  }

  static func encode(_ write: SlotPlaces.Write, value: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(headSize + value.count)
    bytes.append(littleEndian: magic)
    bytes.append(littleEndian: version)
    bytes.append(littleEndian: write.content.value?.name.kind.rawValue ?? 0)
    bytes.append(littleEndian: write.content.generation)
    bytes.append(littleEndian: write.content.value?.revision ?? 0)
    bytes.append(littleEndian: UInt32(value.count))
    bytes.append(littleEndian: Checksum.of(value))
    let name = Array((write.content.value?.name.text ?? "").utf8)
    precondition(name.count <= maxNameBytes, "a name of \(name.count) bytes does not fit a slot")
    bytes.append(UInt8(name.count))
    bytes.append(contentsOf: name)
    bytes.append(contentsOf: repeatElement(0, count: headSize - 4 - bytes.count))
    bytes.append(littleEndian: Checksum.of(bytes, seed: seed(write.place, slot: write.slot)))
    bytes.append(contentsOf: value)
    return bytes
  }

  static func decode(_ slot: UnsafeRawBufferPointer, of place: SlotPlaces.Place, number: Int) -> Reading {
    guard slot.count >= headSize, slot.get(UInt32.self, at: 0) == magic else {
      return Bytes.nonzeroEnd(of: slot) == 0 ? .zeros : .broken(nil)
    }
    let sum = Checksum.of(UnsafeRawBufferPointer(rebasing: slot[..<124]), seed: seed(place, slot: number))
    guard sum == slot.get(UInt32.self, at: 124) else { return .broken(nil) }
    let found = slot.get(UInt16.self, at: 4)
    let kind = slot.get(UInt16.self, at: 6)
    guard found == version, kind == 0 || SlotName.Kind(rawValue: kind) != nil else { return .future(version: found) }
    let nameLength = min(Int(slot[32]), maxNameBytes)
    let name = SlotName.Kind(rawValue: kind).map {
      SlotName($0, String(decoding: slot[33..<(33 + nameLength)], as: UTF8.self))
    }
    let length = Int(slot.get(UInt32.self, at: 24))
    guard headSize + length <= slot.count else { return .broken(name) }
    let value = UnsafeRawBufferPointer(rebasing: slot[headSize..<(headSize + length)])
    guard Checksum.of(value) == slot.get(UInt32.self, at: 28) else { return .broken(name) }
    let content = SlotPlaces.Content(
      generation: slot.get(UInt64.self, at: 8), name: name, revision: slot.get(UInt64.self, at: 16))
    return .whole(content, value: Array(value))
  }

  private static func seed(_ place: SlotPlaces.Place, slot: Int) -> UInt32 {
    UInt32(truncatingIfNeeded: place.index * 2 + slot)
  }
}

/// What the two slots of a place say together.
enum SlotPlaceReading {
  /// No value, and none was ever there whole.
  case empty
  case whole(SlotPlaces.Content, value: [UInt8])
  /// A value was there, and neither slot has one now; with its name, where that can be read.
  case damaged(SlotName?)
  case future(version: UInt16)

  init(_ slots: [SlotImage.Reading]) {
    var newest: (content: SlotPlaces.Content, value: [UInt8])?
    var name: SlotName?
    var isUnreadable = false
    for slot in slots {
      switch slot {
      case .zeros: break
      case .future(let version):
        self = .future(version: version)
        return
      case .unreadable: isUnreadable = true
      case .broken(let found): name = name ?? found
      case .whole(let content, let value):
        if content.generation > newest?.content.generation ?? 0 { newest = (content, value) }
      }
    }
    // A slot that is torn holds no acknowledged value, but one that cannot be read may hold the newest.
    if isUnreadable {
      self = .damaged(newest?.content.value?.name ?? name)
    } else if let newest {
      self = .whole(newest.content, value: newest.value)
    } else if case .zeros? = slots.first {
      // The first write goes to the second slot: it was torn, and no caller knows of it.
      self = .empty
    } else {
      self = .damaged(name)
    }
  }
}
