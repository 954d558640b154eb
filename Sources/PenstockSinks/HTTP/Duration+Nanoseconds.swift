extension Duration {
  /// Saturates at the ends of the range.
  var wholeNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return seconds > 0 ? .max : .min }
    return scaled.addingReportingOverflow(attoseconds / 1_000_000_000).partialValue
  }
}
