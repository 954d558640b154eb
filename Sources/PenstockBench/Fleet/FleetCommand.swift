import ArgumentParser
import Foundation
import PenstockLog
import PenstockSupport
import PenstockToolSupport

extension BenchCommand {
  /// What `fanout` and `single` start as a process of its own: the webhooks without their receiver.
  struct Fleet: BenchTool {
    static let spokenName = "fleet"
    static let configuration = CommandConfiguration(
      abstract: "Webhooks of one process, for the bench of many destinations.", shouldDisplay: false)
    @Option(help: "The log's directory.") var log: String
    @Option(help: "The receiver's port on loopback.") var port: Int
    @Option(help: "Webhooks.") var destinations: Int
    @Option(help: "Apps that the events have.") var apps: Int
    @Option(help: "Events of a request, at most.") var batch: Int
    @Option(help: "Requests in flight, of each webhook.") var inFlight = 1
    @Flag(help: "One event a request, as an object.") var single = false
    @Option(help: "Milliseconds that an event waits for others.") var wait = 5000
    @Option(help: "Events a second to append while it delivers; 0: it delivers what the log holds.") var rate = 0
    @Option(help: "How long it appends.") var seconds = 0.0
    @OptionGroup var common: CommonOptions

    func perform() async throws {
      let events = AppEvents(apps: apps, order: .mixed, count: 0)
      let log = try await Log.open(at: log, configuration: BenchEvents.alone)
      let finding: WebhookFleet.Finding
      do {
        let settings = WebhookFleet.Settings(
          destinations: destinations, events: events, port: port, maxEvents: batch, maxWait: .milliseconds(wait),
          isSingle: single, maxInFlight: inFlight)
        let fleet = try await WebhookFleet(log, settings)
        finding =
          rate == 0 ? try await fleet.catchUp() : try await fleet.deliver(events, rate: rate, seconds: seconds)
      } catch {
        try? await log.close()
        throw error
      }
      try await log.close()
      Output.standard.line(JSON.encoding(finding).text)
    }
  }
}
