import PenstockDelivery
import PenstockLog
import Synchronization

/// Writes the entry of an object that is there.
final class ManifestWriter: Sendable {
  private let store: any ExportStore

  /// The newest entry of each place, which saves asking for it. What is not here is asked for.
  private let newest = Mutex<[String: Newest]>([:])
  private struct Newest {
    var end: UInt64
    var hash: String
    /// Nothing of this cursor is exported behind it.
    var isTip: Bool
  }

  init(store: any ExportStore) { self.store = store }

  /// Asks, before an object is created, whether its records are in the export already: under a cursor that was sought back
  /// or lost they would be written again in another hour, under other names. Nil when they are not.
  ///
  /// The first entry behind `first` tells, because entries follow each other without a gap. Asked once in a process, and
  /// again for as long as there is such an entry. A writer that may not list goes on without.
  func standing(of delivery: DeliveryRequest, _ plan: ExportPlan) async -> DeliveryOutcome? {
    guard let place = plan.manifest else { return nil }
    let first = delivery.intent.first.rawValue
    if let known = newest.withLock({ $0[place] }), known.isTip, known.end == first { return nil }
    do throws(ExportStoreError) {
      guard let key = try await store.firstKey(prefix: place, after: Manifest.key(in: place, end: first)) else {
        return nil
      }
      guard let bytes = try await store.read(key, limit: Manifest.maxEntryBytes) else { return nil }
      guard let found = ManifestEntry.parse(bytes)?.entry else {
        return .conflict(reason: "\(key) in the manifest is no entry; look at it before anything is added")
      }
      return try await compare(found, ManifestEntry(delivery, plan, stored: 0, previous: ""))
    } catch {
      return error.isTemporary ? error.outcome : nil
    }
  }

  private func compare(
    _ found: ManifestEntry, _ ours: ManifestEntry
  ) async throws(ExportStoreError) -> DeliveryOutcome? {
    // An equal object under an equal name is found and compared where it stands. Entries without an object share the empty
    // name, and it says nothing.
    if found.hasObject, found.key == ours.key { return nil }
    guard found.id == ours.id, try await isThere(found) else {
      // Behind us altogether, as after the manifest of a part was lost: not our records.
      if found.first > ours.last { return nil }
      return .conflict(
        reason:
          "records \(found.first) to \(found.last) are exported already, "
          + (found.hasObject ? "as \(found.key)" : "without a row")
          + "; put the cursor where the manifest ends, or export under another prefix")
    }
    return .delivered(receipt: "\(found.subject), already there")
  }

  private func isThere(_ entry: ManifestEntry) async throws(ExportStoreError) -> Bool {
    guard entry.hasObject else { return true }
    return try await store.facts(of: entry.key)?.size == entry.stored
  }

  /// Writes down a batch of which the filter left nothing: there is no object, and the chain goes on without a gap.
  func recordNothing(_ delivery: DeliveryRequest, _ plan: ExportPlan) async -> DeliveryOutcome {
    if let known = await standing(of: delivery, plan) { return known }
    return await record(delivery, plan, stored: 0) ?? .nothingToSend
  }

  /// Nil once the entry is there, now or since an earlier attempt.
  func record(_ delivery: DeliveryRequest, _ plan: ExportPlan, stored: Int) async -> DeliveryOutcome? {
    guard let place = plan.manifest else { return nil }
    do throws(ExportStoreError) {
      let previous = try await previous(of: delivery.intent.first.rawValue, in: place)
      return try await create(ManifestEntry(delivery, plan, stored: stored, previous: previous), in: place)
    } catch {
      return error.outcome
    }
  }

  /// Writes an entry, or finds an equal one.
  func create(_ entry: ManifestEntry, in place: String) async throws(ExportStoreError) -> DeliveryOutcome? {
    let key = Manifest.key(in: place, end: entry.last + 1)
    let bytes = Array((entry.line + "\n").utf8)
    var hash = entry.hash
    var isTip = true
    if try await !store.create(key, bytes) {
      guard let standing = try await store.read(key, limit: Manifest.maxEntryBytes) else {
        return .retry(reason: "the manifest entry \(key) was there and is not any more", after: nil)
      }
      guard let found = ManifestEntry.parse(standing), found.entry.names(sameObjectAs: entry) else {
        return .conflict(
          reason: "the manifest entry \(key) is of another object than \(entry.subject); it is not overwritten")
      }
      hash = found.hash
      // Whoever meets entries that were there may meet more.
      isTip = false
    }
    let newest = Newest(end: entry.last + 1, hash: hash, isTip: isTip)
    self.newest.withLock { $0[place] = newest }
    return nil
  }

  /// The hash of the entry that ends where this one begins.
  func previous(of first: UInt64, in place: String) async throws(ExportStoreError) -> String {
    if let known = newest.withLock({ $0[place] }), known.end == first { return known.hash }
    guard first > 0,
      let bytes = try await store.read(Manifest.key(in: place, end: first), limit: Manifest.maxEntryBytes)
    else { return ManifestEntry.noPrevious }
    // As it stands, changed or not: that is for a verification to find.
    return ManifestEntry.hash(ofLine: bytes.last == UInt8(ascii: "\n") ? bytes.dropLast() : bytes)
  }
}
