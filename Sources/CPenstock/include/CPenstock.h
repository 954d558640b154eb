#ifndef CPENSTOCK_H
#define CPENSTOCK_H
#include <stddef.h>
#include <stdint.h>

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

/// Whether both have the same `length` bytes.
int penstock_equal(const void *a, const void *b, size_t length);

/// Writes `length` zeros from the file's beginning past the page cache, as far as that goes; returns how many. `*error` is 0
/// when they are all there or the file system does not do such writes, else the errno that ended it.
uint64_t penstock_zero_directly(int descriptor, uint64_t length, int *error);

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

#endif
