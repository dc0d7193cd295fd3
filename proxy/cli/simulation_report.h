// What a simulation found, by policy and rule; told as a table or as JSON.
#ifndef CLI_SIMULATION_REPORT_H
#define CLI_SIMULATION_REPORT_H

#include "cli/logged.h"
#include "stream/explanation.h"

// Waits by powers of two of a millisecond: under 1 ms, under 2 ms, ... the last is all above.
#define REPORT_WAITS 24

struct report_client {
    struct report_client *next;
    struct bytes address;
    uint64_t refused;
};

struct report_rule {
    struct report_rule *next; // in the order in which they were met
    struct bytes policy, rule;
    bool is_dry_run;
    uint64_t requests; // that it was asked about
    uint64_t refused;
    uint64_t waited;
    nanoseconds wait_most;
    uint64_t waits[REPORT_WAITS];
    const char *end;               // how the first that it refused ended
    nanoseconds first_refused_at;  // since 1970; 0: none was
    struct map refused_clients;    // address -> struct report_client
    struct report_client *clients; // the same
};

struct simulation_report {
    struct pool *pool;
    struct map by_name;
    struct report_rule *first, **next;
    uint64_t replayed, passed, refused_otherwise;
    struct report_end {
        struct report_end *next;
        const char *name;
        uint64_t count;
    } * ends;                  // of those that were refused otherwise
    bool *reached;             // by destination: some request was for it
    uint64_t without_listener; // lines that none of the proxy's listeners would have had
    uint64_t unknown_answers;  // requests that pass and that the log has no answer of
    struct report_note {
        struct report_note *next;
        struct bytes text;
    } * notes, **next_note; // what cannot be simulated, or only in part
};

// `pool` outlives it.
void report_init(struct simulation_report *report, struct pool *pool);
void report_dispose(struct simulation_report *report);

// One request is over. `waited`: until an endpoint got it, or until it was refused.
void report_add(struct simulation_report *report, const struct logged *request, const struct stream *stream, nanoseconds waited);

// Once, however often it is said.
void report_note(struct simulation_report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));

void report_print(const struct simulation_report *report, const struct log *log, FILE *out);
void report_print_json(const struct simulation_report *report, const struct log *log, FILE *out);

#endif
