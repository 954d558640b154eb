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
  }

  init(store: any ExportStore) { self.store = store }

  /// Nil once the entry is there, now or since an earlier attempt.
  func record(_ delivery: PendingDelivery, _ plan: ExportPlan, stored: Int) async -> DeliveryOutcome? {
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
    if try await !store.create(key, bytes) {
      guard let standing = try await store.read(key, limit: Manifest.maxEntryBytes) else {
        return .retry(reason: "the manifest entry \(key) was there and is not any more", after: nil)
      }
      guard let found = ManifestEntry.parse(standing), found.entry.names(sameObjectAs: entry) else {
        return .conflict(
          reason: "the manifest entry \(key) is of another object than \(entry.key); it is not overwritten")
      }
      hash = found.hash
    }
    let newest = Newest(end: entry.last + 1, hash: hash)
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
