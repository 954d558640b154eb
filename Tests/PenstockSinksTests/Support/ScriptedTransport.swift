import PenstockSinks
import Synchronization
import Testing

/// Answers requests from a script, in order, and keeps what was asked.
final class ScriptedTransport: HTTPTransport {
  typealias Step = @Sendable (TransportRequest) throws(TransportError) -> TransportResponse

  private struct State {
    var steps: [Step]
    var requests: [TransportRequest] = []
    var closings = 0
  }
  private let state: Mutex<State>

  init(_ steps: Step...) { state = Mutex(State(steps: steps)) }

  init(_ steps: [Step]) { state = Mutex(State(steps: steps)) }

  static func answer(
    _ status: Int, _ headers: [(name: String, value: String)] = [], _ body: String = ""
  ) -> Step {
    { _ in TransportResponse(status: status, headers: headers, body: Array(body.utf8)) }
  }

  static func fail(_ kind: TransportError.Kind) -> Step {
    { _ throws(TransportError) in throw TransportError(kind) }
  }

  func send(_ request: TransportRequest) async throws(TransportError) -> TransportResponse {
    let step = state.withLock { state -> Step? in
      state.requests.append(request)
      return state.steps.isEmpty ? nil : state.steps.removeFirst()
    }
    guard let step else {
      Issue.record("a request beyond the script: \(request.method) \(request.url)")
      throw TransportError(.other, "the script has ended")
    }
    return try step(request)
  }

  func close() async { state.withLock { $0.closings += 1 } }

  var requests: [TransportRequest] { state.withLock { $0.requests } }
  var closings: Int { state.withLock { $0.closings } }
  var stepsLeft: Int { state.withLock { $0.steps.count } }
}

extension TransportRequest {
  func header(_ name: String) -> String? {
    headers.first { $0.name.lowercased() == name.lowercased() }?.value
  }
}
