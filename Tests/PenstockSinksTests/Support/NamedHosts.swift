import PenstockSinks
import Synchronization

@testable import PenstockSinks

/// A name service that says what a test wants, in order; the last answer for ever.
final class NamedHosts: HostResolver {
  private struct State {
    var answers: [[String]]
    var questions: [String] = []
  }
  private let state: Mutex<State>

  /// - Parameter answers: an empty one is a name that is not known.
  init(_ answers: [String]...) { state = Mutex(State(answers: answers)) }

  var questions: [String] { state.withLock { $0.questions } }

  func addresses(of host: String) async throws(TransportError) -> [IPAddress] {
    let answer = state.withLock { state in
      state.questions.append(host)
      return state.answers.count > 1 ? state.answers.removeFirst() : state.answers[0]
    }
    if answer.isEmpty { throw TransportError(.unknownHost, host) }
    return answer.compactMap { IPAddress($0) }
  }
}

/// A name service that never answers.
struct SilentHosts: HostResolver {
  func addresses(of host: String) async throws(TransportError) -> [IPAddress] {
    try? await Task.sleep(for: .seconds(3600))
    throw TransportError(.cancelled)
  }
}
