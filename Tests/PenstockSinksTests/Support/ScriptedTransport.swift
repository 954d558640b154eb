import Synchronization
import Testing

@testable import PenstockSinks

/// Answers requests from a script, in order, and keeps what was asked.
final class ScriptedTransport: HTTPTransport {
  struct Step: Sendable {
    fileprivate let result: Result<TransportResponse, TransportError>

    static func answer(_ status: Int, _ headers: [(name: String, value: String)] = [], _ body: String = "") -> Step {
      Step(result: .success(TransportResponse(status: status, headers: headers, body: Array(body.utf8))))
    }

    static func fail(_ kind: TransportError.Kind) -> Step { Step(result: .failure(TransportError(kind))) }
  }

  private struct State {
    var steps: [Step]
    var requests: [TransportRequest] = []
    var closings = 0
  }
  private let state: Mutex<State>

  init(_ steps: Step...) { state = Mutex(State(steps: steps)) }

  init(_ steps: [Step]) { state = Mutex(State(steps: steps)) }

  func send(_ request: TransportRequest) async throws(TransportError) -> TransportResponse {
    let step = state.withLock { state -> Step? in
      state.requests.append(request)
      return state.steps.isEmpty ? nil : state.steps.removeFirst()
    }
    guard let step else {
      Issue.record("a request beyond the script: \(request.method) \(request.url)")
      throw TransportError(.other, "the script has ended")
    }
    return try step.result.get()
  }

  func close() async { state.withLock { $0.closings += 1 } }

  var requests: [TransportRequest] { state.withLock { $0.requests } }
  var closings: Int { state.withLock { $0.closings } }
  var stepsLeft: Int { state.withLock { $0.steps.count } }
}

extension TransportRequest {
  func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name.lowercased() }?.value }

  /// Expects each of `headers` as it is given, and those given as nil not at all.
  func expect(_ headers: KeyValuePairs<String, String?>, sourceLocation: SourceLocation = #_sourceLocation) {
    for (name, value) in headers { #expect(header(name) == value, "\(name)", sourceLocation: sourceLocation) }
  }
}

/// What a chain of credentials found in an environment, files and answers of services, and what it asked for.
struct CredentialSearch {
  let result: Result<ResolvedCredentials, S3CredentialError>
  let requests: [TransportRequest]
  let stepsLeft: Int

  init(
    _ environment: [String: String], files: [String: String] = [:], profile: String? = nil,
    region: String = "eu-west-1", _ steps: ScriptedTransport.Step...
  ) async {
    let transport = ScriptedTransport(steps)
    let chain = S3CredentialChain(
      profile: profile, region: region, transport: transport, clock: FixedClock(),
      environment: ["HOME": "/h"].merging(environment) { $1 }, readFile: { files[$0] })
    (result, requests, stepsLeft) = (await chain.resolve(), transport.requests, transport.stepsLeft)
  }

  var key: String? { try? result.get().credentials.accessKeyID }

  func expectError(_ words: String..., temporary: Bool = false, sourceLocation: SourceLocation = #_sourceLocation) {
    guard case .failure(let error) = result else {
      Issue.record("credentials were found: \(result)", sourceLocation: sourceLocation)
      return
    }
    for word in words { #expect(error.message.contains(word), "\(error)", sourceLocation: sourceLocation) }
    #expect(error.isTemporary == temporary, "\(error)", sourceLocation: sourceLocation)
    #expect(!error.message.contains("hunter2"), "\(error)", sourceLocation: sourceLocation)
  }
}
