// swift-tools-version: 6.2
import PackageDescription

// The tests that carry concurrency, for scripts/sanitize: a sanitizer compiles everything once more, and this leaves the HTTP
// stack out. The folders are links to the tests themselves.

let house: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
  name: "sanitized",
  platforms: [.macOS(.v26)],
  dependencies: [
    .package(name: "penstock", path: "../..", traits: ["Sinks"]),
    .package(url: "https://github.com/apple/swift-log", from: "1.14.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
  ],
  targets: [
    .testTarget(
      name: "PenstockLogTests",
      dependencies: [
        .product(name: "PenstockLog", package: "penstock"), .product(name: "PenstockTestKit", package: "penstock"),
        .product(name: "Logging", package: "swift-log"),
      ],
      resources: [.copy("Golden")], swiftSettings: house),
    .testTarget(
      name: "PenstockCrashTests",
      dependencies: [
        .product(name: "PenstockLog", package: "penstock"), .product(name: "PenstockTestKit", package: "penstock"),
      ],
      swiftSettings: house),
    .testTarget(
      name: "PenstockDeliveryTests",
      dependencies: [
        .product(name: "PenstockLog", package: "penstock"), .product(name: "PenstockDelivery", package: "penstock"),
        .product(name: "PenstockTestKit", package: "penstock"), .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: house),
  ],
  swiftLanguageModes: [.v6]
)
