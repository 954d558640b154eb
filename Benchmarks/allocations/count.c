// Preloaded into a program on Linux: counts what it allocates and says so on standard error when it ends.
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static atomic_ulong count;
static void one(void) { atomic_fetch_add_explicit(&count, 1, memory_order_relaxed); }

void *malloc(size_t size) { return one(), __libc_malloc(size); }
void *calloc(size_t number, size_t size) { return one(), __libc_calloc(number, size); }
void *realloc(void *old, size_t size) { return one(), __libc_realloc(old, size); }
void *aligned_alloc(size_t alignment, size_t size) { return one(), __libc_memalign(alignment, size); }
void *memalign(size_t alignment, size_t size) { return one(), __libc_memalign(alignment, size); }
int posix_memalign(void **place, size_t alignment, size_t size) {
  one();
  *place = __libc_memalign(alignment, size);
  return *place ? 0 : 12;  // ENOMEM
}

__attribute__((destructor)) static void tell(void) {
  fprintf(stderr, "allocations: %lu\n", atomic_load(&count));
}
