import PenstockDelivery
import PenstockSinks

/// Where a destination's objects lie, and what they are called.
enum ExportStoreSettings {
  case bucket(S3Configuration)
  case directory(String, ExportLayout)

  var layout: ExportLayout {
    switch self {
    case .bucket(let configuration): configuration.layout
    case .directory(_, let layout): layout
    }
  }

  /// The store, and what lets go of it.
  func open() throws(SinkError) -> (store: any ExportStore, close: () async -> Void) {
    switch self {
    case .bucket(let configuration):
      let store = try S3ExportStore(configuration)
      return (store, { await store.close() })
    case .directory(let root, _): return (DirectoryExportStore(root: root), {})
    }
  }
}
