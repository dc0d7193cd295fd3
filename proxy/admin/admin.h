// The admin and metrics endpoints: finds the page of a request, sees to it that only who may asks, gets the figures it needs, sends the reply.
//
// Two listeners share the pages: metrics (read-only, for scrapers and probes anywhere) and admin (loopback or a Unix socket; may change things). Which pages there are is a
// table that app gives; pages.h has the usual ones. Everything here runs on the main thread: a page never delays traffic.
//
// Owner:      app.
// Start:      admin_open.
// Callbacks:  struct admin_source, to get figures and to carry out commands.
// Cancel:     admin_close; queries that the source still has may be completed afterwards, to no effect.
// Memory:     an admin frees itself once it is closed and every query that the source was given is done.
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include "admin/figures.h"
#include "base/pool.h"
#include "rpc/http_server.h"

struct admin;
struct json_t; // jansson

// Queries that wait for their figures; more are refused with 503. A place for each connection of both listeners.
#define ADMIN_QUERIES_MAX (2 * RPC_CONNECTIONS_MAX)

enum admin_want {
    ADMIN_WANT_COUNTERS = 1 << 0,
    ADMIN_WANT_SERVICES = 1 << 1,
    ADMIN_WANT_LIMITS = 1 << 2,
    ADMIN_WANT_IDENTITY = 1 << 3,
    ADMIN_WANT_CONFIG = 1 << 4,
    ADMIN_WANT_HARDENING = 1 << 5,
    ADMIN_WANT_CONNECTIONS = 1 << 6,
    ADMIN_WANT_MEMORY = 1 << 7,
    ADMIN_WANT_EXPLANATION = 1 << 8,
    ADMIN_WANT_TAP = 1 << 9,
};

enum admin_command {
    ADMIN_NONE,
    ADMIN_DRAIN,    // begin to drain; done at once, not when drained
    ADMIN_RELOAD,   // read documents and certificates again; done when they were accepted or refused
    ADMIN_SHUTDOWN, // end the process, drained first; done at once
    ADMIN_REOPEN,   // the file of the access log, by its path; done soon
};

enum admin_listener { ADMIN_ON_ADMIN = 1 << 0, ADMIN_ON_METRICS = 1 << 1, ADMIN_ON_BOTH = ADMIN_ON_ADMIN | ADMIN_ON_METRICS };

struct explain_question;

// With ADMIN_WANT_EXPLANATION: what a worker says of a request that was asked about.
struct admin_explanation {
    const struct explain_question *question; // NULL: it could not be read
    struct bytes error;                      // why not, and what is allowed
    struct json_t *value;                    // borrowed until the query is done; NULL: no worker has answered
};

struct tap_question;

// With ADMIN_WANT_TAP: why there is no reply that goes on.
struct admin_tap {
    const struct tap_question *question; // NULL: it could not be read
    struct bytes error;                  // why not; or why nobody looks on now
};

// What somebody asked the admin listener for that is more than figures, or was refused: for an audit log.
struct admin_change {
    struct bytes page;      // as it was asked for, without its query
    struct bytes method;    // empty: one that we have no name for
    struct bytes authority; // Host, as received
    struct bytes arguments; // the query, without values whose names tell of secrets
    struct bytes peer;      // address of the connection's other end; "unix" over a Unix socket
    bool has_process;       // over a Unix socket, where the system tells
    uint32_t uid, pid;
    uint16_t status; // of the reply; 0: whoever asked is gone, and nobody knows what came of it
};

// One request to a page, until its reply.
struct admin_query {
    // For the source.
    uint32_t wants;                            // admin_want bits
    struct admin_figures figures;              // to be filled in; all zero at first
    struct admin_explanation explanation;      // the same
    struct admin_tap tap;                      // the same
    struct pool pool;                          // lives as long as the query
    void *source_state;                        // the source's own; NULL at first
    const struct admin_open_reply *open_reply; // set by a source that replies by itself (admin_reply_open), NULL at first

    // Of one that no client asks, in the place of a page's.
    bool (*slice)(struct admin_query *query);

    // Of one that no client asks, in the place of a page: whoever made it has its figures and frees it. NULL: a client does.
    void (*done)(struct admin_query *query);

    // For the page.
    void *slice_state; // of `slice`, in the pool; NULL at first
    const struct admin_page *page;
    struct rpc_request *request; // NULL once the client is gone, or has its reply
    struct admin *admin;
    void *owner;                  // of the source, as given to admin_open; where no client asks, of who made it
    enum admin_listener listener; // which one it came by
    struct admin_change *change;  // NULL: nobody is told of it, or was
};

// What came of a command is told also where whoever gave it is gone.
static inline bool admin_query_is_wanted(const struct admin_query *query) {
    return query->request != NULL || query->done != NULL || query->change != NULL;
}

// Of an open reply, by the source in the place of the page.
struct admin_open_reply {
    // As struct rpc_handler has it.
    void (*writable)(struct admin_query *query);

    // What was ended is out; or the client is gone, before or after admin_reply_open. Once; admin_query_done comes behind it.
    void (*over)(struct admin_query *query);
};

struct admin_source {
    // Fills in the figures that query->wants names (the admin adds the limits of its own listeners), and always those above the first comment in struct admin_figures; then admin_query_done, exactly once, from within or later
    // (workers are asked by mailbox). A client gives up after RPC_REQUEST_TIMEOUT.
    void (*collect)(void *owner, struct admin_query *query);

    // Carries out query->page->command, then as `collect`.
    void (*command)(void *owner, struct admin_query *query);

    // Whether this proxy takes traffic, for probes: answered at once. Where not, `reason` is set to a text for people.
    bool (*ready)(void *owner, struct bytes *reason);

    // Somebody has asked the admin listener for more than to be told figures (a change, live requests), and got it, or was refused there, whatever was asked for: once for each request.
    // `change` is borrowed for the call.
    void (*changed)(void *owner, const struct admin_change *change);

    // The file with what a change over TCP must show as `Authorization: Bearer`; NULL: none, and such changes are refused (access.h).
    const char *(*token_file)(void *owner);
};

struct admin_page {
    const char *path;
    enum http_method method; // METHOD_GET (a HEAD is answered as well) or METHOD_POST
    enum admin_listener listeners;
    uint32_t wants;             // figures that it needs; 0: `handle` is called at once
    enum admin_command command; // instead of collecting
    // Replies, by admin_reply or admin_reply_text, before it returns.
    void (*handle)(struct admin_query *query);
    const char *description; // for the list of pages
    // What it has to do that takes long, before that: once in each turn of the loop until it returns false, with figures->series alone. NULL: nothing.
    bool (*slice)(struct admin_query *query);
};

struct admin_options {
    int admin_socket; // listening, see net/tcp_listener.h; -1: none
    int metrics_socket;
    const struct admin_page *pages; // must live as long as the admin
    uint32_t page_count;
};

struct admin *admin_open(struct loop *loop, const struct admin_options *options, const struct admin_source *source, void *owner);
void admin_close(struct admin *admin);

// Another process answers from now on: no new connections; what was asked is answered.
void admin_stop_listening(struct admin *admin);

// For a source that has figures->series: to be called once in each turn of its loop, as long as it says so. Then the other figures, and admin_query_done.
bool admin_query_slice(struct admin_query *query);

// By the source: the figures are there.
void admin_query_done(struct admin_query *query);

// By the source, as the functions of rpc/http_server.h: a reply of status 200 that goes on, of a GET, in the place of the page's. query->open_reply is set; query->request is not NULL.
void admin_reply_open(struct admin_query *query, struct bytes content_type);
size_t admin_reply_room(const struct admin_query *query);
void admin_reply_write(struct admin_query *query, struct bytes piece);
void admin_reply_hurry(struct admin_query *query);
void admin_reply_end(struct admin_query *query);

// By a page, exactly one of these. The value is released. As JSON, or as text that reads well where the query says format=text.
void admin_reply(struct admin_query *query, uint16_t status, struct json_t *value);
void admin_reply_text(struct admin_query *query, uint16_t status, struct bytes content_type, struct buffer *text);

// {"error": ...} with that status.
void admin_reply_error(struct admin_query *query, uint16_t status, const char *format, ...) __attribute__((format(printf, 3, 4)));

// A buffer for admin_reply_text.
void admin_text_init(const struct admin_query *query, struct buffer *text);

// The value of a parameter of the request's query, empty when there is none.
struct bytes admin_parameter(struct admin_query *query, struct bytes name);

// For pages about the admin itself.
const struct admin_page *admin_pages(const struct admin *admin, uint32_t *count);
bool admin_is_ready(const struct admin *admin, struct bytes *reason);

#endif
