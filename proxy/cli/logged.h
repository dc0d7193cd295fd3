// Requests as an access log tells of them: ours as JSON (telemetry/access_log.h), or the `combined` format of nginx and others. For simulations.
#ifndef CLI_LOGGED_H
#define CLI_LOGGED_H

#include "base/clock.h"
#include "base/map.h"
#include "base/pool.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// More lines than this are not read: some 300 MB.
#define LOGGED_MAX 2000000

enum logged_answer {
    LOGGED_ANSWERED, // by the upstream, with `status`
    LOGGED_BROKEN,   // the upstream was asked and gave no whole answer
    LOGGED_UNKNOWN   // it was refused then: what it would have been answered nobody knows
};

// Texts are empty where the log has none.
struct logged {
    nanoseconds at;   // since 1970
    uint32_t line;    // its number in the log, from 1
    nanoseconds took; // until the answer was whole; 0: not known
    nanoseconds head; // until its head came; 0: not known
    enum logged_answer answer;
    uint16_t status;
    bool is_grpc;
    struct bytes method, authority, path, client, identity, user_agent, referer, listener, direction;
    struct bytes keys, headers; // as forms write them: parts of keys as hashes, headers as they were
};

struct log {
    struct logged *requests; // by time
    uint32_t count, capacity;
    bool is_ours;        // else combined
    bool has_durations;  // some line says how long its request took
    bool has_identities; // and who asked
    uint32_t grpc_calls;
    uint32_t unreadable;    // lines
    uint32_t first_of_them; // the number of the first, from 1
    uint32_t left_out;      // lines for which there was no room
    struct pool_source chunks;
    struct pool pool;
    struct map texts; // that occur again and again, once each
    struct map parts; // the names in `keys` and, behind "Value ", in `headers`
};

// Reads all of it; which format it is the first line says that is readable as one.
void log_read(struct log *log, FILE *file);
void log_dispose(struct log *log);

// Whether some line tells that part: "Header" of that name as a hash, "Value" of a header as it was.
bool log_has_part(const struct log *log, const char *type, struct bytes name);

#endif
