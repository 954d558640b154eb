import PenstockDelivery
import PenstockSinks

/// The store of a destination's objects, and the layout of their names.
enum ExportStoreSettings {
  case bucket(S3Configuration)
  case directory(String, ExportLayout)

  var layout: ExportLayout {
    switch self {
    case .bucket(let configuration): configuration.layout
    case .directory(_, let layout): layout
    }
  }

  /// Opens the store. Returns it with a function that closes it.
  func open() throws(SinkError) -> (store: any ExportStore, close: () async -> Void) {
    switch self {
    case .bucket(let configuration):
      let store = try S3ExportStore(configuration)
      return (store, { await store.close() })
    case .directory(let root, _): return (DirectoryExportStore(root: root), {})
    }
  }
}
