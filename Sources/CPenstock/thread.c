#define _GNU_SOURCE
#include "CPenstock.h"

#include <pthread.h>
#include <string.h>

void penstock_name_thread(const char *name) {
#if defined(__APPLE__)
  pthread_setname_np(name);
#else
  // Longer names are refused, not cut.
  char kept[16];
  strncpy(kept, name, 15);
  kept[15] = 0;
  pthread_setname_np(pthread_self(), kept);
#endif
}
