// libFuzzer's driver around one target, chosen by PENSTOCK_FUZZ_TARGET; the arguments are libFuzzer's own. `scripts/fuzz`
// builds and runs it.

import Foundation

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
  _ count: UnsafeMutablePointer<Int32>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ target: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

let chosen = ProcessInfo.processInfo.environment["PENSTOCK_FUZZ_TARGET"] ?? ""
guard let target = FuzzTarget.all.first(where: { $0.name == chosen }) else {
  print(FuzzTarget.all.map(\.name).joined(separator: "\n"))
  exit(chosen.isEmpty ? 0 : 2)
}
let body = target.body

/// What libFuzzer's own `main` would call; the driver is given it by hand.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  body(UnsafeRawBufferPointer(start: bytes, count: count))
  return 0
}

var count = CommandLine.argc
var arguments = CommandLine.unsafeArgv
exit(runDriver(&count, &arguments, testOneInput))
