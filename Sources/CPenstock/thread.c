#define _GNU_SOURCE
#include "CPenstock.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#if defined(__APPLE__)
#include <pthread/qos.h>
#endif

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

void penstock_background_thread(void) {
#if defined(__linux__)
  // Linux keeps policy and priority for every thread: the calling one's, here. A batch thread takes no processor from one that
  // wakes. Not the idle policy: it may be kept from running while it holds what others wait for.
  struct sched_param none = {0};
  sched_setscheduler(0, SCHED_BATCH, &none);
  setpriority(PRIO_PROCESS, 0, 19);
#elif defined(__APPLE__)
  pthread_set_qos_class_self_np(QOS_CLASS_UTILITY, 0);
#endif
}

void penstock_linger(void) {
  for (int turn = 0; turn < 24; turn++) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
  }
  sched_yield();
}
