// A stream: one request and its response on their way through the proxy. The state machine in stream.c is the only place that decides what happens next.
//
// Owner:      itself; made by whoever received the beginning of a request.
// Start:      stream_create, then the stream_on_... functions tell what came from below; they record and wake.
// Callbacks:  struct stream_sink_ops, from within stream_advance only; `done` is the last.
// Cancel:     stream_on_failed.
// Memory:     all in its pool, which goes at the end of the turn in which the sink calls stream_release, after `done`.
#ifndef STREAM_STREAM_H
#define STREAM_STREAM_H

#include "base/buffer.h"
#include "base/pool.h"
#include "config/snapshot.h"
#include "http/message.h"
#include "net/loop.h"
#include "net/transport.h"
#include "stream/bound.h"
#include "stream/filter.h"
#include "stream/forwarded_for.h"
#include "stream/stream_env.h"
#include "stream/stream_sink.h"
#include "telemetry/access_log.h"
#include "telemetry/worker_metrics.h"

// In the order of the traffic. A tunnel is STREAM_RESPONSE with bodies that have no framing, and is over when both directions are: it needs no state of its own.
enum stream_state {
    STREAM_HEAD,     // the request's head is not complete
    STREAM_CHAIN,    // its filters decide
    STREAM_UPSTREAM, // attempts run; no final head went down yet
    STREAM_RESPONSE, // the head went down, bodies are on their way
    STREAM_DONE
};

// Who the request came from. Borrowed from the connection, which outlives its streams.
struct stream_client {
    const union address *address;
    uint64_t *address_hash;           // of `address`, kept by request_key.c from request to request; 0: not worked out yet. NULL: nobody keeps it
    const union address *destination; // where the connection was going before it was redirected to us; NULL: not known
    const union address *local;       // our end of it; NULL: not known
    uint64_t number;                  // of its connection, among those of its worker
    const struct spiffe_id *identity; // NULL: none was shown
    bool is_kin;                      // and it is of our own trust domain
    struct bytes server_name;         // that a client from outside asked for in its handshake with a gateway; empty: none
    struct bytes forwarded_cert;      // what x-forwarded-client-cert is to say; empty: nothing
    bool secure;
    bool mesh; // our own proxy: outrigger-* is believed
};

// What the reply to a request that a policy refused says beside (verdict.h).
struct refusal {
    struct bytes rule;           // of the policy; empty: no policy has refused it by a verdict
    nanoseconds retry_after;     // 0: not said
    const struct fields *fields; // NULL: none
    uint16_t status;             // of a fault
    int grpc_status;             // the same
    bool by_agent;               // of external authorization
};

struct claims;
struct explanation;
struct stream_tracing;

struct stream {
    struct pool pool;
    struct stream_env *env;
    struct stream_sink *sink;
    struct stream_client client;
    struct forwarded_for forwarded; // what the peer tells of the client
    const struct listener_config *listener;
    struct bound_snapshot *bound; // one pin; NULL: it has a keepsake in its place, in which all lies that is pointed to here
    struct list of_unanswered;    // of its env
    struct list of_bound;         // in one of the lists of `bound`
    struct keepsake *keepsake;    // one reference
    const struct proxy_config *proxy;
    struct bound_destination *destination; // NULL until routed
    const struct traffic_config *traffic;  // of the destination: how its requests are carried
    const struct route_rule *rule;         // that the request goes by; NULL: none
    bool is_subrequest;                    // its destination is set, and no filter above attempts is asked (subrequest.h)
    bool is_own;                           // a subrequest that no request is behind: neither counted among those of its service nor traced
    enum stream_state state;
    struct task task; // runs stream_advance
    struct task release;

    // the request
    struct head *request;       // the sink's; changed by filters
    const struct head *refused; // the sink's, where there is none since it was refused: what had been read of it, for logs alone; NULL: nothing
    const struct fields *request_trailers;
    struct buffer request_body; // received, not yet passed on
    uint64_t request_bytes;
    bool request_arrived; // the head
    bool request_ended;
    enum http_version spoken; // by the application that asks: of its connection, or as the mesh tells
    bool request_is_grpc;
    bool asks_tunnel;         // to go on with another protocol behind a 101 (codec.h, codec_tunnel)
    bool request_ends_here;   // may be forwarded no further: answered by us
    enum error request_error; // from below: broken or gone

    // the response
    struct head *reply; // made here, in the place of what upstream would answer; NULL: none
    const struct fields *reply_trailers;
    struct buffer response_body;            // of that reply; or the piece of the response that is with the filters or has passed them
    const struct head *response;            // sent down
    const struct fields *response_trailers; // the same; NULL: none
    bool response_prepared;                 // upstream's head has come, and is with the filters or has passed them
    bool response_in_hand;                  // some filter has not let that piece pass yet
    bool response_is_last;                  // nothing follows it
    bool has_tunnel;                        // its 101 went down, or it is opaque: bodies are not seen by filters, nor bounded but by buffers
    bool tunnel_answered;                   // upstream's direction is over
    size_t response_taken;                  // bytes that upstream had sent for it
    uint64_t response_bytes;
    uint16_t status; // of the final head; 0: none was sent
    int32_t grpc_status;

    const struct claims *claims; // of the request's token, once it is verified (claims.h); until then, and where there is none, NULL
    struct filter_run filters;
    struct attempts *attempts; // NULL until the chain has let it pass

    // time
    nanoseconds begun, deadline; // deadline: UINT64_MAX: none
    bool deadline_by_caller;     // it is his time, which is shorter than the policy's
    nanoseconds active_at;       // a byte of body or a head moved
    nanoseconds request_took;    // from `begun` to the request's end; 0: it has none yet, or came whole
    nanoseconds switched_at;     // when the 101 went down, or an opaque connection was made; 0: not yet
    nanoseconds upstream_took;   // from the last attempt's start to its response head
    struct timer watch;          // idle and slow bodies

    // the end
    enum error end;
    struct bytes detail; // why, in few words
    struct bytes policy; // "kind/namespace/name: rule" that decided it; empty: none, or the defaults
    struct refusal refusal;
    struct bytes delayed; // policies that made it wait: "kind/namespace/name: rule, ...", of a queue with how long ("...: rule: 12 ms"); empty: none
    struct stream_tracing *tracing;  // its part in a trace (tracing.h); NULL: it has none
    struct explanation *explanation; // of what is decided about it (explanation.h); NULL: nobody asks
    struct bytes dry_run;            // what policies in a dry run would have refused it for: "kind/namespace/name: rule: end, ..."; empty: nothing
};

// A stream in a pool of its own. `size` bytes for the sink are laid out behind it: *sink_memory, zeroed. The sink is set by the caller before anything else is called.
// It pins `bound`, in which `listener` lies: to its end, or until a newer one is in force and its answer goes down.
struct stream *stream_create(struct stream_env *env, struct bound_snapshot *bound, const struct listener_config *listener,
                             const struct stream_client *client, size_t size, void **sink_memory);

// From below. The head stays the sink's and must live as long as the stream.
void stream_on_head(struct stream *stream, struct head *request, bool end);
void stream_on_body(struct stream *stream, struct block *block, struct bytes piece);
void stream_on_end(struct stream *stream, const struct fields *trailers);
void stream_on_writable(struct stream *stream);

// Before stream_on_failed, where the request came to nothing as it was being read: logs say what of it is in `head`, which must live as long as the stream.
void stream_on_refused(struct stream *stream, const struct head *head);

// The request is broken (a reply to it is still possible as far as the sink takes one), or nobody waits for an answer any more:
// with ERROR_CLIENT_GONE since the client went, else for why we closed its connection.
void stream_on_failed(struct stream *stream, enum error error);

// Body that the sink should stop receiving at: less before the chain has let the stream pass.
size_t stream_body_credit(const struct stream *stream);

// For an inquiry (inquiry.h), of which nobody has been told anything: its head is decided about, as far as its chain, at once. Then stream_forget.
void stream_decide(struct stream *stream, struct head *head);
void stream_forget(struct stream *stream);

// From the sink, once, in or after `done`: what was sent has left the codec, nothing refers to the stream any more.
void stream_release(struct stream *stream);

// For filters and attempts: run stream_advance in this or the next turn.
static inline void stream_wake(struct stream *stream) {
    loop_wake(stream->env->loop, &stream->task);
}

// For filters: ends the stream with the reply of errors.md for `error` (or cuts a response that has begun). At most the first one counts. An error that layers tell each
// other becomes the row that it means (error_end).
void stream_fail(struct stream *stream, enum error error, struct bytes detail);

// Beside stream_fail, and before it: `rule` ("timeouts.request") of the TrafficPolicy `policy` ("namespace/name"; empty: the defaults, which are not named) is what ends
// the stream. Told by the access log and by Proxy-Status. The first counts.
void stream_ended_by_policy(struct stream *stream, struct bytes policy, const char *rule);

// Whether it can be led anywhere: its rule's backend is one, and the weights of its rule are not all 0. False: 500 backend_invalid, unless a filter answers.
bool stream_has_backend(const struct stream *stream);

// For filters, from decide, charge and response_head, which then return FILTER_REPLIED: an answer of their own (a redirect, what a cache holds) in the place of upstream's.
// `head` lies in the stream's pool, with status and fields, and content_length where it is not that of the body; it ends with `trailers` (NULL: none) of that pool. Takes
// over what is in `body` (NULL: none), all of it; to HEAD it is not sent. Head and body walk back through the filters before the caller as an answer of upstream would;
// one that runs upstream is given up. The stream ends OK; `detail` says in the log who answered. A later one takes the place of one whose head is not out yet, and so does
// the reply of stream_fail.
void stream_reply(struct stream *stream, struct head *head, struct buffer *body, const struct fields *trailers, struct bytes detail);

#endif
