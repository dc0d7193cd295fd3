// One filter alone, with whatever it needs to act, under one accident at one boundary of a request's life; every accident at every boundary, and the rest of the world by chance, from a seed.
// Whoever adds a filter adds a row (docs/writing-a-filter.md): its documents, what it makes of the requests that are to come, and what must hold of it afterwards. What must hold of all filters
// is held here:
// - each stream ends once and is logged once; no slot of the filter is called out of turn (watched_filter.h), what is charged is charged once;
// - nobody waits for ever; no stream, subrequest, slot, place in a queue, timer, block or pin is left;
// - the client's answer is one that the row allows: what is to be refused never reaches the application, what passes is never done twice unless the row says so, and what it has whole is right;
// - an accident that is not this request's, documents that change among them, does it no harm;
// - behind it all the world serves as before.
//
// The clock is virtual, servers speak through real codecs, clients are those of loopback_stream.h. Aborts where something is wrong, and says how that run came about.
#ifndef SUPPORT_TRIAL_H
#define SUPPORT_TRIAL_H

#include "support/loopback_stream.h"
#include "support/watched_filter.h"

// Documents as they are at first; changed; and without the policy.
#define TRIAL_VERSIONS 3

enum trial_fate {
    TRIAL_PASSES,  // to the application, whose answer comes back
    TRIAL_REFUSED, // or answered by the filter itself: never to the application
    TRIAL_EITHER   // as chance and others have it
};

enum trial_accident {
    ACCIDENT_NONE,
    CLIENT_GOES,       // resets the stream, or its connection is gone
    CLIENT_GARBLES,    // the rest of the body
    CLIENT_ENDS_EARLY, // its side of the stream, in the middle of the body
    CLIENT_STALLS,     // neither sends nor reads any more
    SERVER_RESETS,     // what it was asked, by us or by the filter
    SERVER_BREAKS,     // its connections
    SERVERS_SILENT,    // nobody answers, for as long as somebody waits
    SERVERS_REFUSE,    // new connections
    RELOAD_CHANGED,
    RELOAD_REMOVED,
    WORKER_DRAINS,
    WORKER_STOPS,
    TRIAL_ACCIDENTS
};

// In the order of the traffic: the accident comes there.
enum trial_moment {
    BEFORE_HEAD,
    BEFORE_DECIDE, // the head is there, the filter was not asked
    WAITING,       // for this filter
    RESUMING,      // the filter has woken the stream, and was not asked again
    BEHIND_HEAD,   // decided, no body came
    IN_BODY,
    BEFORE_ANSWER, // the request is whole
    BEHIND_ANSWER_HEAD,
    IN_ANSWER_BODY,
    BEFORE_TRAILERS, // all of the body is there, not its end
    AT_THE_END,
    TRIAL_MOMENTS
};

// All tables end with 0.
struct trial_request {
    const char *text; // "GET a /x\nname: value\n"
    bool has_body;
    bool is_strange;                      // from 192.0.2.7, else from 10.0.0.1
    enum trial_fate fate[TRIAL_VERSIONS]; // by the documents in force when it came
    unsigned statuses[4];                 // that the application answers with, one by chance; none: 200
    unsigned own[4];                      // that the filter answers with: without the application
    unsigned late[4];                     // that it may answer with although the application was asked
    unsigned executions_max; // how often the application may be asked; 0: once, or once more for a GET that could not be known to have come
};

struct trial_exchange {
    const struct trial_request *request;
    unsigned number;  // stands in its field x-trial
    unsigned version; // of the documents that it came to
    struct client client;
    bool told, body_ended;
    bool hurt; // by what its own client did
    size_t answer_length;
    unsigned answer_status;
    unsigned executions; // that the application has got
    nanoseconds told_at, done_at;
};

#define TRIAL_EXCHANGES_MAX 24

// One seed.
struct trial_run {
    struct loopback world;
    const struct trial *trial;
    struct watched_filter watched;
    struct rng rng;
    enum trial_accident accident;
    enum trial_moment moment;
    bool struck;          // the accident has come
    bool servers_trouble; // something has befallen servers
    bool silent, stopped, calm;
    unsigned version;
    bool was_removed; // the documents without the policy have been in force
    struct trial_exchange exchanges[TRIAL_EXCHANGES_MAX];
    unsigned count;
    struct trial_exchange *victim; // the one that the accident is for; NULL: it has not come yet
    struct task watch;
};

// What another server than the application says: to be filled; `status` 0: nothing yet.
struct trial_answer {
    unsigned status;
    const char *fields, *body;
};

struct trial {
    const char *name;                 // the filter's, or what stands for parts that are no filter
    const struct filter_type *filter; // NULL: no filter
    const struct filter_type *with[4];
    const char *listener;
    bool waits; // requests wait for it
    bool asks;  // it asks servers, whose trouble is the request's: then it may refuse what else would pass
    const char *documents[TRIAL_VERSIONS];
    const struct trial_request *requests;
    uint32_t request_count;
    unsigned before;      // so many requests at most are over before it: for what remembers
    nanoseconds jump;     // by chance time goes on by that much: for states that last; 0: not
    nanoseconds patience; // by then nobody waits any more, whoever is silent; 0: 400 s
    // For the first request of the table behind it all: it must be answered by the application.
    bool serves_afterwards;
    // NULL: not needed. Before the first seed; for a server on a port of 8003 to 8007 (which are not the application); for each request that a server got, with what came of it; when all is over.
    void (*prepare)(void);
    void (*answer)(struct trial_run *run, const struct owner_stream *asked, struct trial_answer *answer);
    void (*seen)(struct trial_run *run, const struct trial_exchange *exchange, const struct owner_stream *asked, unsigned port);
    void (*check)(struct trial_run *run);
};

// So many seeds of it. Where there are enough of them every accident must have come at every boundary where it can befall anybody.
void trial_repeat(const struct trial *trial, uint64_t seeds);

// For rows.
uint32_t trial_below(struct trial_run *run, uint32_t bound);

// One more request, well treated, to its end; with what became of it. The world must be calm (in `check`).
const struct trial_exchange *trial_ask(struct trial_run *run, const struct trial_request *request);

// Aborts: `what` does not hold of the exchange (NULL: of none).
_Noreturn void trial_failed(const struct trial_run *run, const struct trial_exchange *exchange, const char *what);

#endif
