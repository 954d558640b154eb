#define _GNU_SOURCE
#include "CPenstock.h"

#include <errno.h>
#include <stdio.h>

#if defined(__APPLE__)

int penstock_rename_exclusively(const char *path, const char *target) {
  int result = renamex_np(path, target, RENAME_EXCL);
  return result < 0 && errno == ENOTSUP ? rename(path, target) : result;
}

#elif defined(__linux__)
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

int penstock_rename_exclusively(const char *path, const char *target) {
  // The call itself: not every C library has a function for it. 1 is RENAME_NOREPLACE.
  int result = (int)syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, target, 1);
  return result < 0 && (errno == EINVAL || errno == ENOSYS) ? rename(path, target) : result;
}

#else

int penstock_rename_exclusively(const char *path, const char *target) { return rename(path, target); }

#endif

#if defined(__linux__)
#include <sys/vfs.h>

uint32_t penstock_volume_magic(const char *path) {
  struct statfs found;
  return statfs(path, &found) == 0 ? (uint32_t)found.f_type : 0;
}

#else

uint32_t penstock_volume_magic(const char *path) {
  (void)path;
  return 0;
}

#endif

#if defined(__linux__)
#include <linux/stat.h>

int penstock_identity(int file, const char *path, PenstockIdentity *found) {
  // The call itself: not every C library has a function for it.
  struct statx answer;
  long result = syscall(SYS_statx, path ? AT_FDCWD : file, path ? path : "", path ? 0 : 0x1000 /* AT_EMPTY_PATH */,
                        STATX_INO, &answer);
  if (result < 0) return -1;
  found->device = ((uint64_t)answer.stx_dev_major << 32) | answer.stx_dev_minor;
  found->number = answer.stx_ino;
  return 0;
}

#else
#include <sys/stat.h>

int penstock_identity(int file, const char *path, PenstockIdentity *found) {
  struct stat answer;
  if ((path ? stat(path, &answer) : fstat(file, &answer)) < 0) return -1;
  found->device = (uint64_t)answer.st_dev;
  found->number = (uint64_t)answer.st_ino;
  return 0;
}

#endif
