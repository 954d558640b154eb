import Testing

@testable import PenstockSinks

struct CertificateNamesTests {
  @Test(
    "a certificate covers the names it spells, and one label for an asterisk",
    arguments: [
      ("a.example.com", "a.example.com", true), ("A.Example.COM", "a.example.com", true),
      ("a.example.com.", "a.example.com", true),
      ("a.example.com", "*.example.com", true), ("a.b.example.com", "*.example.com", false),
      ("example.com", "*.example.com", false),
      ("a.example.com", "*", false), ("a.com", "*.com", false), ("ab.example.com", "a*.example.com", false),
      ("a.example.com", "b.example.com", false), ("a.example.com", "a.*.com", false), ("a.example.com", "", false),
      ("localhost", "localhost", true),
    ])
  func covers(host: String, name: String, isCovered: Bool) {
    #expect(CertificateNames.cover(host, [name]) == isCovered)
    #expect(CertificateNames.cover(host, ["other.test", name]) == isCovered)
  }

  @Test("a certificate without names covers none")
  func none() { #expect(!CertificateNames.cover("a.example.com", [])) }
}
