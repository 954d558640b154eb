#if !Server
  #error("PenstockServer needs the trait Server of the package penstock")
#endif
