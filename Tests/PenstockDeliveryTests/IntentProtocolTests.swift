import PenstockSimulation
import PenstockTestKit
import Testing

/// `make lab-model` goes further: four crashes, four takeovers.
@Suite("The intent protocol between processes")
struct IntentProtocolTests {
  typealias Model = IntentProtocolModel

  static let scopes = [
    Model.Scope(producers: 3, cursors: 1, crashes: 2, takeovers: 2),
    Model.Scope(producers: 3, cursors: 2, crashes: 2, takeovers: 1),
  ]

  @Test(
    "a record has one name, is passed only when it is there, and an earlier epoch writes nothing; CursorState agrees",
    arguments: scopes)
  func everyOrder(scope: Model.Scope) {
    let found = IntentProtocolSearch(scope)
    #expect(found.trace == nil, "\(found.trace ?? [])")
    #expect(found.states > 500 && found.finished > 0 && found.compared > 50)
    print("intent protocol \(scope): \(found.states) states, \(found.moves) moves, \(found.finished) at the end")
  }

  @Test("states that are left out are the same as others, but for who is who")
  func reduction() {
    let scope = Model.Scope(producers: 2, cursors: 2, crashes: 1, takeovers: 1)
    let (reduced, whole) = (IntentProtocolSearch(scope), IntentProtocolSearch(scope, isReduced: false))
    #expect(whole.trace == nil && whole.states > 4 * reduced.states)
    #expect(whole.kinds == reduced.states && reduced.kinds == reduced.states)
  }

  @Test("a mistake in the protocol is found, by a shortest trace", arguments: Model.InjectedFault.allCases)
  func finds(fault: Model.InjectedFault) throws {
    let trace = try #require(IntentProtocolSearch(Self.scopes[0], fault).trace, "\(fault) was not found")
    print("intent protocol, \(fault): \(trace.joined(separator: "; "))")
    // Append, take, begin, commit, and what is wrong: the shortest of all is not made longer by the search.
    if fault == .commitsBeforeSending { #expect(trace.count == 5) }
  }
}
