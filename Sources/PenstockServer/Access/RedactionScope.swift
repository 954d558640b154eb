/// For whom an answer is made.
///
/// What destinations say quotes requests with events of every app, and where they are is the company's affair. A key of one app is
/// told of trouble by its kind, without words, and of no addresses.
package enum RedactionScope: Sendable, Hashable {
  case company, oneApp

  /// Nil: nobody is asked for a key.
  package init(_ key: APIKey?) { self = key?.appID == nil ? .company : .oneApp }
}
