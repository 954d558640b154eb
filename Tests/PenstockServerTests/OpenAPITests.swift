import Foundation
import Testing

@testable import PenstockServer

struct OpenAPITests {
  typealias Object = [String: Any]

  static func document() throws -> Object {
    try #require(try JSONSerialization.jsonObject(with: Data(OpenAPI.document.utf8)) as? Object)
  }

  /// Every schema that is referred to anywhere within.
  static func references(_ value: Any) -> Set<String> {
    switch value {
    case let object as Object:
      object.reduce(into: []) { found, member in
        if member.key == "$ref", let name = (member.value as? String)?.split(separator: "/").last {
          found.insert(String(name))
        } else {
          found.formUnion(references(member.value))
        }
      }
    case let list as [Any]: list.reduce(into: []) { $0.formUnion(references($1)) }
    default: []
    }
  }

  @Test func `every schema that is named is there, and every one that is there is named`() throws {
    let document = try Self.document()
    let schemas = try #require((document["components"] as? Object)?["schemas"] as? Object)
    #expect(Self.references(document) == Set(schemas.keys))
    #expect(schemas.count == OpenAPISchemas.all.count, "one name twice")
  }

  @Test func `whatever is answered as JSON has members that are described`() throws {
    let document = try Self.document()
    let schemas = try #require((document["components"] as? Object)?["schemas"] as? Object)
    for (path, operations) in try #require(document["paths"] as? [String: Object]) {
      for (method, operation) in operations {
        let responses = try #require((operation as? Object)?["responses"] as? [String: Object])
        for (status, response) in responses {
          let content = try #require(response["content"] as? [String: Object])
          guard let json = content["application/json"] else { continue }
          let schema = try #require(json["schema"])
          let name = try #require(Self.references(schema).first)
          let shape = try #require(schemas[name] as? Object)
          let members = (shape["properties"] as? Object)?.count ?? (shape["allOf"] as? [Any])?.count ?? 0
          #expect(members > 0, "\(method) \(path) \(status): \(name) says nothing")
        }
      }
    }
  }
}
