// One try of an export on its way: the main thread makes it and has it carried to a worker, which sends it as a request of its own (stream/subrequest.h) by its newest
// snapshot, and leaves a note with the answer in it.
//
// Owner:      the main thread; the worker's from export_call_run until its note is delivered.
// Start:      export_call_run, on the worker's thread, once.
// Callbacks:  `over`, on the thread of `home`, once.
// Cancel:     export_call_cancel. When the worker has stopped the note has been left, if the call was begun.
// Memory:     export_call_destroy, after `over`, or once the worker has stopped.
#ifndef AGENT_EXPORT_CALL_H
#define AGENT_EXPORT_CALL_H

#include "agent/otlp_sender.h"
#include "stream/stream.h"

struct export_call {
    struct note note;
    struct mailbox *home;
    void (*over)(struct export_call *call);
    void *user;
    enum otlp_signal signal;
    struct otlp_sender_terms terms;
    nanoseconds timeout;
    struct bytes body;              // the sender's
    struct export_call **under_way; // the worker's, of export_call_run
    struct subrequest *subrequest;  // the worker's; NULL: it has not begun, or is over
    struct otlp_answer answer;      // once it is over; its texts are the call's
};

// `body` stays until it is over.
struct export_call *export_call_create(struct mailbox *home, enum otlp_signal signal, const struct otlp_sender_terms *terms, struct bytes body,
                                       nanoseconds timeout, void (*over)(struct export_call *call), void *user);

// The worker's thread. `bound`: its newest snapshot; NULL: it has none yet. `*under_way`: the call, until it is over; it was NULL.
void export_call_run(struct export_call *call, struct stream_env *env, struct bound_snapshot *bound, struct export_call **under_way);

// The worker's thread, while it is under way: it is over, with ERROR_CANCELLED.
void export_call_cancel(struct export_call *call);

void export_call_destroy(struct export_call *call);

#endif
