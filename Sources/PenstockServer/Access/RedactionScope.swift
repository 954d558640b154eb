/// How much an answer may reveal.
///
/// Messages of destinations quote requests with events of every app, and addresses of destinations concern the whole
/// company. A key of one app therefore sees only the kind of a failure, no message and no address.
package enum RedactionScope: Sendable, Hashable {
  case company, oneApp

  /// Nil: the service needs no key.
  package init(_ key: APIKey?) { self = key?.appID == nil ? .company : .oneApp }
}
