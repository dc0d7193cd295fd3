// Asks the endpoints of services with healthCheck whether they are well, once for the process whatever the number of workers, and tells all workers through what they share. Its connections are
// its own: they count for no budget, no bound and no balancer.
//
// Owner:      the main thread's composition.
// Start:      health_checker_create; health_checker_apply for each new snapshot.
// Callbacks:  none.
// Cancel:     health_checker_stop: nothing is asked any more, and what is known stays.
// Memory:     health_checker_close, then the loop turns until its connections are gone, then health_checker_destroy.
#ifndef UPSTREAM_HEALTH_CHECKER_H
#define UPSTREAM_HEALTH_CHECKER_H

#include "upstream/upstream.h"

struct health_checker;

// `shared`: of the workers. It and the loop outlive the checker.
struct health_checker *health_checker_create(struct loop *loop, struct live_shared *shared);

// Which endpoints are asked from now on. Those that stay keep what is known of them, and their turn.
void health_checker_apply(struct health_checker *checker, const struct snapshot *snapshot);

// What names lead to; borrowed.
void health_checker_set_endpoints(struct health_checker *checker, struct endpoint_set *set);

// As those of struct upstream.
struct upstream *health_checker_upstream(struct health_checker *checker);

void health_checker_stop(struct health_checker *checker);
void health_checker_close(struct health_checker *checker);
void health_checker_destroy(struct health_checker *checker);

#endif
