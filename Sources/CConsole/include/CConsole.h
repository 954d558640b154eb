#ifndef CCONSOLE_H
#define CCONSOLE_H
#include <stddef.h>

/// A file of the console, as it lies in `assets`.
struct penstock_console_file {
  const char *name;
  const unsigned char *bytes;
  size_t length;
};

/// The file of that number, from 0 on; NULL behind the last.
const struct penstock_console_file *penstock_console_file_at(size_t number);

#endif
