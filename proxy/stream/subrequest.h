// A request that a filter makes: to authorize another one, to revalidate what it has stored, to fetch keys, or a copy that nobody waits for; or one that the proxy makes by
// itself, to tell its telemetry. It is a stream whose downstream is its owner in the place of a client: it has a head and a body that is whole when it begins, runs attempts
// and no filters above them, is tried once, and makes no subrequests itself. It is counted among the requests of its service, but for the proxy's own, and has no line of its
// own in the access log.
//
// Owner:      itself. Whoever starts it may forget it, and must be there for `completed` unless it cancels.
// Start:      subrequest_start, subrequest_start_own.
// Callbacks:  `completed`, exactly once, never from within these; not after subrequest_cancel.
// Cancel:     subrequest_cancel.
// Memory:     goes at the end of the turn in which it is over.
#ifndef STREAM_SUBREQUEST_H
#define STREAM_SUBREQUEST_H

#include "stream/stream.h"

// So many of a kind at a time in one worker: some 10 KB each, more with bodies. A flood of copies keeps nobody from being authorized, nor does an agent that hangs keep keys from being fetched.
#define SUBREQUESTS_MAX 1024

// And of these to one service, whatever becomes of its documents: an agent that hangs keeps no other from being asked.
#define SUBREQUESTS_TO_ONE_MAX 512

// Of the proxy's own, which nobody's request is behind: each exporter has one at a time, and each may carry megabytes.
#define SUBREQUESTS_OWN_MAX 8

// What became of one. Valid until `completed` returns: who wants the head's texts copies them, who wants the body moves it.
struct subrequest_answer {
    enum error end;                // OK: the answer came, whole
    const struct head *head;       // with an error the reply that it stands for; NULL: none
    struct buffer *body;           // at most answer_bytes_kept
    bool is_cut;                   // there was more of it
    const struct fields *trailers; // NULL: none came
    struct stream *stream;         // its own: what is made of the answer may lie in its pool
};

struct subrequest_order {
    enum subrequest_kind kind;
    const struct service_config *service; // of the snapshot that the parent pins, or that is bound
    const struct head *head;              // as it is to be sent, its path canonical; all of it is copied
    struct buffer *body;                  // taken over, all of it; NULL: none
    const struct fields *trailers;        // copied; NULL: none
    nanoseconds timeout;                  // for the whole answer
    size_t answer_bytes_max;              // a longer body ends it with ERROR_BODY_TOO_LARGE
    size_t answer_bytes_kept;             // what is longer is read and thrown away; 0: all that may be
    bool drops_body;                      // the answer's body is read and thrown away, however long
    void (*completed)(void *user, const struct subrequest_answer *answer);
    void *user;
};

struct subrequest;

// On behalf of `parent`, which may end before it. While the parent pins its snapshot (keepsake.h): from decide to response_head, in request_data and response_data.
// ERROR_FULL: there are SUBREQUESTS_MAX of its kind, or SUBREQUESTS_TO_ONE_MAX to its service. ERROR_MEMORY_LIMIT: memory is short. Then nothing happened.
// `started` may be NULL.
MUST_CHECK enum error subrequest_start(struct stream *parent, const struct subrequest_order *order, struct subrequest **started);

// One of the proxy's own, to a service of `bound`. The same errors, with SUBREQUESTS_OWN_MAX. `*started` is set before this returns, and where it starts alone.
MUST_CHECK enum error subrequest_start_own(struct stream_env *env, struct bound_snapshot *bound, const struct subrequest_order *order,
                                           struct subrequest **started);

// It is not over. `user` becomes a copy of what `user` points to, in its own memory: for an owner that may go before it. Returns that.
void *subrequest_keep(struct subrequest *subrequest, const void *user, size_t size);

// It is not over. Its answer is wanted no more.
void subrequest_cancel(struct subrequest *subrequest);

// All of a worker that is about to stop: their owners are told, as ever.
void subrequests_cancel_all(struct stream_env *env);

#endif
