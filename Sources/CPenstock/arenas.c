#include "CPenstock.h"


#if defined(__GLIBC__)
#include <malloc.h>
void penstock_limit_arenas(int count) { (void)mallopt(M_ARENA_MAX, count); }
#else
void penstock_limit_arenas(int count) { (void)count; }
#endif
