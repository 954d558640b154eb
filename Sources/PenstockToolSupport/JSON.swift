import Foundation
package import PenstockSupport

package typealias JSON = OrderedJSON

extension OrderedJSON {
  /// A value that can encode itself, with sorted keys; null if it cannot be encoded.
  package static func encoding(_ value: some Encodable) -> OrderedJSON {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(value) else { return .null }
    return .raw(String(decoding: data, as: UTF8.self))
  }
}
