#if !Metrics
  #error("PenstockMetrics needs the trait Metrics of the package penstock")
#endif
