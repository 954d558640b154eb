// Appends to a log in the folder named by the first argument, reads it back, and exits 1 when the two differ.
import PenstockLog

guard CommandLine.arguments.count == 2 else { fatalError("usage: Embedding FOLDER") }
let appended: [[UInt8]] = [Array("one".utf8), [], Array(#"{"three":3}"#.utf8)]

let log = try await Log.open(at: CommandLine.arguments[1])
let receipt = try await log.append(contentsOf: appended)

var read: [[UInt8]] = []
for try await record in log.records(from: .beginning) { read.append(Array(record.bytes)) }
try await log.close()

print("appended \(receipt.offsets), read \(read.count) records back")
guard read == appended else { fatalError("read \(read), appended \(appended)") }
