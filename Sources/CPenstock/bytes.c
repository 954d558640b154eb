#include "CPenstock.h"

#include <string.h>

size_t penstock_line_feeds(const void *bytes, size_t length, uint32_t *positions, size_t capacity) {
  const uint8_t *start = bytes, *p = start, *end = start + length;
  size_t count = 0;
  while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
    if (count < capacity) positions[count] = (uint32_t)(p - start);
    count++;
    p++;
  }
  return count;
}

int penstock_equal(const void *a, const void *b, size_t length) { return length == 0 || memcmp(a, b, length) == 0; }

size_t penstock_nonzero_end(const void *bytes, size_t length) {
  const uint8_t *p = bytes;
  while (length >= 8) {
    uint64_t word;
    memcpy(&word, p + length - 8, 8);
    if (word) break;
    length -= 8;
  }
  while (length && !p[length - 1]) length--;
  return length;
}
