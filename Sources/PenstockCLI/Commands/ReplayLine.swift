import PenstockLog
import PenstockSupport
import PenstockToolSupport

/// One replay, as `penstock replay list` shows it.
struct ReplayLine {
  let manifest: ReplayManifest
  /// Records of the window that are delivered or were skipped.
  let done: Int

  /// The readable replays, and the unreadable ones with the reason. A damaged replay does not hide the others.
  static func all(
    _ reader: LogReader
  ) async throws(LogError) -> (lines: [ReplayLine], unreadable: [(id: String, problem: String)]) {
    let cursors = try reader.cursorStates()
    var (lines, unreadable): ([ReplayLine], [(id: String, problem: String)]) = ([], [])
    for (id, found) in try await reader.replayManifests.allReplays() {
      do throws(LogError) {
        let manifest = try found.get()
        let cursor = cursors.first { $0.name == manifest.cursorName }
        lines.append(ReplayLine(manifest: manifest, committed: try cursor?.state.get().committed))
      } catch {
        unreadable.append((id, error.description))
      }
    }
    return (lines, unreadable)
  }

  init(manifest: ReplayManifest, committed: Offset?) {
    self.manifest = manifest
    let known = manifest.isFinished ? manifest.end : committed ?? manifest.first
    done = min(max(known, manifest.first), manifest.end) - manifest.first
  }

  private var window: String {
    "\(manifest.first) ..< \(manifest.end)" + (manifest.events.map { ", events \($0.words)" } ?? "")
  }

  var total: Int { manifest.end - manifest.first }
  var state: String { manifest.isFinished ? "finished" : "\(HumanFormat.share(done, of: total)) done" }

  var json: JSON {
    .object([
      ("id", .string(manifest.id)), ("destination", .string(manifest.destination)),
      ("eventWindow", manifest.events.map(\.json) ?? .null),
      ("first", .number(manifest.first.rawValue)), ("end", .number(manifest.end.rawValue)), ("done", .number(done)),
      ("total", .number(total)), ("skipped", .number(manifest.skippedRecords)),
      ("createdAt", .string(HumanFormat.time(manifest.createdAt))),
      ("finishedAt", manifest.finishedAt.map { .string(HumanFormat.time($0)) } ?? .null),
    ])
  }

  static func table(_ replays: [ReplayLine]) -> String {
    if replays.isEmpty { return "no replays" }
    var rows = [["replay", "window", "records", "state", "skipped", "destination", "started"]]
    for replay in replays {
      let manifest = replay.manifest
      rows.append([
        manifest.id, replay.window, HumanFormat.count(replay.total), replay.state,
        HumanFormat.count(manifest.skippedRecords), manifest.destination, HumanFormat.time(manifest.createdAt),
      ])
    }
    return HumanFormat.table(rows, right: [2, 4])
  }
}
