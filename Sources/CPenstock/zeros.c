#define _GNU_SOURCE
#include "CPenstock.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__linux__) && defined(O_DIRECT)

// Pages nobody wrote to are one page of zeros in memory, however many are mapped.
enum { chunk = 1 << 20, block = 4096 };

static uint64_t write_zeros(int descriptor, const void *zeros, uint64_t length, int *error) {
  uint64_t done = 0;
  while (length - done >= block) {
    uint64_t left = (length - done) / block * block;
    ssize_t count = pwrite(descriptor, zeros, left < chunk ? left : chunk, (off_t)done);
    if (count < 0 && errno == EINTR) continue;
    // A file system that takes the flag and then refuses the write, or takes less than whole blocks.
    if (count < 0 && errno != EINVAL && errno != EOPNOTSUPP) *error = errno;
    if (count <= 0) break;
    done += (uint64_t)count;
    if (count % block != 0) break;
  }
  return done;
}

uint64_t penstock_zero_directly(int descriptor, uint64_t length, int *error) {
  *error = 0;
  int flags = fcntl(descriptor, F_GETFL);
  if (flags < 0 || fcntl(descriptor, F_SETFL, flags | O_DIRECT) < 0) return 0;
  void *zeros = mmap(0, chunk, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  uint64_t done = 0;
  if (zeros != MAP_FAILED) {
    done = write_zeros(descriptor, zeros, length, error);
    munmap(zeros, chunk);
  }
  fcntl(descriptor, F_SETFL, flags);
  return done;
}

#else

uint64_t penstock_zero_directly(int descriptor, uint64_t length, int *error) {
  (void)descriptor;
  (void)length;
  *error = 0;
  return 0;
}

#endif
