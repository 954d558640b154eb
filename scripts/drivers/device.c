// A disk that remembers and refuses: one file, "disk", in a FUSE file system, for a loop device to sit on.
//
// usage: device IMAGE JOURNAL MOUNTPOINT UUID (32 digits)
//
// The content is the file IMAGE, mapped. Every write and flush is added to the file JOURNAL in the order in which it
// was finished: a header (struct entry), then a write's bytes. Standard input takes one command a line; each is
// answered with one line on standard output. When standard input ends, so does the program.
//
//   data OFFSET LENGTH        a range that holds the content of files; only writes into such ranges are refused
//   refuse KIND SKIP KEEP     lets SKIP writes of the kind pass, then fails one with EIO after its first KEEP sectors
//                             are on the disk. KIND: zeros, bytes (not all zeros) or any
//   clear                     refuses no more; answers "refused COUNT OFFSET LENGTH", of the last one that was
//
// Blocks of metadata may lie in a data range too. A failed write of those would end the file system and with it the
// experiment, so they are known by their content: UUID, the file system's own, is in every metadata block of XFS;
// directories and extent trees of ext4 have marks of their own.
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SECTOR = 512, BLOCK = 4096, MAX_RANGES = 256 };
enum kind { WRITE = 1, FLUSH = 2, REFUSED = 3 };
struct entry {
  uint32_t kind, length;
  uint64_t offset;
};
struct range {
  uint64_t offset, length;
};

static const char *mountpoint;
static uint8_t *image;
static uint64_t image_size;
static int journal;
static char uuid[16];

// Written by the thread of commands, read by the one of the disk.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct range ranges[MAX_RANGES];
static int range_count;
static char wanted;  // the first letter of a kind, or 0
static long skip, keep, refused_count;
static struct range last_refused;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void note(enum kind kind, uint64_t offset, const char *bytes, size_t length) {
  struct entry entry = {kind, (uint32_t)length, offset};
  struct iovec parts[] = {{&entry, sizeof entry}, {(void *)bytes, length}};
  if (writev(journal, parts, 2) != (ssize_t)(sizeof entry + length)) fail("device: journal");
}

static int is_zeros(const char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (bytes[i]) return 0;
  return 1;
}

static int is_metadata(const char *bytes, size_t length) {
  static const char directory_tail[] = {0, 0, 0, 0, 12, 0, 0, (char)0xDE};
  if (memmem(bytes, length < 256 ? length : 256, uuid, sizeof uuid)) return 1;
  for (size_t at = 0; at + BLOCK <= length; at += BLOCK) {
    if (!memcmp(bytes + at, "\x0A\xF3", 2)) return 1;
    if (!memcmp(bytes + at + BLOCK - 12, directory_tail, sizeof directory_tail)) return 1;
  }
  return 0;
}

static int holds_data(uint64_t offset, size_t length) {
  for (int i = 0; i < range_count; i++)
    if (offset >= ranges[i].offset && offset + length <= ranges[i].offset + ranges[i].length) return 1;
  return 0;
}

// Whether this write fails now. A small write of zeros may be metadata, so it is never chosen.
static int is_refused(const char *bytes, size_t length, uint64_t offset) {
  if (!wanted || !holds_data(offset, length) || is_metadata(bytes, length)) return 0;
  int zeros = is_zeros(bytes, length);
  if (zeros && length < 2 * BLOCK) return 0;
  if ((wanted == 'z' && !zeros) || (wanted == 'b' && zeros) || skip-- > 0) return 0;
  wanted = 0;
  refused_count++;
  last_refused = (struct range){offset, length};
  return 1;
}

static int disk_write(const char *path, const char *bytes, size_t length, off_t offset, struct fuse_file_info *file) {
  if ((uint64_t)offset + length > image_size) return -ENOSPC;
  pthread_mutex_lock(&lock);
  int refused = is_refused(bytes, length, offset);
  size_t kept = refused ? (size_t)keep * SECTOR : length;
  pthread_mutex_unlock(&lock);
  if (kept > length) kept = length;
  memcpy(image + offset, bytes, kept);
  if (kept) note(WRITE, offset, bytes, kept);
  if (refused) note(REFUSED, offset, NULL, 0);
  return refused ? -EIO : (int)length;
}

static int disk_read(const char *path, char *bytes, size_t length, off_t offset, struct fuse_file_info *file) {
  if ((uint64_t)offset >= image_size) return 0;
  if (offset + length > image_size) length = image_size - offset;
  memcpy(bytes, image + offset, length);
  return (int)length;
}

static int disk_flush(const char *path, int data_only, struct fuse_file_info *file) {
  note(FLUSH, 0, NULL, 0);
  return 0;
}

static int attributes(const char *path, struct stat *stat, struct fuse_file_info *file) {
  memset(stat, 0, sizeof *stat);
  int is_root = !strcmp(path, "/");
  if (!is_root && strcmp(path, "/disk")) return -ENOENT;
  stat->st_mode = is_root ? S_IFDIR | 0700 : S_IFREG | 0600;
  stat->st_nlink = is_root ? 2 : 1;
  stat->st_size = is_root ? 0 : (off_t)image_size;
  return 0;
}

// No cache between loop device and disk: a flush finds every earlier write here.
static int disk_open(const char *path, struct fuse_file_info *file) {
  file->direct_io = 1;
  return 0;
}

static void *commands(void *unused) {
  char line[128], kind;
  unsigned long long offset, length;
  while (fgets(line, sizeof line, stdin)) {
    pthread_mutex_lock(&lock);
    if (sscanf(line, "data %llu %llu", &offset, &length) == 2 && range_count < MAX_RANGES) {
      ranges[range_count++] = (struct range){offset, length};
      puts("ok");
    } else if (sscanf(line, "refuse %c%*s %ld %ld", &kind, &skip, &keep) == 3) {
      wanted = kind;
      puts("ok");
    } else if (!strcmp(line, "clear\n")) {
      wanted = 0;
      printf("refused %ld %lu %lu\n", refused_count, last_refused.offset, last_refused.length);
      refused_count = 0;
    } else {
      puts("unknown command");
    }
    pthread_mutex_unlock(&lock);
    fflush(stdout);
  }
  _exit(0);
}

// The mounts on this disk must not be this process's too: were it the last to leave their namespace, it would have to
// unmount them, and wait for itself.
static void leave_mounts(void) {
  if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || umount2(mountpoint, MNT_DETACH))
    fail("device: mount namespace");
}

static void *begin(struct fuse_conn_info *connection, struct fuse_config *config) {
  pthread_t thread;
  leave_mounts();
  if (pthread_create(&thread, NULL, commands, NULL)) fail("device: thread");
  puts("ready");
  fflush(stdout);
  return NULL;
}

int main(int count, char **arguments) {
  struct stat stat;
  if (count != 5) return fputs("usage: device IMAGE JOURNAL MOUNTPOINT UUID\n", stderr), 2;
  mountpoint = arguments[3];
  int file = open(arguments[1], O_RDWR);
  if (file < 0 || fstat(file, &stat)) fail(arguments[1]);
  image_size = (uint64_t)stat.st_size;
  image = mmap(NULL, image_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (image == MAP_FAILED) fail("device: mmap");
  journal = open(arguments[2], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  if (journal < 0) fail(arguments[2]);
  for (int i = 0; i < 16; i++)
    if (sscanf(arguments[4] + 2 * i, "%2hhx", (unsigned char *)&uuid[i]) != 1) fail("device: UUID");
  struct fuse_operations operations = {
      .init = begin, .getattr = attributes, .open = disk_open, .read = disk_read,
      .write = disk_write, .fsync = disk_flush};
  // In the foreground, on one thread: the order of the journal is the order of the disk.
  char *options[] = {arguments[0], arguments[3], "-f", "-s", NULL};
  return fuse_main(4, options, &operations, NULL);
}
