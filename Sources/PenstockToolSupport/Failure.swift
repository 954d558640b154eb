import Foundation
package import PenstockDelivery
package import PenstockEvents
package import PenstockLog
import PenstockServer
import PenstockSupport

/// The exit code of a command.
package enum ExitStatus: Int32 {
  case done = 0
  /// Bad input or a failed check.
  case bad = 1
  /// Wrong usage.
  case usage = 2
  /// Not possible now: lock held, no permission, no disk space, unreachable.
  case cannot = 3
  case interrupted = 130
}

/// Why a command fails: the message, the code and the exit code.
package struct Failure: Error {
  package var status: ExitStatus
  /// A stable code for scripts.
  package var code: String
  package var message: String
  /// What to do about it.
  package var advice: String?
  /// The record at fault, counted from 0.
  package var record: Int?
  /// The byte in that record.
  package var byte: Int?

  package init(_ status: ExitStatus, _ code: String, _ message: String, advice: String? = nil) {
    self.status = status
    self.code = code
    self.message = message
    self.advice = advice
  }

  package var json: JSON {
    var members: [(String, JSON)] = [("code", .string(code)), ("message", .string(message))]
    if let record { members.append(("record", .number(record))) }
    if let byte { members.append(("byte", .number(byte))) }
    if let advice { members.append(("advice", .string(advice))) }
    return .object([("error", .object(members))])
  }
}

extension Failure {
  /// Converts any error.
  package init(_ error: any Error) {
    switch error {
    case let error as Failure: self = error
    case let error as LogError: self.init(log: error)
    case let error as EventError: self.init(event: error)
    case let error as FileSystemError: self.init(.cannot, "io", error.description)
    case let error as SinkError: self.init(.usage, "configuration", error.description)
    case let error as DeliveryFailure: self.init(delivery: error)
    case let error as ReplayError: self.init(.bad, error.code.rawValue, error.message, advice: Self.advice(for: error))
    case let error as ReceiverError: self.init(.cannot, "receiver", error.message)
    case is CancellationError: self.init(.interrupted, "interrupted", "interrupted")
    // The description of Foundation's errors is only a domain and a number.
    case is CocoaError, is POSIXError: self.init(.cannot, "io", error.localizedDescription)
    default: self.init(.cannot, "other", "\(error)")
    }
  }

  package init(log error: LogError) {
    self.init(Self.status(of: error.code), error.code.description, error.description, advice: Self.advice(for: error))
  }

  private static func status(of code: LogError.Code) -> ExitStatus {
    switch code {
    case .damaged, .undecidableTail, .gap, .outOfRange, .recordTooLarge, .batchTooLarge, .emptyBatch, .illegalMove,
      .unknownCursor:
      .bad
    case .invalidName, .invalidConfiguration: .usage
    default: .cannot
    }
  }

  private static func advice(for error: LogError) -> String? {
    if let cause = error.cause as? FileSystemError {
      switch cause.code {
      case .permissionDenied: return "give this user permission to read and write there, or name a different directory"
      case .readOnlyFileSystem: return "the file system is mounted read-only; name a different directory"
      case .tooManyOpenFiles: return "raise the limit of open files (`ulimit -n`) and run the command again"
      case .notFound: return "create the parent directory first, or check the path"
      default: break
      }
    }
    switch error.code {
    case .noSpace: return "free space on that file system and run the command again"
    case .poisoned: return "check the disk, then run the command again: opening the log recovers it"
    case .damaged, .gap: return "to list all damage, use `penstock verify --log`"
    default: return nil
    }
  }

  private static func advice(for error: ReplayError) -> String? {
    switch error.code {
    case .unknown: "add --from and --until"
    case .gap: "add --skip-gaps to continue after them; to list all damage, use `penstock verify --log`"
    case .changed, .badWindow, .alreadyRun, .unsupported: nil
    }
  }

  package init(event error: EventError, line: Int? = nil, in source: String? = nil) {
    let location = source.map { " (\(line.map { "line \($0) of " } ?? "")\($0))" } ?? ""
    self.init(.bad, error.code.rawValue, error.description + location)
    record = error.record
    byte = error.position
  }

  private init(delivery error: DeliveryFailure) {
    self.init(error.trouble.exitStatus, error.trouble.kind.rawValue, error.description)
  }
}

extension DeliveryTrouble {
  /// `bad` when the destination or the log is at fault, `cannot` when a later run may succeed.
  package var exitStatus: ExitStatus {
    switch kind {
    case .refused, .disabled, .rejected, .rejectsEverything, .conflict, .unrenderable, .contentChanged, .unreadable,
      .wrongLog, .defect:
      .bad
    case .unavailable, .deadLettersFailed, .fenced, .cursorFailed, .gaveUp: .cannot
    }
  }
}
