#include "CPenstock.h"


#if defined(__GLIBC__)
#include <malloc.h>
void penstock_limit_arenas(int count) { (void)mallopt(M_ARENA_MAX, count); }
void penstock_map_allocations(int bytes) { (void)mallopt(M_MMAP_THRESHOLD, bytes); }
#else
void penstock_limit_arenas(int count) { (void)count; }
void penstock_map_allocations(int bytes) { (void)bytes; }
#endif
