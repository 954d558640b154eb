// swift-tools-version: 6.2
import PackageDescription

// Traits guard every reference to an outside package but swift-log, so that a backend that embeds only the log
// (`traits: []`) neither builds nor downloads an HTTP stack. `Tests/Embedding` proves it. Sinks: webhook, S3 and
// directory. Server: HTTP ingest and the reference receiver, which needs Sinks. Metrics: what the log does, for the
// backends of swift-metrics and swift-distributed-tracing; with Sinks also what deliveries do.
let sinks: TargetDependencyCondition? = .when(traits: ["Sinks"])
let server: TargetDependencyCondition? = .when(traits: ["Server"])
let metrics: TargetDependencyCondition? = .when(traits: ["Metrics"])

let commonSwiftSettings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
  name: "penstock",
  platforms: [.macOS(.v26)],
  products: [
    .library(name: "PenstockLog", targets: ["PenstockLog"]),
    .library(name: "PenstockEvents", targets: ["PenstockEvents"]),
    .library(name: "PenstockDelivery", targets: ["PenstockDelivery"]),
    .library(name: "PenstockSinks", targets: ["PenstockSinks"]),
    .library(name: "PenstockServer", targets: ["PenstockServer"]),
    .library(name: "PenstockMetrics", targets: ["PenstockMetrics"]),
    .library(name: "PenstockTestKit", targets: ["PenstockTestKit"]),
    .executable(name: "penstock", targets: ["PenstockCLI"]),
    .executable(name: "penstock-bench", targets: ["PenstockBench"]),
  ],
  traits: [
    .trait(name: "Sinks", description: "Delivery to webhooks, S3 and directories, and the command line."),
    .trait(
      name: "Server", description: "HTTP serving: the service and the reference receiver.", enabledTraits: ["Sinks"]),
    .trait(name: "Metrics", description: "Metrics and traces of the log, and of deliveries."),
    .default(enabledTraits: ["Sinks", "Server", "Metrics"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-log", from: "1.14.0"),
    .package(url: "https://github.com/apple/swift-metrics", from: "2.5.0"),
    .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.1.0"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.0.0"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
    .package(url: "https://github.com/CoreOffice/XMLCoder", from: "0.18.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
  ],
  targets: [
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"]), .brew(["zstd"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
    .target(name: "CPenstock"),
    // The console's files, which the compiler copies into the program.
    .target(name: "CConsole", exclude: ["assets"]),
    .target(
      name: "PenstockLog",
      dependencies: ["CZstd", "CPenstock", .product(name: "Logging", package: "swift-log")],
      swiftSettings: commonSwiftSettings),
    .target(name: "PenstockEvents", dependencies: ["CPenstock"], swiftSettings: commonSwiftSettings),
    .target(
      name: "PenstockDelivery",
      dependencies: [
        "PenstockLog", "PenstockEvents",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Crypto", package: "swift-crypto", condition: sinks),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle", condition: sinks),
      ],
      swiftSettings: commonSwiftSettings),
    // Not a product: what sinks, service and programs share without knowing each other.
    .target(
      name: "PenstockSupport",
      dependencies: [
        "PenstockLog", .product(name: "Crypto", package: "swift-crypto", condition: sinks),
      ],
      swiftSettings: commonSwiftSettings),
    .target(
      name: "PenstockSinks",
      dependencies: [
        "PenstockLog", "PenstockEvents", "PenstockDelivery", "PenstockSupport", "CZlib",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "AsyncHTTPClient", package: "async-http-client", condition: sinks),
        .product(name: "NIOCore", package: "swift-nio", condition: sinks),
        .product(name: "NIOHTTP1", package: "swift-nio", condition: sinks),
        .product(name: "NIOSSL", package: "swift-nio-ssl", condition: sinks),
        .product(name: "Crypto", package: "swift-crypto", condition: sinks),
        .product(name: "XMLCoder", package: "XMLCoder", condition: sinks),
      ],
      swiftSettings: commonSwiftSettings),
    .target(
      name: "PenstockServer",
      dependencies: [
        "PenstockLog", "PenstockSupport", "PenstockSinks", "PenstockDelivery", "PenstockEvents", "CConsole", "CZlib",
        "CZstd",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Crypto", package: "swift-crypto", condition: sinks),
        .product(name: "HTTPTypes", package: "swift-http-types", condition: server),
        .product(name: "Hummingbird", package: "hummingbird", condition: server),
        .product(name: "HummingbirdCore", package: "hummingbird", condition: server),
        .product(name: "HummingbirdHTTP2", package: "hummingbird", condition: server),
        .product(name: "NIOCore", package: "swift-nio", condition: sinks),
        .product(name: "NIOHTTP1", package: "swift-nio", condition: sinks),
        .product(name: "NIOSSL", package: "swift-nio-ssl", condition: sinks),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle", condition: sinks),
        .product(name: "Tracing", package: "swift-distributed-tracing", condition: server),
      ],
      swiftSettings: commonSwiftSettings),
    // Not a product: what the command line and the benches share.
    .target(
      name: "PenstockToolSupport",
      dependencies: [
        "CPenstock", "PenstockLog", "PenstockEvents", "PenstockDelivery", "PenstockSupport", "PenstockServer",
        .product(name: "ArgumentParser", package: "swift-argument-parser", condition: sinks),
      ],
      swiftSettings: commonSwiftSettings),
    // Not part of a release: it is run from a checkout, by `make bench`.
    .executableTarget(
      name: "PenstockBench",
      dependencies: [
        "PenstockLog", "PenstockEvents", "PenstockDelivery", "PenstockSupport", "PenstockSinks", "PenstockServer",
        "PenstockToolSupport",
        .product(name: "ArgumentParser", package: "swift-argument-parser", condition: sinks),
      ],
      swiftSettings: commonSwiftSettings),
    .executableTarget(
      name: "PenstockCLI",
      dependencies: [
        "PenstockLog", "PenstockEvents", "PenstockDelivery", "PenstockSupport", "PenstockSinks", "PenstockServer",
        "PenstockToolSupport",
        .product(name: "ArgumentParser", package: "swift-argument-parser", condition: sinks),
        .product(name: "Yams", package: "Yams", condition: sinks),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle", condition: sinks),
      ],
      swiftSettings: commonSwiftSettings),
    .target(
      name: "PenstockMetrics",
      dependencies: [
        "PenstockLog", .target(name: "PenstockDelivery", condition: sinks),
        .product(name: "CoreMetrics", package: "swift-metrics", condition: metrics),
        .product(name: "Tracing", package: "swift-distributed-tracing", condition: metrics),
      ],
      swiftSettings: commonSwiftSettings),
    .target(
      name: "PenstockTestKit",
      dependencies: ["PenstockLog", "PenstockDelivery", .product(name: "Logging", package: "swift-log")],
      swiftSettings: commonSwiftSettings),
    // Not a product: the simulation of whole runs and its searches, for our own tests.
    .target(
      name: "PenstockSimulation",
      dependencies: [
        "PenstockLog", "PenstockDelivery", "PenstockTestKit", .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: commonSwiftSettings),
    // Not a product: it is run from a checkout, by `make lab-…`.
    .executableTarget(
      name: "PenstockLab", dependencies: ["PenstockLog", "PenstockDelivery", "PenstockSimulation", "PenstockTestKit"],
      swiftSettings: commonSwiftSettings),
    .testTarget(
      name: "PenstockLogTests",
      dependencies: [
        "PenstockLog", "PenstockDelivery", "PenstockSimulation", "PenstockTestKit",
        .product(name: "Logging", package: "swift-log"),
      ],
      resources: [.copy("Golden")], swiftSettings: commonSwiftSettings),
    .testTarget(
      name: "PenstockCrashTests",
      dependencies: ["PenstockLog", "PenstockDelivery", "PenstockSimulation", "PenstockTestKit"],
      swiftSettings: commonSwiftSettings),
    .testTarget(
      name: "PenstockMetricsTests",
      dependencies: [
        "PenstockLog", "PenstockMetrics", "PenstockTestKit", .target(name: "PenstockDelivery", condition: sinks),
        .product(name: "CoreMetrics", package: "swift-metrics", condition: metrics),
        .product(name: "MetricsTestKit", package: "swift-metrics", condition: metrics),
        .product(name: "Tracing", package: "swift-distributed-tracing", condition: metrics),
        .product(name: "InMemoryTracing", package: "swift-distributed-tracing", condition: metrics),
      ],
      swiftSettings: commonSwiftSettings),
    .testTarget(
      name: "PenstockEventsTests", dependencies: ["PenstockEvents", "CPenstock"], swiftSettings: commonSwiftSettings),
    .testTarget(
      name: "PenstockBenchTests",
      dependencies: ["PenstockBench", "PenstockLog", "PenstockEvents", "PenstockToolSupport"],
      swiftSettings: commonSwiftSettings),
    .testTarget(
      name: "PenstockDeliveryTests",
      dependencies: [
        "PenstockLog", "PenstockDelivery", "PenstockSimulation", "PenstockTestKit",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle", condition: sinks),
      ],
      swiftSettings: commonSwiftSettings),
    .testTarget(
      name: "PenstockSinksTests",
      dependencies: [
        "PenstockLog", "PenstockEvents", "PenstockDelivery", "PenstockSupport", "PenstockSinks", "PenstockServer",
        "PenstockSimulation", "PenstockTestKit",
      ],
      swiftSettings: commonSwiftSettings),
    .testTarget(
      name: "PenstockServerTests",
      dependencies: [
        "PenstockLog", "PenstockEvents", "PenstockDelivery", "PenstockSupport", "PenstockSinks", "PenstockServer",
        "PenstockTestKit",
        .product(name: "HTTPTypes", package: "swift-http-types", condition: server),
        .product(name: "Hummingbird", package: "hummingbird", condition: server),
        .product(name: "HummingbirdTesting", package: "hummingbird", condition: server),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio", condition: sinks),
        .product(name: "NIOEmbedded", package: "swift-nio", condition: sinks),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle", condition: sinks),
        .product(name: "InMemoryTracing", package: "swift-distributed-tracing", condition: server),
        .product(name: "Tracing", package: "swift-distributed-tracing", condition: server),
      ],
      swiftSettings: commonSwiftSettings),
  ],
  swiftLanguageModes: [.v6]
)

// What the fuzzers call, called by a test with every committed input. Fuzzing itself builds the same files its own way.
if Context.environment["PENSTOCK_FUZZ"] != "1" {
  package.targets += [
    .target(
      name: "FuzzKit", path: "Fuzz/Sources/Kit", exclude: ["FuzzDriver.swift"], swiftSettings: commonSwiftSettings),
    .testTarget(
      name: "PenstockFuzzTests",
      dependencies: [
        "FuzzKit", "PenstockLog", "PenstockEvents", "PenstockDelivery", "PenstockSinks", "PenstockServer",
        "PenstockCLI",
      ],
      path: "Fuzz",
      exclude: [
        "corpus", "dictionaries", "Sources/Kit", "Sources/Core/main.swift", "Sources/Edge/main.swift",
        "Sources/Command/main.swift",
      ],
      sources: ["Sources/Core", "Sources/Edge", "Sources/Command", "Tests"], swiftSettings: commonSwiftSettings),
  ]
}

// scripts/fuzz sets this, with a scratch path of its own. Only our targets have a sanitizer and coverage.
if Context.environment["PENSTOCK_FUZZ"] == "1" {
  let instrumented = [SwiftSetting.unsafeFlags(["-O", "-sanitize=fuzzer,address"])]
  // The command line without its entry, because a program cannot be built into another one.
  if let command = package.targets.first(where: { $0.name == "PenstockCLI" }) {
    package.targets.removeAll { $0.name == command.name }
    package.products.removeAll { $0.name == "penstock" }
    package.targets.append(
      .target(
        name: command.name, dependencies: command.dependencies, exclude: ["Penstock.swift"],
        swiftSettings: commonSwiftSettings))
  }
  let core = ["PenstockLog", "PenstockEvents", "PenstockDelivery"]
  let edge = core + ["PenstockSupport", "PenstockSinks", "PenstockServer"]
  for target in package.targets where (edge + ["PenstockToolSupport", "PenstockCLI"]).contains(target.name) {
    target.swiftSettings = commonSwiftSettings + instrumented
  }
  // Several programs, because a run's speed falls with the code that is watched.
  let linked = [LinkerSetting.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])]
  package.targets.append(.target(name: "FuzzKit", path: "Fuzz/Sources/Kit", swiftSettings: commonSwiftSettings))
  for (name, libraries) in [("Core", core), ("Edge", edge), ("Command", edge + ["PenstockCLI"])] {
    package.targets.append(
      .executableTarget(
        name: "PenstockFuzz" + name, dependencies: (libraries + ["FuzzKit"]).map { .byName(name: $0) },
        path: "Fuzz/Sources/" + name, swiftSettings: commonSwiftSettings + instrumented, linkerSettings: linked))
  }
}
