import PenstockDelivery
import PenstockEvents
import PenstockLog
import PenstockServer
import PenstockSinks

// The configuration of a destination as the console shows it: keys and values in the file's syntax, including defaults.
// Of a secret it shows only that it is set.

extension Configuration.Destination {
  var shownSettings: [ServiceSetting] {
    switch kind {
    case .webhook(let webhook): webhook.shown + shownTreatment
    case .s3(let bucket): bucket.shown + bucket.layout.shown + shownRotation + shownTreatment
    case .directory(let root, let layout):
      [ServiceSetting("path", root)] + layout.shown + shownRotation + shownTreatment
    }
  }

  private static func text(_ position: Position) -> String {
    switch position {
    case .beginning: "beginning"
    case .end: "end"
    case .offset(let offset): "\(offset)"
    case .time(let time), .eventTime(let time): "\(time)"
    }
  }

  private var shownRotation: [ServiceSetting] {
    var settings = [
      ServiceSetting("rotate.maxRecords", "\(policy.maxRecords)"),
      ServiceSetting("rotate.maxBytes", bytes: policy.maxBytes), ServiceSetting("rotate.maxAge", policy.maxWait),
    ]
    if let boundary = policy.boundary { settings.append(ServiceSetting("rotate.boundary", boundary)) }
    return settings
  }

  private var shownTreatment: [ServiceSetting] {
    var settings = [
      ServiceSetting("startAt", Self.text(startAt)),
      ServiceSetting("onRejected", delivery.options.rejection.action.rawValue),
      ServiceSetting("maxInFlight", "\(delivery.options.maxInFlight)"),
    ]
    let rate = delivery.options.rate
    if let limit = rate.recordsPerSecond { settings.append(ServiceSetting("rate.recordsPerSecond", "\(limit)")) }
    if let limit = rate.bytesPerSecond { settings.append(ServiceSetting("rate.bytesPerSecond", bytes: Int(limit))) }
    if let limit = rate.requestsPerSecond { settings.append(ServiceSetting("rate.requestsPerSecond", "\(limit)")) }
    settings += [
      ServiceSetting("retry.first", delivery.options.retry.first),
      ServiceSetting("retry.cap", delivery.options.retry.cap),
      ServiceSetting("lag.behindAfter", delivery.thresholds.behindAfter),
    ]
    return settings
  }
}

extension WebhookConfiguration {
  fileprivate var shown: [ServiceSetting] {
    var settings = [ServiceSetting("url", shownURL), ServiceSetting("method", method.rawValue)]
    settings += headers.map { ServiceSetting("headers.\($0.name)", secrets: 1) }
    settings += [
      ServiceSetting("signing.secrets", secrets: secrets.count), ServiceSetting("batching", batching.rawValue),
      ServiceSetting("batch.maxEvents", "\(maxRecords)"), ServiceSetting("batch.maxBytes", bytes: maxBytes),
      ServiceSetting("batch.maxWait", maxWait), ServiceSetting("timeout", timeout),
      ServiceSetting("tls.certificate", tls.certificate ?? "none"),
    ]
    return settings + shownSelection(fields, filter)
  }
}

extension S3Configuration {
  fileprivate var shown: [ServiceSetting] {
    var settings = [
      ServiceSetting("bucket", bucket), ServiceSetting("region", region),
      ServiceSetting("endpoint", endpoint ?? "Amazon S3"),
    ]
    if let credentials {
      settings += [
        ServiceSetting("credentials.accessKey", Self.masked(credentials.accessKeyID)),
        ServiceSetting("credentials.secretKey", secrets: 1),
      ]
      if credentials.sessionToken != nil { settings.append(ServiceSetting("credentials.sessionToken", secrets: 1)) }
    } else {
      let profile = profile.map { ", profile \($0)" } ?? ""
      settings.append(ServiceSetting("credentials", "from the usual AWS sources\(profile)"))
    }
    settings.append(ServiceSetting("storageClass", storage.storageClass ?? "the bucket's"))
    return settings
  }

  /// Enough to distinguish two keys.
  private static func masked(_ id: String) -> String {
    id.count < 12 ? "set" : "\(id.prefix(4))…\(id.suffix(4))"
  }
}

extension ExportLayout {
  fileprivate var shown: [ServiceSetting] {
    let coding =
      switch compression {
      case .none: "none"
      case .gzip: "gzip"
      case .zstd: "zstd"
      }
    return [
      ServiceSetting("keyTemplate", keyTemplate), ServiceSetting("compression", coding),
      ServiceSetting("manifest", manifest ? "on" : "off"),
    ] + shownSelection(fields, filter)
  }
}

private func shownSelection(_ fields: FieldSelection, _ filter: EventFilter) -> [ServiceSetting] {
  let kept = fields.kept.map(\.rawValue).joined(separator: " ")
  return [
    ServiceSetting("fields.optional", kept.isEmpty ? "none" : kept),
    ServiceSetting("filter", filter == .all ? "everything passes" : "\(filter)"),
  ]
}
