/// A ticket for space in the queue; see ``AdmissionQueue``.
struct AdmissionTicket: Hashable, Sendable { fileprivate let number: UInt64 }

/// The appends that wait for space in the queue, and those admitted. Admission is in the order of arrival, so that a
/// stream of small appends does not delay a large one without end. A pure value; `Committer` resumes the waiters that
/// it returns.
///
/// A waiter is *waiting*, then *admitted*. Space is reserved for an admitted one, until it uses or returns its ticket.
/// A new waiter joins at the end while others are waiting, even if it would fit.
///
/// Invariants
/// 1. Admission is in the order of joining.
/// 2. The reserved space and the queued bytes together fit the queue; a single append may be larger, alone.
/// 3. Every waiter is admitted or leaves, once.
struct AdmissionQueue<Waiter> {
  private var waiting: [(ticket: AdmissionTicket, bytes: Int, waiter: Waiter)] = []
  private var admitted: [AdmissionTicket: Int] = [:]
  private var joined: UInt64 = 0
  /// Bytes that are reserved for admitted waiters.
  private(set) var reservedBytes = 0

  init() {}

  var isEmpty: Bool { waiting.isEmpty }
  var count: Int { waiting.count }

  /// Waits for so many bytes. No ticket is used twice.
  mutating func join(_ bytes: Int, _ waiter: Waiter) -> AdmissionTicket {
    joined += 1
    let ticket = AdmissionTicket(number: joined)
    waiting.append((ticket, bytes, waiter))
    return ticket
  }

  /// Stops waiting; nil when the waiter is already admitted, and must still use or return its ticket.
  mutating func leave(_ ticket: AdmissionTicket) -> Waiter? {
    guard let place = waiting.firstIndex(where: { $0.ticket == ticket }) else { return nil }
    return waiting.remove(at: place).waiter
  }

  /// The ticket is used or returned. Harmless for one that is not admitted.
  mutating func end(_ ticket: AdmissionTicket) {
    guard let bytes = admitted.removeValue(forKey: ticket) else { return }
    reservedBytes -= bytes
  }

  /// Admits the first waiters, as far as there is space: `hasSpace` says whether so many bytes fit besides so many
  /// reserved ones. O(admitted + waiting).
  mutating func admit(
    _ hasSpace: (_ bytes: Int, _ reserved: Int) -> Bool
  ) -> [(ticket: AdmissionTicket, waiter: Waiter)] {
    var count = 0
    while count < waiting.count, hasSpace(waiting[count].bytes, reservedBytes) {
      admitted[waiting[count].ticket] = waiting[count].bytes
      reservedBytes += waiting[count].bytes
      count += 1
    }
    guard count > 0 else { return [] }
    defer { waiting.removeFirst(count) }
    return waiting[..<count].map { ($0.ticket, $0.waiter) }
  }

  /// Releases all waiters without space: the log has ended, and their offers return why.
  mutating func dismiss() -> [(ticket: AdmissionTicket, waiter: Waiter)] {
    defer { waiting = [] }
    return waiting.map { ($0.ticket, $0.waiter) }
  }
}
