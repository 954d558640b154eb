import CConsole
import HTTPTypes
import Hummingbird
import NIOCore
import PenstockSupport

/// The console's files. They are compiled into the program (`Sources/CConsole`), so that the program is a single file,
/// and page and service have the same version.
struct ConsoleFiles: Sendable {
  struct File: Sendable {
    let contentType: String
    let bytes: ByteBuffer
    /// The `ETag`, made from the content.
    let tag: String
  }

  static let shared = ConsoleFiles()
  let files: [String: File]

  private init() {
    var files: [String: File] = [:]
    var number = 0
    while let file = penstock_console_file_at(number)?.pointee {
      number += 1
      guard let name = String(validatingCString: file.name), let type = Self.type(of: name) else { continue }
      let bytes = Array(UnsafeBufferPointer(start: file.bytes, count: file.length))
      files[name] = File(
        contentType: type, bytes: ByteBuffer(bytes: bytes), tag: "\"\(Digest.hex(Array(Digest.sha256(bytes)[..<16])))\""
      )
    }
    self.files = files
  }

  /// The page may load its own files and send requests to its own service, and nothing else. It forbids inline scripts
  /// and styles, foreign ones, and frames. `require-trusted-types-for` prevents that text becomes markup.
  static let policy = [
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'",
    "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].joined(separator: "; ")

  /// The file with this name. Browsers revalidate it each time, and receive it again only after a change.
  func response(to request: Request, name: String, _ context: ServiceContext) -> Response {
    guard let file = files[name] else {
      return Response(.failure(404, "not_found", "the console has no such file"), to: context)
    }
    var fields = HTTPFields()
    fields[.cacheControl] = "no-cache"
    fields[.eTag] = file.tag
    fields[.xContentTypeOptions] = "nosniff"
    fields[.contentSecurityPolicy] = Self.policy
    for (name, value) in [
      ("Referrer-Policy", "no-referrer"), ("Cross-Origin-Opener-Policy", "same-origin"),
      ("Cross-Origin-Resource-Policy", "same-origin"), ("X-Frame-Options", "DENY"), ("X-Request-Id", context.id),
    ] {
      if let name = HTTPField.Name(name) { fields[name] = value }
    }
    if Self.isKnown(file.tag, to: request.headers[.ifNoneMatch]) {
      return Response(status: .notModified, headers: fields)
    }
    fields[.contentType] = file.contentType
    return Response(status: .ok, headers: fields, body: ResponseBody(byteBuffer: file.bytes))
  }

  /// Whether `If-None-Match` contains the tag (RFC 9110, 13.1.2: weak comparison).
  static func isKnown(_ tag: String, to header: String?) -> Bool {
    guard let header else { return false }
    return header.split(separator: ",").contains { part in
      var part = part.trimmingPrefix { $0 == " " || $0 == "\t" }
      while part.last == " " || part.last == "\t" { part.removeLast() }
      return part == "*" || part == tag || part == "W/" + tag
    }
  }

  private static func type(of name: String) -> String? {
    switch name.split(separator: ".").last {
    case "html": "text/html; charset=utf-8"
    case "css": "text/css; charset=utf-8"
    case "js": "text/javascript; charset=utf-8"
    case "svg": "image/svg+xml"
    default: nil
    }
  }
}
