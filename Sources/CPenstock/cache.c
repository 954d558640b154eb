#define _GNU_SOURCE
#include "CPenstock.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__) && defined(O_DIRECT)
#include <sys/vfs.h>

// O_DIRECT wants positions, lengths and memory aligned to the device's blocks; 4 KiB serves all in use.
enum { page = 4096, chunk = 1 << 20, rounds = 8 };

// File systems whose only copy is in memory: there is no disk to compare with, and none to lose.
static int lives_in_memory(int descriptor) {
  struct statfs found;
  if (fstatfs(descriptor, &found) != 0) return 0;
  return found.f_type == 0x01021994 /* tmpfs */ || found.f_type == (long)0x858458f6 /* ramfs */;
}

// Fills `resident` with one byte for each page; its lowest bit says whether memory holds that page.
// Returns how many pages memory holds, or -1 when the kernel does not say.
static long count_resident(int descriptor, size_t length, unsigned char *resident) {
  void *mapped = mmap(0, length, PROT_READ, MAP_SHARED, descriptor, 0);
  if (mapped == MAP_FAILED) return -1;
  long count = -1;
  if (mincore(mapped, length, resident) == 0) {
    count = 0;
    for (size_t i = 0; i < (length + page - 1) / page; i++) count += resident[i] & 1;
  }
  munmap(mapped, length);
  return count;
}

static ssize_t read_fully(int descriptor, char *buffer, size_t length, off_t position) {
  size_t done = 0;
  while (done < length) {
    ssize_t count = pread(descriptor, buffer + done, length - done, position + (off_t)done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return -1;
    if (count == 0) break;
    done += (size_t)count;
    if (done % page != 0) break;  // the file's end: a direct read cannot continue from here
  }
  return (ssize_t)done;
}

// Compares one stretch of pages; page by page where it cannot be read at once. A page that neither way can read is not cached.
static int compare(int descriptor, int direct, char *cached, char *stored, off_t position, size_t length) {
  ssize_t on_disk = read_fully(direct, stored, length, position);
  if (on_disk < 0 && errno == EINVAL) return PENSTOCK_CACHE_UNKNOWN;
  ssize_t in_memory = read_fully(descriptor, cached, length, position);
  if (on_disk < 0 && length > page) {
    int verdict = PENSTOCK_CACHE_DROPPED;
    for (size_t done = 0; done < length && verdict == PENSTOCK_CACHE_DROPPED; done += page)
      verdict = compare(descriptor, direct, cached, stored, position + (off_t)done, page);
    return verdict;
  }
  if (on_disk < 0 && in_memory < 0) return PENSTOCK_CACHE_DROPPED;
  if (on_disk != in_memory) return PENSTOCK_CACHE_STALE;
  return memcmp(cached, stored, (size_t)on_disk) == 0 ? PENSTOCK_CACHE_DROPPED : PENSTOCK_CACHE_STALE;
}

// Compares the pages that memory holds with the disk: another process may be reading them at this moment.
static int compare_resident(int descriptor, size_t length, const unsigned char *resident) {
  char name[64];
  snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
  int direct = open(name, O_RDONLY | O_DIRECT | O_CLOEXEC);
  if (direct < 0) return PENSTOCK_CACHE_UNKNOWN;
  void *buffers = 0;
  int verdict = PENSTOCK_CACHE_UNKNOWN;
  if (posix_memalign(&buffers, page, 2 * chunk) == 0) {
    verdict = PENSTOCK_CACHE_DROPPED;
    char *cached = buffers, *stored = cached + chunk;
    size_t pages = (length + page - 1) / page, first = 0;
    while (verdict == PENSTOCK_CACHE_DROPPED && first < pages) {
      if (!resident || (resident[first] & 1)) {
        size_t end = first + 1;
        while (end < pages && end - first < chunk / page && (!resident || (resident[end] & 1))) end++;
        verdict = compare(descriptor, direct, cached, stored, (off_t)(first * page), (end - first) * page);
        first = end;
      } else {
        first++;
      }
    }
    free(buffers);
  }
  close(direct);
  return verdict;
}

int penstock_drop_cache(int descriptor) {
  struct stat found;
  if (fstat(descriptor, &found) != 0) return PENSTOCK_CACHE_UNKNOWN;
  size_t length = (size_t)found.st_size;
  if (length == 0 || lives_in_memory(descriptor)) return PENSTOCK_CACHE_DROPPED;
  // mincore counts in pages of the machine; where they are not 4 KiB all of the file is compared.
  int knows_pages = sysconf(_SC_PAGESIZE) == page;
  unsigned char *resident = knows_pages ? malloc((length + page - 1) / page) : 0;
  int verdict = PENSTOCK_CACHE_UNKNOWN;
  for (int round = 0; round < rounds; round++) {
    posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
    long count = resident ? count_resident(descriptor, length, resident) : -1;
    verdict = count == 0 ? PENSTOCK_CACHE_DROPPED
                         : compare_resident(descriptor, length, count < 0 ? 0 : resident);
    if (verdict != PENSTOCK_CACHE_STALE) break;
  }
  free(resident);
  return verdict;
}

ssize_t penstock_read_directly(int descriptor, void *buffer, size_t length, int64_t position) {
  char name[64];
  snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
  int direct = open(name, O_RDONLY | O_DIRECT | O_CLOEXEC);
  if (direct < 0) return -1;
  void *bounce = 0;
  ssize_t count = -1;
  if (posix_memalign(&bounce, page, page) == 0) {
    off_t start = position / page * page;
    count = read_fully(direct, bounce, page, start);
    if (count >= 0) {
      count = count > position - start ? count - (position - start) : 0;
      if ((size_t)count > length) count = (ssize_t)length;
      memcpy(buffer, (char *)bounce + (position - start), (size_t)count);
    }
    free(bounce);
  }
  close(direct);
  return count;
}

#else

ssize_t penstock_read_directly(int descriptor, void *buffer, size_t length, int64_t position) {
  (void)descriptor;
  (void)buffer;
  (void)length;
  (void)position;
  return -1;
}

int penstock_drop_cache(int descriptor) {
  (void)descriptor;
  return PENSTOCK_CACHE_UNKNOWN;
}

#endif
