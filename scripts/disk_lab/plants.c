// Faults that the disk laboratory must find, preloaded into penstock. PENSTOCK_PLANT names one:
//
//   sync    no sync reaches the disk, and each says that it did
//   trust   the page cache cannot be dropped or passed by, and is said to be empty: what an opening reads may be on no disk
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

static int planted(const char *name) {
  const char *plant = getenv("PENSTOCK_PLANT");
  return plant && !strcmp(plant, name);
}

// The next definition of a function, which is the C library's.
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int file) { return planted("sync") ? 0 : REAL(fsync)(file); }
int fdatasync(int file) { return planted("sync") ? 0 : REAL(fdatasync)(file); }
int syncfs(int file) { return planted("sync") ? 0 : REAL(syncfs)(file); }
int sync_file_range(int file, off64_t offset, off64_t count, unsigned flags) {
  return planted("sync") ? 0 : REAL(sync_file_range)(file, offset, count, flags);
}

int posix_fadvise(int file, off_t offset, off_t count, int advice) {
  return planted("trust") ? 0 : REAL(posix_fadvise)(file, offset, count, advice);
}
int posix_fadvise64(int file, off64_t offset, off64_t count, int advice) {
  return posix_fadvise(file, offset, count, advice);
}

int mincore(void *start, size_t length, unsigned char *pages) {
  if (!planted("trust")) return REAL(mincore)(start, length, pages);
  memset(pages, 0, (length + 4095) / 4096);
  return 0;
}

// cachestat(2) has no function in the C library: answered as if nothing were cached.
long syscall(long number, ...) {
  long a[6];
  va_list list;
  va_start(list, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
  va_end(list);
  if (number == SYS_cachestat && planted("trust")) return memset((void *)a[2], 0, 5 * sizeof(long)), 0;
  return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static int flags_of(int flags) { return planted("trust") ? flags & ~O_DIRECT : flags; }

#define OPEN(name)                                              \
  int name(const char *path, int flags, ...) {                  \
    va_list list;                                               \
    va_start(list, flags);                                      \
    mode_t mode = va_arg(list, mode_t);                         \
    va_end(list);                                               \
    return REAL(name)(path, flags_of(flags), mode);             \
  }
#define OPENAT(name)                                            \
  int name(int folder, const char *path, int flags, ...) {      \
    va_list list;                                               \
    va_start(list, flags);                                      \
    mode_t mode = va_arg(list, mode_t);                         \
    va_end(list);                                               \
    return REAL(name)(folder, path, flags_of(flags), mode);     \
  }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

// A descriptor may be told later to pass by the cache.
int fcntl64(int file, int command, ...) {
  va_list list;
  va_start(list, command);
  long argument = va_arg(list, long);
  va_end(list);
  if (command == F_SETFL) argument = flags_of((int)argument);
  return REAL(fcntl64)(file, command, argument);
}
int fcntl(int file, int command, ...) {
  va_list list;
  va_start(list, command);
  long argument = va_arg(list, long);
  va_end(list);
  return fcntl64(file, command, argument);
}
