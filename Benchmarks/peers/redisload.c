// Appends the events of a file to a Redis stream for some seconds: CLIENTS connections, each with BATCH XADDs on their way
// at once and waiting for all their answers.
// usage: redisload PORT FILE CLIENTS BATCH SECONDS
#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct { double sent; int lines; } client_t;

static char *request;
static size_t request_length, next_event;

static void ask(int descriptor, client_t *client, int batch) {
  request_length = 0;
  for (int i = 0; i < batch; i++) {
    event_t event = events[next_event++ % event_count];
    request_length += (size_t)sprintf(
      request + request_length, "*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$1\r\nd\r\n$%d\r\n", event.length);
    memcpy(request + request_length, event.bytes, (size_t)event.length);
    request_length += (size_t)event.length;
    memcpy(request + request_length, "\r\n", 2);
    request_length += 2;
  }
  client->sent = now();
  client->lines = 2 * batch;  // "$15", then the id
  for (size_t done = 0; done < request_length;) {
    ssize_t count = send(descriptor, request + done, request_length - done, MSG_NOSIGNAL);
    if (count < 0 && errno != EINTR) die("send");
    if (count > 0) done += (size_t)count;
  }
}

int main(int argc, char **argv) {
  if (argc != 6) return fprintf(stderr, "usage: redisload PORT FILE CLIENTS BATCH SECONDS\n"), 2;
  read_events(argv[2]);
  int clients = atoi(argv[3]), batch = atoi(argv[4]);
  double seconds = atof(argv[5]);
  int longest = 0;
  for (size_t i = 0; i < event_count; i++)
    if (events[i].length > longest) longest = events[i].length;
  request = malloc((size_t)batch * (size_t)(longest + 100));
  struct pollfd *polls = calloc((size_t)clients, sizeof *polls);
  client_t *state = calloc((size_t)clients, sizeof *state);
  if (!request || !polls || !state) die("memory");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int i = 0; i < clients; i++) {
    int one = 1;
    polls[i].fd = socket(AF_INET, SOCK_STREAM, 0);
    polls[i].events = POLLIN;
    if (connect(polls[i].fd, (struct sockaddr *)&address, sizeof address)) die("connect");
    setsockopt(polls[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }
  double started = now();
  size_t done = 0;
  int busy = clients;
  for (int i = 0; i < clients; i++) ask(polls[i].fd, &state[i], batch);
  while (busy > 0) {
    if (poll(polls, (nfds_t)clients, -1) < 0 && errno != EINTR) die("poll");
    for (int i = 0; i < clients; i++) {
      if (!(polls[i].revents & (POLLIN | POLLHUP | POLLERR))) continue;
      char answer[65536];
      ssize_t count = recv(polls[i].fd, answer, sizeof answer, 0);
      if (count <= 0) die("recv");
      for (ssize_t at = 0; at < count; at++) {
        if (answer[at] == '-' && (at == 0 || answer[at - 1] == '\n')) {
          fwrite(answer + at, 1, (size_t)(count - at), stderr);
          return 1;
        }
        if (answer[at] == '\n') state[i].lines--;
      }
      if (state[i].lines > 0) continue;
      took(now() - state[i].sent);
      done += (size_t)batch;
      if (now() - started < seconds) {
        ask(polls[i].fd, &state[i], batch);
      } else {
        polls[i].fd = ~polls[i].fd;  // poll leaves it out
        busy--;
      }
    }
  }
  tell(done, now() - started);
  return 0;
}
