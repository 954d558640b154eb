import Testing

@Suite("The intent protocol between processes")
struct IntentProtocolTests {
  typealias Model = IntentProtocolModel

  struct Search {
    var states = 0
    var moves = 0
    /// Every producer done, every cursor at the end.
    var finished = 0
    /// The shortest way to something wrong: what was done, and what was wrong then.
    var trace: [String]?
  }

  /// Breadth first, so that what is found is reached by as few steps as possible.
  private func search(_ scope: Model.Scope, _ bug: Model.Bug?) -> Search {
    var found = Search()
    var models = [Model(scope)]
    var reached: [(from: Int, by: String)] = [(0, "")]
    var seen: Set<Model> = [models[0]]
    func trace(to last: Int) -> [String] {
      var (names, index) = ([String](), last)
      while index != 0 {
        names.append(reached[index].by)
        index = reached[index].from
      }
      return names.reversed()
    }
    var index = 0
    while index < models.count {
      let model = models[index]
      if model.appended.nonzeroBitCount == Int(scope.producers),
        model.cells.allSatisfy({ $0.committed == scope.producers })
      {
        found.finished += 1
      }
      for step in model.steps(scope, bug) {
        found.moves += 1
        if !step.violations.isEmpty {
          found.trace = trace(to: index) + [step.name] + step.violations
          found.states = models.count
          return found
        }
        guard seen.insert(step.model).inserted else { continue }
        models.append(step.model)
        reached.append((index, step.name))
      }
      index += 1
    }
    found.states = models.count
    return found
  }

  static let scopes = [
    Model.Scope(producers: 3, cursors: 1, crashes: 2, takeovers: 2),
    Model.Scope(producers: 2, cursors: 2, crashes: 1, takeovers: 1),
  ]

  @Test(
    "a record has one name at its destination, is passed only when it is there, and an earlier epoch writes nothing; CursorState agrees",
    arguments: scopes)
  func everyOrder(scope: Model.Scope) {
    let found = search(scope, nil)
    #expect(found.trace == nil, "\(found.trace ?? [])")
    #expect(found.states > 1000 && found.finished > 0)
    print("intent protocol \(scope): \(found.states) states, \(found.moves) moves, \(found.finished) at the end")
  }

  @Test("a mistake in the protocol is found, by a shortest trace", arguments: Model.Bug.allCases)
  func planted(bug: Model.Bug) throws {
    let trace = try #require(search(Self.scopes[0], bug).trace, "\(bug) was not found")
    print("intent protocol, \(bug): \(trace.joined(separator: "; "))")
    // Append, take, begin, commit, and what is wrong: the shortest of all is not made longer by the search.
    if bug == .commitsBeforeSending { #expect(trace.count == 5) }
  }
}
