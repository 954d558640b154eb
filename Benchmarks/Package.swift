// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that a user of the log downloads no benchmark harness. `traits: []` on both: no jemalloc for
// the harness, no HTTP stack for the log.
let commonSwiftSettings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

func benchmarks(_ name: String) -> Target {
  .executableTarget(
    name: name,
    dependencies: [
      "BenchmarkSupport",
      .product(name: "Benchmark", package: "benchmark"),
      .product(name: "PenstockLog", package: "penstock"),
    ],
    path: "Benchmarks/\(name)",
    swiftSettings: commonSwiftSettings,
    plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")])
}

let package = Package(
  name: "penstock-benchmarks",
  platforms: [.macOS(.v26)],
  dependencies: [
    .package(name: "penstock", path: "../", traits: []),
    .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
  ],
  targets: [
    .target(
      name: "BenchmarkSupport", dependencies: [.product(name: "PenstockLog", package: "penstock")],
      path: "Support", swiftSettings: commonSwiftSettings),
    benchmarks("AppendBenchmarks"),
    benchmarks("ReplayBenchmarks"),
    benchmarks("RecoverBenchmarks"),
  ],
  swiftLanguageModes: [.v6]
)
