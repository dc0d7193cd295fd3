// Replays a log through the filters of a proxy, as one worker would have them, on a virtual clock: routes, chains, attempts, breakers and pools are those that serve; clients
// are lines of the log, endpoints answer as the log says (canned_answers.h). No socket is opened, and no time passes but the log's.
#ifndef CLI_SIMULATION_H
#define CLI_SIMULATION_H

#include "cli/logged.h"
#include "cli/simulation_report.h"
#include "http/h2_memory.h"
#include "stream/stream.h"
#include "upstream/upstream.h"

struct simulation {
    struct loop loop;
    struct worker_metrics metrics;
    struct live_shared *shared;
    struct h2_memory *h2_memory;
    struct upstream upstream;
    struct policy_states states;
    struct stream_env env;
    struct snapshot *snapshot;
    struct bound_snapshot *bound;
    const struct log *log;
    struct simulation_report *report;
    struct endpoint_config nowhere; // where all services lead
    struct bytes host;              // of requests whose line has none; empty: they have none
    struct list running;            // what is being replayed
};

// Replays the whole log; fills `report`. The snapshot is changed: what its services lead to is put in the place of their endpoints. Takes its reference over. `host`: of requests
// whose line has none; may be empty.
// False: what the policies do goes round in a circle, and the report is of what was replayed before.
bool simulate(struct snapshot *snapshot, const struct log *log, struct bytes host, struct simulation_report *report);

// For canned_answers: the stream's request has come to an endpoint. Which line it is; NULL: none, it is a copy that a mirror makes.
const struct logged *simulation_sent(const struct stream *stream);

#endif
