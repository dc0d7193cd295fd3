// What the tests of balancers share: endpoints that are nothing but their load and weight, and a request to pick one by.
#ifndef TESTS_UPSTREAM_LB_DRIVE_H
#define TESTS_UPSTREAM_LB_DRIVE_H

#include "base/check.h"
#include "upstream/endpoint.h"
#include "upstream/lb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define LB_ENDPOINTS_MAX 8

struct lb_drive {
    struct lb lb;
    struct rng rng;
    struct endpoint endpoints[LB_ENDPOINTS_MAX];
    struct endpoint *list[LB_ENDPOINTS_MAX];
    struct endpoint *tried[LB_ENDPOINTS_MAX];
    struct lb_request request;
    unsigned picked[LB_ENDPOINTS_MAX];
};

// `weights` end with -1.
static inline void lb_drive_init(struct lb_drive *drive, enum lb_type type, uint64_t seed, const int *weights) {
    *drive = (struct lb_drive){0};
    drive->lb.algorithm = lb_algorithm_of(type);
    rng_init(&drive->rng, seed);
    uint32_t count = 0;
    for (; weights[count] >= 0; count++) {
        drive->endpoints[count].weight = (uint32_t)weights[count];
        drive->list[count] = &drive->endpoints[count];
        drive->lb.weighted = drive->lb.weighted || weights[count] != weights[0] || weights[count] == 0;
    }
    drive->request = (struct lb_request){.endpoints = drive->list, .count = count, .tried = drive->tried, .rng = &drive->rng, .now = 1000 * NS_PER_S};
}

// The number of the endpoint picked, -1: none.
static inline int lb_drive_pick(struct lb_drive *drive) {
    struct endpoint *endpoint = drive->lb.algorithm->pick(&drive->lb, &drive->request);
    if (endpoint == NULL)
        return -1;
    int number = (int)(endpoint - drive->endpoints);
    drive->picked[number]++;
    return number;
}

static inline void lb_drive_try(struct lb_drive *drive, unsigned number) {
    drive->tried[drive->request.tried_count++] = &drive->endpoints[number];
}

static inline void lb_drive_begin(struct lb_drive *drive, unsigned number) {
    drive->lb.algorithm->begin(&drive->endpoints[number], drive->request.now);
}

static inline void lb_drive_done(struct lb_drive *drive, unsigned number, enum lb_outcome outcome, nanoseconds elapsed) {
    drive->lb.algorithm->done(&drive->endpoints[number], outcome, elapsed, drive->request.now);
}

// One request after the other, each answered after what its endpoint takes.
static inline void lb_drive_run(struct lb_drive *drive, unsigned requests, const nanoseconds *takes) {
    for (unsigned i = 0; i < requests; i++) {
        int number = lb_drive_pick(drive);
        CHECK(number >= 0);
        lb_drive_begin(drive, (unsigned)number);
        drive->request.now += takes[number];
        lb_drive_done(drive, (unsigned)number, LB_ANSWERED, takes[number]);
    }
}

#endif
