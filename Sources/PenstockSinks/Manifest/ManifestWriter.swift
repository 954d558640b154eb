import PenstockDelivery
import PenstockLog
import Synchronization

/// Writes the manifest entries of existing objects.
final class ManifestWriter: Sendable {
  private let store: any ExportStore

  /// The newest entry of each folder, which saves a request. A missing one is read from the store.
  private let newest = Mutex<[String: Newest]>([:])
  private struct Newest {
    var end: UInt64
    var hash: String
    /// Whether no later entry of this cursor exists.
    var isTip: Bool
  }

  init(store: any ExportStore) { self.store = store }

  /// Checks before an object is created whether its records are already exported; nil if they are not. After a cursor
  /// moved back or was lost, they would otherwise be exported again in a later hour, under different names.
  ///
  /// The first entry after `first` decides, because entries follow each other without a gap. The check runs once per
  /// process, and again as long as there is such an entry. A writer without permission to list skips the check.
  func existingOutcome(of delivery: DeliveryRequest, _ plan: ExportPlan) async -> DeliveryOutcome? {
    guard let folder = plan.manifest else { return nil }
    let first = delivery.intent.first.rawValue
    if let known = newest.withLock({ $0[folder] }), known.isTip, known.end == first { return nil }
    do throws(ExportStoreError) {
      guard let key = try await store.firstKey(prefix: folder, after: Manifest.key(in: folder, end: first)) else {
        return nil
      }
      guard let bytes = try await store.read(key, limit: Manifest.maxEntryBytes) else { return nil }
      guard let found = ManifestEntry.parse(bytes)?.entry else {
        return .conflict(reason: "manifest object \(key) is not a valid entry; inspect it before exporting more")
      }
      return try await compare(found, ManifestEntry(delivery, plan, stored: nil, previous: ""))
    } catch {
      return error.isTemporary ? error.outcome : nil
    }
  }

  private func compare(
    _ found: ManifestEntry, _ ours: ManifestEntry
  ) async throws(ExportStoreError) -> DeliveryOutcome? {
    // An object with the same key is compared when it is created. Entries without an object share the empty key, which
    // proves nothing.
    if found.hasObject, found.key == ours.key { return nil }
    guard found.id == ours.id, try await exists(found) else {
      // The entry is completely after our records, as when a part of the manifest was lost.
      if found.first > ours.last { return nil }
      return .conflict(
        reason:
          "records \(found.first) to \(found.last) are already exported, "
          + (found.hasObject ? "as \(found.key)" : "without a row")
          + "; move the cursor to the end of the manifest, or export with a different prefix")
    }
    return .delivered(receipt: "\(found.subject), already exists")
  }

  private func exists(_ entry: ManifestEntry) async throws(ExportStoreError) -> Bool {
    guard entry.hasObject else { return true }
    return try await store.facts(of: entry.key)?.size == entry.stored
  }

  /// Writes the entry of a batch without rows. It has no object, and the chain has no gap.
  func recordNothing(_ delivery: DeliveryRequest, _ plan: ExportPlan) async -> DeliveryOutcome {
    if let known = await existingOutcome(of: delivery, plan) { return known }
    return await record(delivery, plan, stored: nil) ?? .nothingToSend
  }

  /// Writes the entry of a delivery. Returns nil if the entry exists then, from this or an earlier attempt.
  ///
  /// - Parameter stored: The object; nil for a batch without rows.
  func record(_ delivery: DeliveryRequest, _ plan: ExportPlan, stored: StoredObject?) async -> DeliveryOutcome? {
    guard let folder = plan.manifest else { return nil }
    do throws(ExportStoreError) {
      let previous = try await previous(of: delivery.intent.first.rawValue, in: folder)
      return try await create(ManifestEntry(delivery, plan, stored: stored, previous: previous), in: folder)
    } catch {
      return error.outcome
    }
  }

  /// Writes an entry, or finds an equal one. Returns nil in both cases.
  func create(_ entry: ManifestEntry, in folder: String) async throws(ExportStoreError) -> DeliveryOutcome? {
    let key = Manifest.key(in: folder, end: entry.last + 1)
    let bytes = Array((entry.line + "\n").utf8)
    var hash = entry.hash
    var isTip = true
    if try await !store.create(key, bytes) {
      guard let existing = try await store.read(key, limit: Manifest.maxEntryBytes) else {
        return .retry(reason: "the manifest entry \(key) was deleted in the meantime", after: nil)
      }
      guard let found = ManifestEntry.parse(existing), found.entry.names(sameObjectAs: entry) else {
        return .conflict(
          reason:
            "the manifest entry \(key) belongs to a different object than \(entry.subject); it is not overwritten")
      }
      hash = found.hash
      // After one existing entry there may be more.
      isTip = false
    }
    let newest = Newest(end: entry.last + 1, hash: hash, isTip: isTip)
    self.newest.withLock { $0[folder] = newest }
    return nil
  }

  /// The hash of the entry that ends at `first`.
  func previous(of first: UInt64, in folder: String) async throws(ExportStoreError) -> String {
    if let known = newest.withLock({ $0[folder] }), known.end == first { return known.hash }
    guard first > 0,
      let bytes = try await store.read(Manifest.key(in: folder, end: first), limit: Manifest.maxEntryBytes)
    else { return ManifestEntry.noPrevious }
    // Use the stored line, even if it was changed: a verification finds that.
    return ManifestEntry.hash(ofLine: bytes.last == UInt8(ascii: "\n") ? bytes.dropLast() : bytes)
  }
}
