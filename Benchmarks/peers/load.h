// What both load generators share: the events of a file, a clock, exact percentiles.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct { const char *bytes; int length; } event_t;
static event_t *events;
static size_t event_count;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

// One event a line.
static void read_events(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) die(path);
  fseek(file, 0, SEEK_END);
  long size = ftell(file);
  rewind(file);
  char *bytes = malloc((size_t)size);
  if (!bytes || fread(bytes, 1, (size_t)size, file) != (size_t)size) die(path);
  fclose(file);
  size_t room = 0;
  for (char *at = bytes, *end = bytes + size, *stop; at < end; at = stop + 1) {
    stop = memchr(at, '\n', (size_t)(end - at));
    if (!stop) break;
    if (event_count == room) {
      room = room ? room * 2 : 1024;
      events = realloc(events, room * sizeof *events);
      if (!events) die("memory");
    }
    events[event_count++] = (event_t){at, (int)(stop - at)};
  }
  if (!event_count) die("no events");
}

static double *times;
static size_t time_count, time_room;

static void took(double seconds) {
  if (time_count == time_room) {
    time_room = time_room ? time_room * 2 : 65536;
    times = realloc(times, time_room * sizeof *times);
    if (!times) die("memory");
  }
  times[time_count++] = seconds;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

// The result, as JSON.
static void tell(size_t done, double seconds) {
  qsort(times, time_count, sizeof *times, ascending);
  double p50 = time_count ? times[time_count / 2] : 0, p99 = time_count ? times[time_count * 99 / 100] : 0;
  printf("{\"eventsPerSecond\": %.1f, \"p50\": %.1f, \"p99\": %.1f}\n", (double)done / seconds, p50 * 1e6, p99 * 1e6);
}
