// What the admin pages show, as plain values of one moment, merged over workers: filled in by the source that app gives (admin.h), read by the pages.
//
// All texts and arrays must live as long as the query that they are for; its pool is the place for them. Nothing secret has a place here.
#ifndef ADMIN_FIGURES_H
#define ADMIN_FIGURES_H

#include "admin/connection_figures.h"
#include "admin/policy_figures.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "config/load.h"
#include "config/snapshot.h"
#include "net/tls_counters.h"
#include "telemetry/dns_metrics.h"
#include "telemetry/export_metrics.h"
#include "telemetry/health_metrics.h"
#include "telemetry/loop_metrics.h"
#include "telemetry/process_metrics.h"
#include "telemetry/series_reading.h"
#include "telemetry/worker_metrics.h"

#include <stdbool.h>
#include <stdint.h>

// One endpoint of a service; sums over workers unless a comment says otherwise.
struct admin_endpoint {
    struct bytes address;
    struct bytes key;          // of the live endpoint: by it the rows of several workers are found to be one
    struct bytes state;        // "available", or why it is not picked
    struct bytes health;       // ejected, unhealthy: why, since when and how long; empty: neither
    struct bytes tls;          // "Mesh", "Simple" or "None"
    struct bytes tls_failure;  // why a handshake with it failed last; empty: none did
    struct bytes zone, region; // empty: not told
    uint32_t priority, weight;
    uint32_t active;       // attempts in flight
    nanoseconds ewma;      // response time as the balancer sees it: the mean over workers that have one; 0: none yet
    uint32_t ewma_workers; // that have one
    uint32_t connections;
    uint32_t idle; // of them
    uint32_t connecting;
    uint64_t requests, failures;
};

// A name that endpoints are found by.
struct admin_name {
    struct bytes name;
    struct bytes type;         // "address" or "service"
    struct bytes state;        // "waiting", "good", "stale", "failed"
    struct bytes outcome;      // of the newest look-up; empty: none has ended yet
    uint32_t records;          // of the answer in force
    uint32_t ttl_s;            // of the newest good answer
    uint32_t failures;         // look-ups since that answer
    nanoseconds answered_wall; // when it came; 0: never
    nanoseconds next;          // until the next look-up
};

struct admin_service {
    struct bytes key; // "namespace/name:port"
    struct bytes protocol;
    struct bytes load_balancer;
    struct bytes policy;      // the TrafficPolicy that it follows; empty: defaults
    uint32_t waiting;         // requests that wait for a connection
    uint32_t retry_budget;    // retries that it would still let pass
    struct bytes breaker;     // state of its circuit breaker; empty: it has none, or each endpoint has one
    struct bytes resolution;  // "Static", "DNS" or "SRV"
    struct admin_name *names; // not Static
    uint32_t name_count;
    struct admin_endpoint *endpoints;
    uint32_t endpoint_count;
};

enum { ADMIN_LIMIT_USE = 1 << 0, ADMIN_LIMIT_PEAK = 1 << 1, ADMIN_LIMIT_HITS = 1 << 2, ADMIN_LIMIT_ALL = 7 };

// One bound with its use: the row that /limits and the metrics show.
struct admin_limit {
    struct bytes name;  // as in the policy language: "connections"
    struct bytes scope; // what it bounds: "listener/inbound", "process"
    struct bytes unit;  // "connections", "bytes", "ms"
    struct bytes description;
    uint64_t value; // 0: no bound
    unsigned known; // ADMIN_LIMIT_..., of what follows
    uint64_t use;
    uint64_t peak;
    uint64_t hits;    // how often it refused something
    bool one_of_many; // there is one for each service: no metric before it was used
};

struct admin_certificate {
    struct bytes role; // "identity", "trust bundle" or "gateway"
    struct bytes id;   // SPIFFE ID; of a bundle the trust domain; of a gateway what the documents call it
    struct bytes subject;
    struct bytes serial;
    struct bytes file;
    struct bytes listener, hostname; // gateway: the Proxy's listener that shows it, and to whom
    int64_t not_before;              // seconds since 1970; 0: it is not loaded
    int64_t not_after;
};

// Authorities that servers outside the mesh are verified by.
struct admin_ca_set {
    struct bytes files; // with commas between
    struct bytes error; // of the newest files, while older ones stay in force; empty: none
    uint32_t certificates;
    int64_t first_end;    // of the certificate that ends first, seconds since 1970
    struct bytes subject; // of that one; empty: the set was never loaded
    uint64_t accepted;    // loads, by result
    uint64_t refused;
};

// The certificates of a listener that stands for a Gateway.
struct admin_edge {
    struct bytes listener;
    nanoseconds loaded_wall; // 0: none are loaded
    struct bytes error;      // of the newest files, while older ones, if any, stay in force; empty: none
    uint64_t accepted;       // loads, by result
    uint64_t refused;
};

struct admin_identity {
    bool given; // the proxy has an identity to load at all
    bool loaded;
    uint64_t generation;
    nanoseconds loaded_wall;
    struct bytes error; // of the newest files, while an older version stays in force; empty: none
    uint64_t accepted;  // loads, by result
    uint64_t refused;
    struct admin_certificate *certificates;
    uint32_t certificate_count;
    struct admin_ca_set *ca_sets;
    uint32_t ca_set_count;
    struct admin_edge *edges;
    uint32_t edge_count;
    struct admin_certificate *edge_certificates; // of all of them
    uint32_t edge_certificate_count;
};

struct admin_config {
    const struct snapshot *snapshot; // in force; NULL: none yet
    nanoseconds loaded_wall;         // when it was accepted, since 1970
    nanoseconds checked_wall;        // when documents were last read
    uint64_t accepted;               // loads, by result
    uint64_t refused;
    nanoseconds load_duration;        // of the newest set
    struct config_load_figures loads; // of the set in force
    const char *const *paths;         // what is read
    uint32_t path_count;
    const char *const *errors; // of the newest documents, while an older set stays in force
    uint32_t error_count;
    const char *const *warnings;
    uint32_t warning_count;
};

// What the process has taken from itself: "enforced", "disabled", "not supported".
struct admin_hardening {
    struct bytes seccomp;
    struct bytes landlock;
};

struct admin_figures {
    struct bytes state; // "starting", "ready", "draining"
    bool ready, draining;
    bool listens;                                // its listeners take connections
    struct bytes admin_address, metrics_address; // that it listens at, whatever the documents say by now; empty: none
    uint32_t worker_count;
    // With ADMIN_WANT_COUNTERS. Requests that no service was found for are a series of their own, by the service REQUEST_SERVICE_UNKNOWN.
    struct worker_metrics workers;
    struct tls_counters tls;
    struct dns_metrics dns;
    struct series_rows series;
    const struct loop_metrics *loops; // of workers, then of the main thread
    uint32_t loop_count;
    struct process_figures process;
    struct export_figures exports[OTLP_SIGNALS];
    uint32_t export_count;
    struct admin_policy *policies; // those that have figures of their own (policy_state_figures)
    struct policy_totals other_policies;
    struct health_series *health;
    struct health_series other_health; // of services that are there no more
    uint32_t policy_count, health_count;
    // With ADMIN_WANT_SERVICES.
    struct admin_service *services;
    uint32_t service_count;
    // With ADMIN_WANT_LIMITS.
    struct admin_limit *limits;
    uint32_t limit_count;
    // With ADMIN_WANT_IDENTITY and ADMIN_WANT_CONFIG.
    struct admin_identity identity;
    struct admin_config config;
    // With ADMIN_WANT_HARDENING.
    struct admin_hardening hardening;
    // With ADMIN_WANT_CONNECTIONS and ADMIN_WANT_MEMORY.
    struct admin_connections clients;
    struct admin_connections endpoints;
    struct admin_memory memory;
};

#endif
