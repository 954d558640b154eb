// swift-tools-version: 6.2
import PackageDescription

// In a project of your own: .package(url: "https://…/penstock", from: "0.1.0") instead of the path.
let package = Package(
  name: "hummingbird-backend",
  platforms: [.macOS(.v26)],
  dependencies: [
    .package(name: "penstock", path: "../../.."),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.14.0"),
  ],
  targets: [
    .executableTarget(
      name: "Backend",
      dependencies: [
        .product(name: "PenstockLog", package: "penstock"),
        .product(name: "PenstockDelivery", package: "penstock"),
        .product(name: "PenstockSinks", package: "penstock"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "Logging", package: "swift-log"),
      ])
  ],
  swiftLanguageModes: [.v6]
)
