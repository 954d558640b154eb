import FuzzKit
@testable import PenstockCLI
import PenstockToolSupport

extension FuzzTarget {
  static let command: [FuzzTarget] = [FuzzTarget(name: "configuration", body: configuration)]

  /// Whatever a configuration file says, it is taken, or refused in one line that says where.
  @Sendable private static func configuration(_ input: UnsafeRawBufferPointer) {
    do throws(Failure) {
      let read = try Configuration.parse(Array(input), of: "penstock.yaml")
      require(!read.destinations.isEmpty, "a file without destinations is taken")
      require(Set(read.destinations.map(\.name)).count == read.destinations.count, "two destinations of one name")
    } catch {
      let words = error.message
      require(words.utf8.count < 400 + 4 * input.count, "an answer longer than the question")
      require(words.contains("penstock.yaml"), "an answer that does not say which file: \(words)")
    }
  }
}
