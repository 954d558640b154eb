// swift-tools-version: 6.2
import PackageDescription

// A stranger's package: it wants the log and nothing else. scripts/test-embedding builds it and checks what it got.
let package = Package(
  name: "embedding",
  platforms: [.macOS(.v26)],
  dependencies: [.package(name: "penstock", path: "../..", traits: [])],
  targets: [
    .executableTarget(name: "Embedding", dependencies: [.product(name: "PenstockLog", package: "penstock")])
  ],
  swiftLanguageModes: [.v6]
)
