// swift-tools-version: 6.2
import PackageDescription

// The log alone: without its traits the package brings swift-log and nothing else.
let package = Package(
  name: "transactional-consumer",
  platforms: [.macOS(.v26)],
  dependencies: [.package(name: "penstock", path: "../../..", traits: [])],
  targets: [
    .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"]), .brew(["sqlite"])]),
    .target(name: "Ledger", dependencies: ["CSQLite", .product(name: "PenstockLog", package: "penstock")]),
    .executableTarget(name: "Consumer", dependencies: ["Ledger", .product(name: "PenstockLog", package: "penstock")]),
    .testTarget(
      name: "LedgerTests", dependencies: ["Ledger", "Consumer", .product(name: "PenstockLog", package: "penstock")]),
  ],
  swiftLanguageModes: [.v6]
)
