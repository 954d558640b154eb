// swift-tools-version: 6.2
import PackageDescription

// The tests with concurrency and the code they test, for scripts/sanitize. A sanitizer compiles everything again, and
// this package leaves the HTTP stack out. The folders are links into one package, because the tests use `package`
// declarations. Each has a link to Mutex.swift, a lock that ThreadSanitizer sees.

let commonSwiftSettings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .define("Sinks"),
]
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")

let package = Package(
  name: "sanitized",
  platforms: [.macOS(.v26)],
  dependencies: [
    .package(url: "https://github.com/apple/swift-log", from: "1.14.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.0.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
  ],
  targets: [
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"]), .brew(["zstd"])]),
    .target(name: "CPenstock"),
    .target(name: "PenstockLog", dependencies: ["CZstd", "CPenstock", logging], swiftSettings: commonSwiftSettings),
    .target(name: "PenstockEvents", dependencies: ["CPenstock"], swiftSettings: commonSwiftSettings),
    .target(
      name: "PenstockDelivery",
      dependencies: [
        "PenstockLog", "PenstockEvents", logging, lifecycle, .product(name: "Crypto", package: "swift-crypto"),
      ],
      swiftSettings: commonSwiftSettings),
    .target(
      name: "PenstockTestKit", dependencies: ["PenstockLog", "PenstockDelivery", logging],
      swiftSettings: commonSwiftSettings),
    .target(
      name: "PenstockSimulation", dependencies: ["PenstockLog", "PenstockDelivery", "PenstockTestKit", logging],
      swiftSettings: commonSwiftSettings),
    .testTarget(
      name: "PenstockLogTests", dependencies: ["PenstockLog", "PenstockSimulation", "PenstockTestKit", logging],
      resources: [.copy("Files/Golden")], swiftSettings: commonSwiftSettings),
    .testTarget(
      name: "PenstockCrashTests",
      dependencies: ["PenstockLog", "PenstockDelivery", "PenstockSimulation", "PenstockTestKit"],
      swiftSettings: commonSwiftSettings),
    .testTarget(
      name: "PenstockDeliveryTests",
      dependencies: ["PenstockLog", "PenstockDelivery", "PenstockSimulation", "PenstockTestKit", logging, lifecycle],
      swiftSettings: commonSwiftSettings),
  ],
  swiftLanguageModes: [.v6]
)
