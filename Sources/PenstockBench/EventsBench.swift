import ArgumentParser
import Foundation
import PenstockLog
import PenstockToolSupport

extension BenchCommand {
  struct Events: BenchTool {
    static let spokenName = "events"
    static let configuration = CommandConfiguration(
      abstract: "Prints the events that the benches append, one a line, so that others can be given the same.",
      discussion: """
          penstock-bench events > events.ndjson
          penstock-bench events --events 1000000 | zstd -3 | wc -c
        """)
    @Option(help: "How many.") var events = 100_000
    @OptionGroup var common: CommonOptions

    func validate() throws {
      guard (0...100_000_000).contains(events) else { throw ValidationError("--events must be 0 to 100000000") }
    }

    func perform() async throws {
      let generator = EventGenerator()
      for number in 0..<events {
        Output.standard.edit { buffer in
          generator.append(number, to: &buffer)
          buffer.append(UInt8(ascii: "\n"))
        }
      }
      Output.standard.flush()
    }
  }
}
