// A request that somebody asks about and nobody sends: it is led as far as its attempts would begin, by the code that serves, and told (explanation.h). Nothing that others
// share is changed by it: its counters are its own, it is not logged, takes nothing from limits and budgets, and opens no connection.
#ifndef STREAM_INQUIRY_H
#define STREAM_INQUIRY_H

#include "stream/explanation.h"

// What stands in the place of a worker's own: one for each worker. It must outlive the turn in which the last inquiry ends.
struct inquiry_desk {
    struct stream_env env;
    struct worker_metrics metrics;
};

// A stream without a sink that never advances by itself; its explanation is begun. `of`: the worker's env as it is now. The client's texts must live until inquiry_end.
struct stream *inquiry_begin(struct inquiry_desk *desk, const struct stream_env *of, struct bound_snapshot *bound,
                             const struct listener_config *listener, const struct stream_client *client);

// Decides at once, all to the end. `head` lies in the stream's pool.
void inquiry_decide(struct stream *stream, struct head *head);

// All that was told goes with the turn.
void inquiry_end(struct stream *stream);

#endif
