#if !Sinks || !Server
  #error("The command line needs the traits Sinks and Server of the package penstock")
#endif
