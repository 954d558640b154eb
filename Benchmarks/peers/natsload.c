// Publishes the events of a file to a JetStream stream for some seconds, over one connection: one after the other with
// WINDOW 1, else with up to WINDOW publications on their way. Every one is acknowledged by the server.
// usage: natsload URL FILE WINDOW SECONDS
#include "load.h"
#include <nats/nats.h>
#include <stdatomic.h>

static atomic_size_t acknowledged, failed;
static size_t ring_size;
static double *sent;

// Answers come in the order of the publications: one connection, one stream.
static void answered(jsCtx *js, natsMsg *message, jsPubAck *ack, jsPubAckErr *error, void *closure) {
  (void)js, (void)closure;
  size_t number = atomic_fetch_add(&acknowledged, 1);
  took(now() - sent[number % ring_size]);
  if (!ack && atomic_fetch_add(&failed, 1) == 0) fprintf(stderr, "not acknowledged: %s\n", error ? error->ErrText : "?");
  natsMsg_Destroy(message);
}

static void must(natsStatus status, const char *what) {
  if (status == NATS_OK) return;
  fprintf(stderr, "%s: %s %s\n", what, natsStatus_GetText(status), nats_GetLastError(NULL));
  exit(1);
}

int main(int argc, char **argv) {
  if (argc != 5) return fprintf(stderr, "usage: natsload URL FILE WINDOW SECONDS\n"), 2;
  read_events(argv[2]);
  long window = atol(argv[3]);
  double seconds = atof(argv[4]);
  ring_size = (size_t)window * 4 + 16;
  sent = calloc(ring_size, sizeof *sent);
  natsConnection *connection = NULL;
  jsCtx *js = NULL;
  jsErrCode code = 0;
  jsOptions options;
  must(natsConnection_ConnectTo(&connection, argv[1]), "connect");
  must(jsOptions_Init(&options), "options");
  options.PublishAsync.MaxPending = window;
  options.PublishAsync.AckHandler = answered;
  options.PublishAsync.StallWait = 200000;  // Thousands on their way to a disk that syncs each of them take that long.
  options.Wait = 10000;
  must(natsConnection_JetStream(&js, connection, &options), "jetstream");
  js_DeleteStream(js, "B", NULL, &code);
  jsStreamConfig stream;
  jsStreamConfig_Init(&stream);
  const char *subjects[] = {"b.>"};
  stream.Name = "B";
  stream.Subjects = subjects;
  stream.SubjectsLen = 1;
  stream.Storage = js_FileStorage;
  must(js_AddStream(NULL, js, &stream, NULL, &code), "stream");
  double started = now();
  size_t number = 0;
  if (window == 1) {
    for (; now() - started < seconds; number++) {
      event_t event = events[number % event_count];
      jsPubAck *ack = NULL;
      double from = now();
      must(js_Publish(&ack, js, "b.e", event.bytes, event.length, NULL, &code), "publish");
      took(now() - from);
      jsPubAck_Destroy(ack);
    }
  } else {
    for (; now() - started < seconds; number++) {
      event_t event = events[number % event_count];
      sent[number % ring_size] = now();
      must(js_PublishAsync(js, "b.e", event.bytes, event.length, NULL), "publish");
    }
    jsPubOptions wait;
    jsPubOptions_Init(&wait);
    wait.MaxWait = 200000;
    must(js_PublishAsyncComplete(js, &wait), "complete");
  }
  double took_all = now() - started;
  if (failed) return 1;
  tell(number, took_all);
  fflush(stdout);
  jsCtx_Destroy(js);
  natsConnection_Destroy(connection);
  nats_Close();
  return 0;
}
