#ifndef CPENSTOCK_H
#define CPENSTOCK_H
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// CRC-32C (Castagnoli, reflected 0x82F63B78) of `length` bytes, continuing from `crc`. The pre- and post-inversion are
/// inside, so `penstock_crc32c(penstock_crc32c(s, a, n), b, m)` is the checksum of a followed by b seeded with s.
/// Uses the SSE 4.2 or ARMv8 instruction where the processor has it, a table otherwise; equal results.
uint32_t penstock_crc32c(uint32_t crc, const void *bytes, size_t length);

/// The table implementation, for the test that holds the two against each other.
uint32_t penstock_crc32c_portable(uint32_t crc, const void *bytes, size_t length);

/// Writes the position of every line feed in `bytes` to `positions`, at most `capacity` of them; returns how many there
/// are, which may be more than `capacity`.
size_t penstock_line_feeds(const void *bytes, size_t length, uint32_t *positions, size_t capacity);

/// One past the last byte that is not zero; 0 when all are zero.
size_t penstock_nonzero_end(const void *bytes, size_t length);

/// Sixteen bytes, looked at together. Signed, so that all bytes above ASCII are below the space, as control characters are.
typedef signed char penstock_lanes __attribute__((vector_size(16)));

/// Each of the 16 bytes at `bytes` that may not stand as it is in a JSON string: a quote, a backslash, a control character, or a
/// byte above ASCII.
static inline penstock_lanes penstock_string_stops(const void *bytes) {
  penstock_lanes found;
  __builtin_memcpy(&found, bytes, sizeof found);
  return (found == '"') | (found == '\\') | (found < ' ');
}

/// How many of the 16 bytes at `bytes` may stand as they are in a JSON string, up to the first that may not. What processors
/// without SSE2 do, and for the test that holds the two against each other.
static inline unsigned penstock_plain_bytes_portable(const void *bytes) {
  penstock_lanes stops = penstock_string_stops(bytes);
  uint64_t halves[2];
  __builtin_memcpy(halves, &stops, sizeof halves);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  halves[0] = __builtin_bswap64(halves[0]);
  halves[1] = __builtin_bswap64(halves[1]);
#endif
  if (halves[0]) return (unsigned)__builtin_ctzll(halves[0]) / 8;
  return halves[1] ? 8 + (unsigned)__builtin_ctzll(halves[1]) / 8 : 16;
}

/// The same, inlined where it is called: most strings are shorter.
static inline unsigned penstock_plain_bytes(const void *bytes) {
#if defined(__SSE2__)
  penstock_lanes stops = penstock_string_stops(bytes);
  return (unsigned)__builtin_ctz((unsigned)__builtin_ia32_pmovmskb128(stops) | 0x10000u);
#else
  return penstock_plain_bytes_portable(bytes);
#endif
}

/// Whether both have the same `length` bytes.
int penstock_equal(const void *a, const void *b, size_t length);

/// Writes `length` zeros from the file's beginning past the page cache, as far as that goes; returns how many. `*error` is 0
/// when they are all there or the file system does not do such writes, else the errno that ended it.
uint64_t penstock_zero_directly(int descriptor, uint64_t length, int *error);

/// What ``penstock_drop_cache`` found.
enum {
  /// Later reads return what the disk holds: memory keeps no page of the file, or only pages equal to the disk's.
  PENSTOCK_CACHE_DROPPED = 0,
  /// The kernel does not say which pages memory keeps, and the file cannot be read past the cache.
  PENSTOCK_CACHE_UNKNOWN = 1,
  /// Memory keeps pages that differ from the disk and cannot be dropped: another process has them mapped or locked.
  PENSTOCK_CACHE_STALE = 2,
};

/// Drops the pages that memory keeps of a file, and proves it. Call after a sync: unwritten pages are never dropped.
///
/// The advice to drop pages is a hint, so `mincore` is asked whether any are left. Those that are, because another process reads
/// the file, are compared with the disk by a read past the cache.
int penstock_drop_cache(int descriptor);

/// Reads up to the end of the 4 KiB page that holds `position`, past the cache; returns how many bytes, -1 when that fails. A
/// cache reads several pages at once, and refuses all of them when the disk cannot read one.
ssize_t penstock_read_directly(int descriptor, void *buffer, size_t length, int64_t position);

/// Makes the allocator share its memory among at most `count` arenas, where it has arenas (glibc). Before the first thread.
void penstock_limit_arenas(int count);

/// Makes the allocator ask the system for every allocation of `bytes` or more and give it back when it is freed (glibc). Left
/// alone, glibc raises that limit, up to 32 MiB, each time such an allocation is freed.
void penstock_map_allocations(int bytes);

/// Lets the calling thread run only where others leave the processor free, as far as the system can do that for a thread.
void penstock_background_thread(void);

/// Waits awake for about a microsecond, and lets another thread have the processor if one wants it.
void penstock_linger(void);

/// Gives the calling thread a name for debuggers and profilers; at most 15 bytes are kept.
void penstock_name_thread(const char *name);

/// Renames a file unless there is anything of the new name; then -1 and EEXIST. One step where the file system can do that.
/// Where it cannot, an ordinary rename, which replaces.
int penstock_rename_exclusively(const char *path, const char *target);

/// Which file it is, as long as it is there.
typedef struct {
  uint64_t device;
  uint64_t number;
} PenstockIdentity;

/// Finds which file `path` names or, where it is null, which one the descriptor `file` has. -1 and errno on a failure.
///
/// Asks for nothing else. Since Linux 6.13 a file whose times were asked for gets a new time with its next write. ext4
/// puts that into its journal, so a `stat` between two commits makes the second one a third slower.
int penstock_identity(int file, const char *path, PenstockIdentity *found);

/// The number that Linux gives the kind of file system a path lies on; 0 where it is not known.
uint32_t penstock_volume_magic(const char *path);

#endif
