// What streams that outlive their snapshot still need of it: copies of what their destination, its service and policy, their rule and listener say, once for all streams alike.
//
// A stream pins its whole snapshot from its beginning on. Once its answer goes down and no filter needs its config any more, it depends on little: so when a newer snapshot is in
// force it takes one of these and lets go. A WebSocket of last week then holds some KiB, not the documents of last week.
//
// Plain counts: of one worker.
#ifndef STREAM_KEEPSAKE_H
#define STREAM_KEEPSAKE_H

#include "stream/bound.h"

struct stream;

struct keepsake {
    struct pool pool;                 // it lies in it, with all its texts
    uint32_t references;              // of its snapshot while that is bound, one for each stream
    struct keepsake *next;            // of the same destination, for another listener
    const struct listener_config *of; // that `listener` is a copy of; only compared
    struct proxy_config proxy;
    struct listener_config listener;
    struct service_config service;
    struct traffic_config traffic;
    struct telemetry_rules telemetry;
    struct route_rule rule;
    struct destination config;
    struct bound_destination destination; // its chains have no configs
};

// Takes what the stream still needs, and the pin from its snapshot, where that is possible now; else nothing happens.
void keepsake_take(struct stream *stream);

void keepsake_unref(struct keepsake *keepsake);

#endif
