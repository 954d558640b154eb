#if !Sinks
  #error("PenstockDelivery needs the trait Sinks of the package penstock")
#endif
