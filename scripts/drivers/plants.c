// Faults that the disk laboratory must find, preloaded into penstock. PENSTOCK_PLANT names one:
//
//   sync    no sync reaches the disk, and each says that it did
//   trust   the page cache can be neither dropped nor bypassed, and is reported empty: what is read may be on no disk
//
// The headers that declare these functions are left out on purpose: variadic ones are defined with all their arguments.
#define _GNU_SOURCE
#include <asm/fcntl.h>
#include <asm/unistd.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#ifndef __NR_cachestat
#define __NR_cachestat 451
#endif

// The next definition of a function, which is the C library's.
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int planted(const char *name) {
  const char *plant = getenv("PENSTOCK_PLANT");
  return plant && !strcmp(plant, name);
}

int fsync(int file) { return planted("sync") ? 0 : REAL(fsync)(file); }
int fdatasync(int file) { return planted("sync") ? 0 : REAL(fdatasync)(file); }

int posix_fadvise(int file, long offset, long count, int advice) {
  return planted("trust") ? 0 : REAL(posix_fadvise)(file, offset, count, advice);
}
int posix_fadvise64(int file, long offset, long count, int advice) {
  return posix_fadvise(file, offset, count, advice);
}

int mincore(void *start, size_t length, unsigned char *pages) {
  if (!planted("trust")) return REAL(mincore)(start, length, pages);
  memset(pages, 0, (length + 4095) / 4096);
  return 0;
}

// cachestat(2) has no function in the C library.
long syscall(long number, long a, long b, long c, long d, long e, long f) {
  if (number == __NR_cachestat && planted("trust")) return memset((void *)c, 0, 5 * sizeof(long)), 0;
  return REAL(syscall)(number, a, b, c, d, e, f);
}

static int cached(int flags) { return planted("trust") ? flags & ~O_DIRECT : flags; }
int open(const char *path, int flags, unsigned mode) { return REAL(open)(path, cached(flags), mode); }
int open64(const char *path, int flags, unsigned mode) { return REAL(open64)(path, cached(flags), mode); }
int openat(int folder, const char *path, int flags, unsigned mode) {
  return REAL(openat)(folder, path, cached(flags), mode);
}
int openat64(int folder, const char *path, int flags, unsigned mode) {
  return REAL(openat64)(folder, path, cached(flags), mode);
}
