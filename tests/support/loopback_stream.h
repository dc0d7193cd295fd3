// Streams without connections: a fake sink in the place of the client, fake servers in the place of endpoints (fake_upstream.h), a virtual clock. For unit tests
// of proxy/stream and of filters, which see all of a stream but sockets and codecs of the client's side.
//
//   loopback_init(&world, documents, filters);
//   client_get(&client, &world, "GET a /path\naccept: x\n");      // method, authority, path; a field per line
//   far_respond(...);                                             // what the server answers
//   assert: client.status, client.fields, client.body, world.record.end
//   client_dispose(&client); loopback_dispose(&world);            // aborts when anything is left over
#ifndef SUPPORT_LOOPBACK_STREAM_H
#define SUPPORT_LOOPBACK_STREAM_H

#include "stream/stream.h"
#include "support/fake_upstream.h"
#include "upstream/cluster.h"

// What the access log was told last. Texts are copies.
struct loopback_record {
    unsigned count;
    enum error end;
    unsigned status;
    int grpc_status;
    unsigned attempts;
    uint64_t request_bytes;
    uint64_t response_bytes;
    nanoseconds duration;
    nanoseconds upstream_duration;
    char detail[128];
    char policy[128];
    char delayed[128];
    char dry_run[128];
    char retried_for[128];
    char retried_by[256];
    char ejected_by[256];
    char retry_refused[32];
    char ejected[64];
    char service[64];
    char endpoint[64];
    char path[128];
    char request_id[64];
    char trace_id[40];
    char span_id[24];
    char keys[128];
    char headers[128];
};

struct loopback {
    struct fake_upstream far;
    struct stream_env env;
    struct bound_snapshot *bound;
    const struct filter_type *const *filters;
    struct policy_states states;
    struct loopback_record record;
};

// The client's side of one stream.
struct client {
    struct stream_sink sink; // first
    struct loopback *world;
    struct stream *stream; // NULL once released
    // What was sent to it.
    unsigned status;    // of the final head; 0: none
    unsigned interim;   // 1xx heads
    struct text heads;  // of each head: "200\nname: value\n..."
    struct text fields; // of the final head
    struct text body;
    struct text trailers;
    bool ended; // complete
    bool was_reset;
    enum error reset_error;
    bool done;
    size_t consumed;
    // What it does.
    size_t accepts;        // bytes of body that it still takes; SIZE_MAX: all
    enum error head_error; // no head can be sent to it: what the stream is told then
    bool keeps;            // is not released with `done`, as if bytes still waited in a codec: client_release follows
    struct text unsent;    // body held back: the stream has no more credit
    size_t unsent_at;
    bool unsent_end;
    char *trailer_lines;
    // High-water marks.
    size_t held_most; // of the stream's own buffers toward upstream
};

// `filters` ends with NULL; may be NULL: none.
void loopback_init(struct loopback *world, const char *documents, const struct filter_type *const *filters);
void loopback_apply(struct loopback *world, const char *documents);
void loopback_dispose(struct loopback *world);

// Without a body.
void client_get(struct client *client, struct loopback *world, const char *request);
// A body follows by client_send. Neither settles.
void client_open(struct client *client, struct loopback *world, const char *request);
// client_get, and settles.
void client_ask(struct client *client, struct loopback *world, const char *request);
// As over HTTP/2: version of the head. For client_get_as and the two above HTTP/1.1.
void client_begin_as(struct client *client, struct loopback *world, const struct listener_config *listener, const struct stream_client *from,
                     enum http_version version, const char *request, bool end);

// Settles. Held back where the stream has no credit, and sent on by itself.
void client_send(struct client *client, struct bytes body, bool end);
// Ends the request; `lines` may be NULL. Settles.
void client_end(struct client *client, const char *lines);
// It takes `count` more bytes of the response. Settles.
void client_accept(struct client *client, size_t count);
// The request breaks off, or the client goes (ERROR_CLIENT_GONE). Settles.
void client_fail(struct client *client, enum error error);
// `keeps`: now it may go. Settles.
void client_release(struct client *client);
// The stream must be done.
void client_dispose(struct client *client);

// All of them, and their world.
void clients_leave(struct client *clients, unsigned count, struct loopback *world);

// Value of a field of the final head; NULL when absent. Valid until the next call.
const char *client_field(const struct client *client, const char *name);

void loopback_settle(struct loopback *world);
void loopback_pass(struct loopback *world, nanoseconds duration);

// A request's head out of "GET a /path\nname: value\n".
void head_from_text(struct head *head, struct pool *pool, enum http_version version, const char *request);

const struct listener_config *loopback_listener(const struct loopback *world, const char *name);

#endif
