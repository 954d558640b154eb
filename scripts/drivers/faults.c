// A library to preload: the n-th call on files of one directory fails. Built by the driver `stop`; Linux only.
//
//   PENSTOCK_FAULT_DIR     only paths below it count
//   PENSTOCK_FAULT_CALL    which call fails, from 1; 0 or absent: none, they are only counted
//   PENSTOCK_FAULT_KIND    EIO, ENOSPC, EINTR, or SHORT: half of what was to be read or written is
//   PENSTOCK_FAULT_REPORT  a file that gets one line for each counted call: number, verb, path, and "!" where it failed
//   PENSTOCK_CLOCK_YEARS   the wall clock jumps every 40 ms: now, so many years ahead, so many years back
//
// A failed sync has not synced: what that means for the page cache is tested in the simulated file system, not here.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { files = 4096 };
static char *paths[files];
static atomic_int calls;

static const char *setting(const char *name) {
  const char *value = getenv(name);
  return value && *value ? value : NULL;
}

static int is_ours(const char *path) {
  static const char *folder;
  if (!folder && !(folder = setting("PENSTOCK_FAULT_DIR"))) return 0;
  return path && strncmp(path, folder, strlen(folder)) == 0;
}

static const char *path_of(int file) { return file >= 0 && file < files ? paths[file] : NULL; }

// Counts the call; the error it is to fail with, -1 for a short one, 0 for none.
static int fault(const char *verb, const char *path) {
  if (!is_ours(path)) return 0;
  static int wanted = -1, report = -2;
  static const char *kind = "EIO";
  if (wanted < 0) {
    const char *number = setting("PENSTOCK_FAULT_CALL"), *name = setting("PENSTOCK_FAULT_KIND");
    if (name) kind = name;
    wanted = number ? atoi(number) : 0;
  }
  if (report == -2) {
    const char *name = setting("PENSTOCK_FAULT_REPORT");
    report = name ? (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
  }
  int number = atomic_fetch_add(&calls, 1) + 1;
  int fails = number == wanted;
  if (report >= 0) {
    char line[512];
    int length = snprintf(line, sizeof line, "%d %s %s%s\n", number, verb, path, fails ? " !" : "");
    syscall(SYS_write, report, line, length);
  }
  if (!fails) return 0;
  if (strcmp(kind, "ENOSPC") == 0) return ENOSPC;
  if (strcmp(kind, "EINTR") == 0) return EINTR;
  if (strcmp(kind, "SHORT") == 0) return -1;
  return EIO;
}

#define REAL(name) \
  static __typeof__(name) *real; \
  if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define FAIL_OR_GO_ON(verb, path) \
  int error = fault(verb, path); \
  if (error > 0) { \
    errno = error; \
    return -1; \
  }

static int remember(int file, const char *path) {
  if (file >= 0 && file < files) {
    free(paths[file]);
    paths[file] = is_ours(path) ? strdup(path) : NULL;
  }
  return file;
}

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    REAL(name); \
    va_list rest; \
    va_start(rest, flags); \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
    va_end(rest); \
    FAIL_OR_GO_ON("open", path) \
    return remember(real(path, flags, mode), path); \
  }
OPEN(open)
OPEN(open64)

int openat(int folder, const char *path, int flags, ...) {
  REAL(openat);
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  FAIL_OR_GO_ON("open", path)
  return remember(real(folder, path, flags, mode), path);
}

int close(int file) {
  REAL(close);
  if (path_of(file)) {
    free(paths[file]);
    paths[file] = NULL;
  }
  return real(file);
}

#define HALF(count) (error < 0 && (count) > 1 ? (count) / 2 : (count))
#define TRANSFER(name, verb, buffer) \
  ssize_t name(int file, buffer bytes, size_t count, off_t position) { \
    REAL(name); \
    FAIL_OR_GO_ON(verb, path_of(file)) \
    return real(file, bytes, HALF(count), position); \
  }
TRANSFER(pwrite, "write", const void *)
TRANSFER(pwrite64, "write", const void *)
TRANSFER(pread, "read", void *)
TRANSFER(pread64, "read", void *)

ssize_t write(int file, const void *bytes, size_t count) {
  REAL(write);
  FAIL_OR_GO_ON("write", path_of(file))
  return real(file, bytes, HALF(count));
}

#define ON_FILE(name, verb) \
  int name(int file) { \
    REAL(name); \
    FAIL_OR_GO_ON(verb, path_of(file)) \
    return real(file); \
  }
ON_FILE(fsync, "sync")
ON_FILE(fdatasync, "sync")

#define TRUNCATE(name) \
  int name(int file, off_t length) { \
    REAL(name); \
    FAIL_OR_GO_ON("truncate", path_of(file)) \
    return real(file, length); \
  }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

int fallocate(int file, int mode, off_t from, off_t length) {
  REAL(fallocate);
  FAIL_OR_GO_ON("allocate", path_of(file))
  return real(file, mode, from, length);
}

int rename(const char *old, const char *new) {
  REAL(rename);
  FAIL_OR_GO_ON("rename", old)
  return real(old, new);
}

int link(const char *old, const char *new) {
  REAL(link);
  FAIL_OR_GO_ON("link", new)
  return real(old, new);
}

int unlink(const char *path) {
  REAL(unlink);
  FAIL_OR_GO_ON("unlink", path)
  return real(path);
}

int mkdir(const char *path, mode_t mode) {
  REAL(mkdir);
  FAIL_OR_GO_ON("mkdir", path)
  return real(path, mode);
}

// Seconds to add to the wall clock at this moment.
static time_t jump(void) {
  static long years = -1;
  if (years < 0) {
    const char *value = setting("PENSTOCK_CLOCK_YEARS");
    years = value ? atol(value) : 0;
  }
  if (years == 0) return 0;
  struct timespec now;
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
  long turn = (now.tv_sec * 1000 + now.tv_nsec / 1000000) / 40 % 3;
  return (turn == 0 ? 0 : turn == 1 ? 1 : -1) * years * 31556952;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  REAL(clock_gettime);
  int code = real(clock, time);
  if (code == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += jump();
  return code;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  REAL(gettimeofday);
  int code = real(time, zone);
  if (code == 0) time->tv_sec += jump();
  return code;
}
