// What clients and servers of a trial do, step by step: for trial.c alone.
#ifndef SUPPORT_TRIAL_WORLD_H
#define SUPPORT_TRIAL_WORLD_H

#include "support/trial.h"

#define TRIAL_BODY 9000 // of a request that has one
#define TRIAL_SUPPORT_FIRST 8003
#define TRIAL_SUPPORT_LAST 8007

// --- clients: none of these settles but trial_send ---

struct trial_exchange *trial_open(struct trial_run *run, const struct trial_request *request);
void trial_tell(struct trial_run *run, struct trial_exchange *exchange);
bool trial_is_over(const struct trial_exchange *exchange);
bool trial_is_decided(const struct trial_exchange *exchange);
// Half of the body, or what is left of it with its end.
void trial_send(struct trial_exchange *exchange, bool rest);
// False, both: there was nothing left to end.
bool trial_end_early(struct trial_exchange *exchange);
bool trial_fail(struct trial_exchange *exchange, enum error error);

// --- servers ---

// Calls `each` for all requests that are not over; stops where it returns true, and returns that.
bool trial_each_asked(struct trial_run *run, bool (*each)(struct trial_run *run, struct far_conn *conn, struct owner_stream *asked, void *user),
                      void *user);

// The exchange that a request to a server is for; NULL: none. That to a server which is not the application is the filter's own.
struct trial_exchange *trial_exchange_of(struct trial_run *run, const struct owner_stream *asked);
bool trial_is_support(const struct far_conn *conn);

// The application's answer to it goes one part further: head, half of the body, the rest, the end. False: there is none to answer.
bool trial_serve(struct trial_run *run, const struct trial_exchange *exchange);
// The same for all exchanges, and the other servers answer.
bool trial_serve_all(struct trial_run *run);
bool trial_serve_support(struct trial_run *run);

// --- the loop ---

void trial_turn(struct trial_run *run);
void trial_settle(struct trial_run *run);
// To the next deadline, if one is due within `most`.
void trial_wait(struct trial_run *run, nanoseconds most);
void trial_pass(struct trial_run *run, nanoseconds duration);

#endif
