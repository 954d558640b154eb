import PenstockEvents
import Testing

@testable import PenstockServer

struct ReceiverBodyTests {
  private func rows(_ body: String) throws -> String {
    String(decoding: try ReceiverBody.rows(of: Array(body.utf8)).bytes, as: UTF8.self)
  }

  @Test("events come out byte for byte, without the white space around them")
  func exactBytes() throws {
    #expect(try rows(#"[{"a" : 1.0e5 ,"b":"é,]}\""}]"#) == "{\"a\" : 1.0e5 ,\"b\":\"é,]}\\\"\"}\n")
    #expect(try rows(" [ {} ,\n{\"x\":[1,[2]]} ] \n") == "{}\n{\"x\":[1,[2]]}\n")
    #expect(try rows("[]") == "")
    #expect(try rows("[{\n \"a b\": 1\r\n}, {\"x\": 2}]") == "{\"a b\":1}\n{\"x\": 2}\n", "an event is two rows")
    #expect(try rows("\n {\"a\": {\"b\": []}} ") == "{\"a\": {\"b\": []}}\n")
    #expect(try ReceiverBody.rows(of: Array("[1,2,3]".utf8)).count == 3)
  }

  @Test(
    "what is no JSON array and no object is refused",
    arguments: ["", " ", "1", "\"x\"", "{", "[{}", "[{},]", "{}{}", "{},{}", "[{}] x", "null"])
  func refused(body: String) {
    #expect(throws: EventError.self) { try rows(body) }
  }

  @Test(
    "a query parameter is found and decoded",
    arguments: [
      ("event=%7B%7D", "{}"), ("a=1&event=x%20y+z%2B", "x y z+"), ("e%76ent=1", "1"), ("event=a=b", "a=b"),
      ("event=", ""), ("event", ""), ("event=1&event=2", "1"), ("event=%C3%A9", "é"),
    ])
  func parameters(query: String, value: String) {
    #expect(ReceiverBody.parameter("event", in: query).map { String(decoding: $0, as: UTF8.self) } == value)
  }

  @Test(
    "a parameter that is missing or wrongly encoded is none",
    arguments: ["", "x=1", "events=1", "event=%", "event=%4", "event=%GG"])
  func noParameter(query: String) {
    #expect(ReceiverBody.parameter("event", in: query) == nil)
  }
}
