// What the tests of balancers share: endpoints that are nothing but their load, weight and address, and a request to pick one by.
#ifndef TESTS_UPSTREAM_LB_DRIVE_H
#define TESTS_UPSTREAM_LB_DRIVE_H

#include "base/check.h"
#include "base/hash.h"
#include "base/pool.h"
#include "upstream/endpoint.h"
#include "upstream/lb.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define LB_ENDPOINTS_MAX 16
#define LB_TRIED_MAX RETRY_ATTEMPTS_MAX

struct lb_drive {
    struct lb lb;
    struct rng rng;
    struct endpoint *endpoints; // of them those with a weight are in lb
    uint32_t endpoint_count;
    struct endpoint *tried[LB_TRIED_MAX];
    struct lb_request request;
    unsigned *picked; // by endpoint
};

// Takes over changed weights and endpoints; `count` of them are there.
static inline void lb_drive_build(struct lb_drive *drive, uint32_t count) {
    free(drive->lb.endpoints);
    drive->lb.endpoints = alloc_zeroed_or_abort(count + 1, sizeof *drive->lb.endpoints);
    drive->lb.count = 0;
    for (uint32_t i = 0; i < count; i++)
        if (drive->endpoints[i].weight > 0)
            drive->lb.endpoints[drive->lb.count++] = &drive->endpoints[i];
    lb_build(&drive->lb, &drive->rng);
}

// `count` endpoints of weight 1, with room for as many more.
static inline void lb_drive_init_many(struct lb_drive *drive, enum lb_type type, uint64_t seed, uint32_t count) {
    *drive = (struct lb_drive){.endpoint_count = count};
    drive->endpoints = alloc_zeroed_or_abort(2 * count, sizeof *drive->endpoints);
    drive->picked = alloc_zeroed_or_abort(2 * count, sizeof *drive->picked);
    for (uint32_t i = 0; i < 2 * count; i++) {
        struct endpoint *endpoint = &drive->endpoints[i];
        endpoint->address = (struct endpoint_address){.ip = {10, 0, (unsigned char)(i >> 8), (unsigned char)i}, .port = 80, .version = 4};
        endpoint->weight = 1;
    }
    drive->lb.algorithm = lb_algorithm_of(type);
    drive->lb.virtual_nodes = 150;
    drive->lb.slow_start = 30 * NS_PER_S;
    rng_init(&drive->rng, seed);
    drive->request = (struct lb_request){.tried = drive->tried, .rng = &drive->rng, .now = 1000 * NS_PER_S};
    lb_drive_build(drive, count);
}

// `weights` end with -1.
static inline void lb_drive_init(struct lb_drive *drive, enum lb_type type, uint64_t seed, const int *weights) {
    uint32_t count = 0;
    while (weights[count] >= 0)
        count++;
    lb_drive_init_many(drive, type, seed, count);
    for (uint32_t i = 0; i < count; i++)
        drive->endpoints[i].weight = (uint32_t)weights[i];
    lb_drive_build(drive, count);
}

static inline void lb_drive_dispose(struct lb_drive *drive) {
    lb_dispose(&drive->lb);
    free(drive->endpoints);
    free(drive->picked);
}

// The number of the endpoint picked, -1: none. As lb_levels does it, one that was tried is picked when there is no other.
static inline int lb_drive_pick(struct lb_drive *drive) {
    struct endpoint *endpoint = NULL;
    for (int last = 0; last < 2 && endpoint == NULL && drive->lb.count > 0; last++) {
        drive->request.tried_too = last == 1;
        endpoint = drive->lb.algorithm->pick(&drive->lb, &drive->request);
    }
    if (endpoint == NULL)
        return -1;
    int number = (int)(endpoint - drive->endpoints);
    drive->picked[number]++;
    return number;
}

static inline int lb_drive_pick_key(struct lb_drive *drive, uint64_t key) {
    drive->request.has_key = true;
    drive->request.key = hash_mix(key);
    int number = lb_drive_pick(drive);
    drive->request.has_key = false;
    return number;
}

static inline void lb_drive_try(struct lb_drive *drive, unsigned number) {
    drive->tried[drive->request.tried_count++] = &drive->endpoints[number];
}

static inline void lb_drive_begin(struct lb_drive *drive, unsigned number) {
    drive->endpoints[number].in_flight++;
    drive->lb.in_flight++;
}

static inline void lb_drive_done(struct lb_drive *drive, unsigned number, enum lb_outcome outcome, nanoseconds elapsed) {
    drive->endpoints[number].in_flight--;
    drive->lb.in_flight--;
    if (drive->lb.algorithm->done != NULL)
        drive->lb.algorithm->done(&drive->endpoints[number], outcome, elapsed, drive->request.now);
}

static inline void lb_drive_set_available(struct lb_drive *drive, unsigned number, bool available) {
    drive->endpoints[number].unavailable = available ? 0 : UNAVAILABLE_AVOIDED;
    lb_drive_build(drive, drive->endpoint_count);
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

// `in_flight` requests at a time, all of one duration; no more than `picks` are begun. What is left is ended.
static inline void lb_drive_load(struct lb_drive *drive, unsigned picks, unsigned in_flight) {
    unsigned *running = alloc_zeroed_or_abort(in_flight, sizeof *running);
    for (unsigned i = 0; i < picks + in_flight; i++) {
        if (i >= in_flight)
            lb_drive_done(drive, running[i % in_flight], LB_ANSWERED, 10 * NS_PER_MS);
        if (i < picks) {
            running[i % in_flight] = (unsigned)lb_drive_pick(drive);
            lb_drive_begin(drive, running[i % in_flight]);
        }
        drive->request.now += 10 * NS_PER_MS / in_flight;
    }
    free(running);
}

// Each endpoint's part of all picks is that of its weight, but for `off` of all.
static inline void lb_drive_assert_weights(const struct lb_drive *drive, double off) {
    double picks = 0, weight = 0;
    for (uint32_t i = 0; i < drive->endpoint_count; i++) {
        picks += drive->picked[i];
        weight += drive->endpoints[i].weight;
    }
    for (uint32_t i = 0; i < drive->endpoint_count; i++) {
        double share = drive->picked[i] / picks;
        double expected = drive->endpoints[i].weight / weight;
        if (fabs(share - expected) > off)
            fail_msg("endpoint %u has %.4f of the picks, its weight is %.4f of all", i, share, expected);
    }
}

#endif
