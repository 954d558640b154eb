import PenstockLog
import PenstockTestKit
import Synchronization

// What the simulation asks of a simulated disk, and no user needs.
extension SimulatedFileSystem {
  /// Keeps a copy of the disk after each I/O from now on, for ``takeKept()``.
  func keepEachIO() { disk.withLock { $0.kept = [] } }

  /// Returns the copies since the last call, in order.
  func takeKept() -> [SimulatedDisk] {
    disk.withLock { disk in
      defer { if disk.kept != nil { disk.kept = [] } }
      return disk.kept ?? []
    }
  }

  /// Keeps no more copies.
  func keepNothing() { disk.withLock { $0.kept = nil } }

  /// A digest of the names and bytes of all files with this ending; equal in every process.
  func image(ofFilesEndingWith suffix: String) -> UInt64 {
    var hash = TraceHash()
    for path in filePaths where path.hasSuffix(suffix) {
      hash.mix(path)
      // Zeros at the end are room for blocks, which an opening removes.
      (contents(path) ?? []).withUnsafeBytes { bytes in
        hash.mix(UnsafeRawBufferPointer(rebasing: bytes[..<Bytes.nonzeroEnd(of: bytes)]))
      }
    }
    return hash.value
  }
}
