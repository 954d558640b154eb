#include "CPenstock.h"


#if defined(__GLIBC__)
#include <malloc.h>
void penstock_limit_arenas(int count) { (void)mallopt(M_ARENA_MAX, count); }
void penstock_map_allocations(int bytes) {
  (void)mallopt(M_MMAP_THRESHOLD, bytes);
  // Setting one of them ends the adjusting of both, and 128 KiB would come and go with every small block.
  (void)mallopt(M_TRIM_THRESHOLD, 16 * bytes);
}
#else
void penstock_limit_arenas(int count) { (void)count; }
void penstock_map_allocations(int bytes) { (void)bytes; }
#endif
