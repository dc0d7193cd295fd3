// The way of a signal's requests to a collector, one at a time: to a worker, which sends it, and back with its answer. Of the main thread.
//
// All go by the first worker. Which one it is makes no difference to whoever asks for telemetry, and one keeps the connections to the collector few and in use; a worker does
// for it what it does for any request, of which there are a few in a second at most.
//
// Owner:      who embeds it, beside the sender.
// Start:      by the sender, through export_carrier_ops.
// Callbacks:  otlp_sender_answered.
// Cancel:     by the sender.
// Memory:     the caller's; after export_carrier_end it may go.
#ifndef APP_EXPORT_CARRIER_H
#define APP_EXPORT_CARRIER_H

#include "agent/otlp_sender.h"

struct export_call;
struct proxy;

struct export_carrier {
    struct proxy *proxy;
    struct otlp_sender *sender;
    const char *name;         // of the signal, in the log
    struct export_call *call; // that is under way; NULL: none
};

void export_carrier_init(struct export_carrier *carrier, struct proxy *proxy, struct otlp_sender *sender, const char *name);

// What the sender is given.
struct otlp_carrier export_carrier_ops(struct export_carrier *carrier);

// The workers have stopped: an answer that came is told. What is under way then gets none any more.
void export_carrier_end(struct export_carrier *carrier);

#endif
