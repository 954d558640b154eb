#include "CPenstock.h"

#include <string.h>

// Filled before main, so that no reader ever races with it.
static uint32_t table[8][256];

#if defined(__x86_64__)
#define HARDWARE __attribute__((target("sse4.2")))
typedef uint64_t crc_state;
#define of_word(c, word) __builtin_ia32_crc32di(c, word)
#define of_byte(c, byte) __builtin_ia32_crc32qi((uint32_t)(c), byte)
static int has_hardware(void) { return __builtin_cpu_supports("sse4.2"); }
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#define HARDWARE
typedef uint32_t crc_state;
#define of_word(c, word) __crc32cd(c, word)
#define of_byte(c, byte) __crc32cb(c, byte)
static int has_hardware(void) { return 1; }
#endif

__attribute__((constructor)) static void fill_table(void) {
  for (uint32_t n = 0; n < 256; n++) {
    uint32_t c = n;
    for (int k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ 0x82F63B78u : c >> 1;
    table[0][n] = c;
  }
  for (uint32_t n = 0; n < 256; n++)
    for (int k = 1; k < 8; k++) table[k][n] = table[0][table[k - 1][n] & 0xff] ^ (table[k - 1][n] >> 8);
}

uint32_t penstock_crc32c_portable(uint32_t crc, const void *bytes, size_t length) {
  const uint8_t *p = bytes;
  uint32_t c = ~crc;
  while (length >= 8) {
    uint32_t low = c ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
    c = table[7][low & 0xff] ^ table[6][low >> 8 & 0xff] ^ table[5][low >> 16 & 0xff] ^ table[4][low >> 24] ^
        table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
    p += 8;
    length -= 8;
  }
  while (length--) c = table[0][(c ^ *p++) & 0xff] ^ (c >> 8);
  return ~c;
}

#if defined(HARDWARE)
// The hardware takes a word a cycle, but needs three cycles for each: three lanes of bytes are as fast as one. A lane's
// state is linear in its bytes, so two lanes become one by moving the state of the first past the bytes of the second.
enum { lane = 1024 };
// By one byte of a state: that part of it after `lane` bytes of zeros.
static uint32_t past_lane[4][256];

__attribute__((constructor)) static void fill_past_lane(void) {
  // After `bit` zero bits, the state 1 << bit is 1: so all of them lie on the way of 1.
  uint32_t bits[32], c = 1;
  for (int k = 1; k <= 8 * lane; k++) {
    c = c & 1 ? (c >> 1) ^ 0x82F63B78u : c >> 1;
    if (k > 8 * lane - 32) bits[8 * lane - k] = c;
  }
  for (int k = 0; k < 4; k++)
    for (int n = 0; n < 256; n++)
      for (int bit = 0; bit < 8; bit++)
        if (n >> bit & 1) past_lane[k][n] ^= bits[8 * k + bit];
}

static inline uint32_t moved_past_lane(uint32_t c) {
  return past_lane[0][c & 0xff] ^ past_lane[1][c >> 8 & 0xff] ^ past_lane[2][c >> 16 & 0xff] ^ past_lane[3][c >> 24];
}

HARDWARE static uint32_t crc32c_hardware(uint32_t crc, const uint8_t *p, size_t length) {
  crc_state c = (uint32_t)~crc;
  uint64_t words[3];
  while (length >= 3 * lane) {
    crc_state second = 0, third = 0;
    for (int at = 0; at < lane; at += 8) {
      memcpy(&words[0], p + at, 8);
      memcpy(&words[1], p + lane + at, 8);
      memcpy(&words[2], p + 2 * lane + at, 8);
      c = of_word(c, words[0]);
      second = of_word(second, words[1]);
      third = of_word(third, words[2]);
    }
    c = moved_past_lane(moved_past_lane((uint32_t)c) ^ (uint32_t)second) ^ (uint32_t)third;
    p += 3 * lane;
    length -= 3 * lane;
  }
  while (length >= 8) {
    memcpy(&words[0], p, 8);
    c = of_word(c, words[0]);
    p += 8;
    length -= 8;
  }
  while (length--) c = of_byte(c, *p++);
  return ~(uint32_t)c;
}
#else
static uint32_t crc32c_hardware(uint32_t crc, const uint8_t *p, size_t length) {
  return penstock_crc32c_portable(crc, p, length);
}
static int has_hardware(void) { return 0; }
#endif

uint32_t penstock_crc32c(uint32_t crc, const void *bytes, size_t length) {
  return has_hardware() ? crc32c_hardware(crc, bytes, length) : penstock_crc32c_portable(crc, bytes, length);
}
