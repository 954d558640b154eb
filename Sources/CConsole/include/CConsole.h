#ifndef CCONSOLE_H
#define CCONSOLE_H
#include <stddef.h>

/// A file of the console, with the content that it has in `assets`.
struct penstock_console_file {
  const char *name;
  const unsigned char *bytes;
  size_t length;
};

/// The file with this number, counted from 0; NULL after the last.
const struct penstock_console_file *penstock_console_file_at(size_t number);

#endif
