import Foundation

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
  _ count: UnsafeMutablePointer<Int32>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ target: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

private let chosen = ProcessInfo.processInfo.environment["PENSTOCK_FUZZ_TARGET"] ?? ""
nonisolated(unsafe) private var decoder: (UnsafeRawBufferPointer) -> Void = { _ in }

/// What libFuzzer's own `main` would call; the driver is given it by hand.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  decoder(UnsafeRawBufferPointer(start: bytes, count: count))
  return 0
}

extension FuzzTarget {
  /// libFuzzer's driver around the target that PENSTOCK_FUZZ_TARGET names. The arguments are libFuzzer's own. Without a
  /// name it lists the targets. `scripts/fuzz` builds and runs it.
  package static func run(oneOf targets: [FuzzTarget]) -> Never {
    guard let target = targets.first(where: { $0.name == chosen }) else {
      print(targets.map(\.name).joined(separator: "\n"))
      exit(chosen.isEmpty ? 0 : 2)
    }
    decoder = target.body
    var count = CommandLine.argc
    var arguments = CommandLine.unsafeArgv
    exit(runDriver(&count, &arguments, testOneInput))
  }
}
