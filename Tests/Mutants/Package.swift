// swift-tools-version: 6.2
import PackageDescription

// The small copy into which scripts/mutants injects faults: the log, events, deliveries and what needs no HTTP. It
// builds in a third of the time of the whole package. The script copies each folder that this file names.

let commonSwiftSettings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .define("Sinks"),
]
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")

let package = Package(
  name: "mutants",
  dependencies: [
    .package(url: "https://github.com/apple/swift-log", from: "1.14.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.0.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
  ],
  targets: [
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd"),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib"),
    .target(name: "CPenstock"),
    .target(name: "PenstockLog", dependencies: ["CZstd", "CPenstock", logging], swiftSettings: commonSwiftSettings),
    .target(name: "PenstockEvents", dependencies: ["CPenstock"], swiftSettings: commonSwiftSettings),
    .target(
      name: "PenstockDelivery", dependencies: ["PenstockLog", "PenstockEvents", logging, crypto, lifecycle],
      swiftSettings: commonSwiftSettings),
    .target(
      name: "PenstockSupport", dependencies: ["PenstockLog", crypto], swiftSettings: commonSwiftSettings),
    .target(
      name: "PenstockSinks",
      dependencies: ["PenstockLog", "PenstockEvents", "PenstockDelivery", "PenstockSupport", "CZlib", crypto],
      sources: ["Directory", "File", "Export", "Manifest", "Rendering", "Support/PlanText.swift"],
      swiftSettings: commonSwiftSettings),
    .target(
      name: "PenstockServer", dependencies: ["PenstockLog", "PenstockSupport", "PenstockSinks"],
      sources: [
        "Access/APIKey.swift", "Access/APIKeySet.swift", "Access/APIKeyStore.swift", "Access/Role.swift",
        "Access/Route.swift",
      ],
      swiftSettings: commonSwiftSettings),
    .target(
      name: "PenstockTestKit", dependencies: ["PenstockLog", "PenstockDelivery", logging],
      swiftSettings: commonSwiftSettings),
    .target(
      name: "PenstockSimulation", dependencies: ["PenstockLog", "PenstockDelivery", "PenstockTestKit", logging],
      swiftSettings: commonSwiftSettings),
    .executableTarget(
      name: "PenstockLab", dependencies: ["PenstockLog", "PenstockDelivery", "PenstockSimulation", "PenstockTestKit"],
      swiftSettings: commonSwiftSettings),
    .testTarget(
      name: "PenstockLogTests",
      dependencies: ["PenstockLog", "PenstockDelivery", "PenstockSimulation", "PenstockTestKit", logging],
      resources: [.copy("Golden")], swiftSettings: commonSwiftSettings),
    .testTarget(
      name: "PenstockCrashTests",
      dependencies: ["PenstockLog", "PenstockDelivery", "PenstockSimulation", "PenstockTestKit"],
      swiftSettings: commonSwiftSettings),
    .testTarget(
      name: "PenstockEventsTests", dependencies: ["PenstockEvents", "CPenstock"], swiftSettings: commonSwiftSettings),
    .testTarget(
      name: "PenstockDeliveryTests",
      dependencies: ["PenstockLog", "PenstockDelivery", "PenstockSimulation", "PenstockTestKit", logging, lifecycle],
      swiftSettings: commonSwiftSettings),
    .testTarget(
      name: "PenstockSinksTests",
      dependencies: [
        "PenstockLog", "PenstockEvents", "PenstockDelivery", "PenstockSupport", "PenstockSinks", "PenstockServer",
        "PenstockSimulation", "PenstockTestKit",
      ],
      sources: [
        "DirectorySinkTests.swift", "FileSinkCrashTests.swift", "KeyFileCrashTests.swift", "Support/Fixtures.swift",
        "Support/TemporaryDirectory.swift",
      ],
      swiftSettings: commonSwiftSettings),
  ],
  swiftLanguageModes: [.v6])
