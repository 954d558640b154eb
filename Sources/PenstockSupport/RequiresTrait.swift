#if !Sinks
  #error("PenstockSinks needs the trait Sinks of the package penstock")
#endif
