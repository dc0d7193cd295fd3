// Names of metrics, and their exposition as Prometheus text 0.0.4 or OpenMetrics 1.0.
//
// There is no registry: families are const tables (the one below, and that of worker_metrics.h), figures are read where they live when somebody asks,
// and written family by family into a buffer. Used by the admin pages on the main thread; counting itself is in request_series.h and worker_metrics.h.
#ifndef TELEMETRY_METRICS_H
#define TELEMETRY_METRICS_H

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "telemetry/histogram_sample.h"

#include <stdbool.h>
#include <stdint.h>

enum exposition_format { EXPOSITION_PROMETHEUS, EXPOSITION_OPENMETRICS };

// What a scraper with this value of Accept gets (empty: none was sent): OpenMetrics where it asks for that by name and does not prefer plain text.
enum exposition_format exposition_negotiate(struct bytes accept);

// Since version 3 Prometheus fails a scrape without the right one.
struct bytes exposition_content_type(enum exposition_format format);

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

#define METRIC_LABELS_MAX 9

struct otlp_metrics;

struct metric_family {
    const char *name;
    enum metric_type type;
    const char *help;
    const char *labels[METRIC_LABELS_MAX + 1]; // names, then NULL
};

// X(identifier, type, name, help, label names...): all families but those of one worker.
#define METRIC_FAMILY_LIST(X)                                                                                                                        \
    X(BUILD_INFO, GAUGE, "outrigger_build_info", "Always 1; the version is in the label.", "version")                                                \
    X(READY, GAUGE, "outrigger_ready", "1 while /readyz says so, else 0.", NULL)                                                                     \
    X(DRAINING, GAUGE, "outrigger_draining", "1 from the start of a drain, else 0.", NULL)                                                           \
    X(WORKERS, GAUGE, "outrigger_workers", "Event-loop threads.", NULL)                                                                              \
    X(CONFIG_GENERATION, GAUGE, "outrigger_config_generation", "Number of the set of documents in force.", NULL)                                     \
    X(CONFIG_LOADED, GAUGE, "outrigger_config_loaded_timestamp_seconds", "When the set in force was accepted.", NULL)                                \
    X(CONFIG_LOADS, COUNTER, "outrigger_config_loads_total", "Sets of documents read, by result.", "result")                                         \
    X(CONFIG_PENDING_ERRORS, GAUGE, "outrigger_config_pending_errors",                                                                               \
      "Errors of the newest set of documents; not 0 while an older one stays in force.", NULL)                                                       \
    X(CONFIG_LOAD_DURATION, GAUGE, "outrigger_config_load_duration_seconds",                                                                         \
      "What the newest set of documents took to be read, checked and handed to the workers, or refused.", NULL)                                      \
    X(CONFIG_FILES, GAUGE, "outrigger_config_files", "Files of the set of documents in force.", NULL)                                                \
    X(CONFIG_DOCUMENTS, GAUGE, "outrigger_config_documents", "Documents of the set in force, by kind.", "kind")                                      \
    X(IDENTITY_NOT_AFTER, GAUGE, "outrigger_identity_not_after_timestamp_seconds", "When the certificate of this proxy ends.", "identity")           \
    X(IDENTITY_LOADS, COUNTER, "outrigger_identity_loads_total", "Certificate, key and bundle read, by result.", "result")                           \
    X(TRUST_ROOT_NOT_AFTER, GAUGE, "outrigger_trust_root_not_after_timestamp_seconds", "When a root of the trust bundle ends.", "trust_domain",      \
      "serial")                                                                                                                                      \
    X(EDGE_NOT_AFTER, GAUGE, "outrigger_edge_certificate_not_after_timestamp_seconds", "When a certificate of a Gateway's listener ends.",           \
      "listener", "hostname", "certificate")                                                                                                         \
    X(EDGE_LOADS, COUNTER, "outrigger_edge_certificate_loads_total", "Certificates and keys of a Gateway's listener read, by result.", "listener",   \
      "result")                                                                                                                                      \
    X(CA_SET_LOADS, COUNTER, "outrigger_ca_set_loads_total", "Sets of CA certificates for servers outside the mesh read, by result.", "files",       \
      "result")                                                                                                                                      \
    X(CA_SET_NOT_AFTER, GAUGE, "outrigger_ca_set_not_after_timestamp_seconds",                                                                       \
      "When the first certificate ends of a set of CA certificates for servers outside the mesh.", "files")                                          \
    X(TLS_HANDSHAKES, COUNTER, "outrigger_tls_handshakes_total", "TLS handshakes that were completed.", "side", "kind")                              \
    X(TLS_FAILURES, COUNTER, "outrigger_tls_failures_total", "TLS handshakes that failed, by why.", "side", "reason")                                \
    X(TLS_TICKETS, COUNTER, "outrigger_tls_tickets_total", "Session tickets sent to clients.", NULL)                                                 \
    X(TLS_PATHS_REUSED, COUNTER, "outrigger_tls_paths_reused_total", "Handshakes with a peer whose certificates had been verified before.", NULL)    \
    X(TLS_TRUNCATED, COUNTER, "outrigger_tls_truncated_total", "TLS connections that ended without a notice of the peer.", NULL)                     \
    X(LIMIT, GAUGE, "outrigger_limit", "What a limit is set to.", "limit", "scope")                                                                  \
    X(LIMIT_USE, GAUGE, "outrigger_limit_use", "How much of a limit is in use.", "limit", "scope")                                                   \
    X(LIMIT_PEAK, GAUGE, "outrigger_limit_use_peak", "The most of a limit that was in use at once.", "limit", "scope")                               \
    X(LIMIT_HITS, COUNTER, "outrigger_limit_hits_total", "How often a limit refused something.", "limit", "scope")                                   \
    X(REQUEST_ENDS, COUNTER, "outrigger_request_ends_total", "Requests that ended, by how they ended.", "direction", "service", "end",               \
      "otel_metric_overflow")                                                                                                                        \
    X(SERVER_DURATION, HISTOGRAM, "http_server_request_duration_seconds",                                                                            \
      "Time from the head of a request to its end, inbound and at a gateway; gRPC is not among them.", "service", "http_route",                      \
      "http_request_method", "url_scheme", "http_response_status_code", "error_type", "network_protocol_version", "otel_metric_overflow")            \
    X(CLIENT_DURATION, HISTOGRAM, "http_client_request_duration_seconds",                                                                            \
      "Time from the head of a request to its end, outbound, with all its tries; gRPC is not among them.", "service", "http_route",                  \
      "http_request_method", "server_address", "server_port", "http_response_status_code", "error_type", "network_protocol_version",                 \
      "otel_metric_overflow")                                                                                                                        \
    X(RPC_SERVER_DURATION, HISTOGRAM, "rpc_server_call_duration_seconds", "Time from the head of a gRPC call to its end, inbound and at a gateway.", \
      "service", "route", "rpc_system_name", "rpc_method", "rpc_status_code", "error_type", "otel_metric_overflow")                                  \
    X(RPC_CLIENT_DURATION, HISTOGRAM, "rpc_client_call_duration_seconds",                                                                            \
      "Time from the head of a gRPC call to its end, outbound, with all its tries.", "service", "route", "rpc_system_name", "rpc_method",            \
      "server_address", "server_port", "rpc_status_code", "error_type", "otel_metric_overflow")                                                      \
    X(OPAQUE_DURATION, HISTOGRAM, "outrigger_opaque_connect_duration_seconds",                                                                       \
      "Time until an opaque connection was led through to its endpoint, or failed.", "direction", "service", "route", "error_type",                  \
      "otel_metric_overflow")                                                                                                                        \
    X(METRIC_SERIES, GAUGE, "outrigger_metric_series", "Series of each family of histograms of requests, of telemetry.metrics.maxSeries.", "family") \
    X(METRIC_SERIES_MAX, GAUGE, "outrigger_metric_series_max", "Series that each of these families may have: telemetry.metrics.maxSeries.", NULL)    \
    X(DNS_LOOKUPS, COUNTER, "outrigger_dns_lookups_total", "Look-ups of names that ended, by outcome.", "outcome")                                   \
    X(DNS_LOOKUP_DURATION, HISTOGRAM, "outrigger_dns_lookup_duration_seconds", "How long look-ups took.", NULL)                                      \
    X(DNS_NAMES, GAUGE, "outrigger_dns_names", "Names of endpoints that are looked up, by what is known of them.", "state")                          \
    X(DNS_STALE_AGE, GAUGE, "outrigger_dns_stale_age_seconds", "Age of the oldest answer in force whose name got no good one since; 0: none.", NULL) \
    X(POLICY_REFUSALS, COUNTER, "outrigger_policy_refusals_total", "Requests that a rule of a policy has refused; mode dry_run: would have.",        \
      "policy", "rule", "target", "mode", "otel_metric_overflow")                                                                                    \
    X(POLICY_DELAYS, COUNTER, "outrigger_policy_delays_total", "Requests that a rule of a policy has made wait; mode dry_run: would have.",          \
      "policy", "rule", "target", "mode", "otel_metric_overflow")                                                                                    \
    X(POLICY_OVERFLOWS, COUNTER, "outrigger_policy_overflows_total",                                                                                 \
      "How often a rule of a policy had no room for one more key, which then shared its limits with others like it.", "policy", "rule", "target",    \
      "mode", "otel_metric_overflow")                                                                                                                \
    X(BREAKER_STATE, GAUGE, "outrigger_breaker_state", "State of a circuit breaker: 0 closed, 1 open, 2 half-open.", "policy", "target", "mode")     \
    X(BREAKER_CHANGES, COUNTER, "outrigger_breaker_transitions_total", "How often a circuit breaker came to a state.", "policy", "target", "mode",   \
      "to", "otel_metric_overflow")                                                                                                                  \
    X(BULKHEAD_IN_USE, GAUGE, "outrigger_bulkhead_in_use",                                                                                           \
      "Requests that have a slot of a pool of a bulkhead; mode dry_run: and those that would wait for one.", "policy", "rule", "target", "mode")     \
    X(BULKHEAD_LIMIT, GAUGE, "outrigger_bulkhead_limit", "Slots of the pool.", "policy", "rule", "target", "mode")                                   \
    X(BULKHEAD_QUEUED, GAUGE, "outrigger_bulkhead_queued", "Requests that wait for a slot of the pool.", "policy", "rule", "target", "mode")         \
    X(BULKHEAD_WAIT, HISTOGRAM, "outrigger_bulkhead_queue_wait_seconds",                                                                             \
      "How long requests of the pool waited for their slot, or until they gave up; 0 too.", "policy", "rule", "target", "mode",                      \
      "otel_metric_overflow")                                                                                                                        \
    X(SERVICE_ENDPOINTS, GAUGE, "outrigger_service_endpoints", "Endpoints of a service, by state.", "service", "state")                              \
    X(ENDPOINT_EJECTIONS, COUNTER, "outrigger_endpoint_ejections_total",                                                                             \
      "Endpoints that failed in a row; result refused: not ejected, since as many as may be were; dry_run: would have been.", "service", "result",   \
      "otel_metric_overflow")                                                                                                                        \
    X(HEALTH_CHECKS, COUNTER, "outrigger_health_checks_total", "Health checks of a service's endpoints, by result.", "service", "result",            \
      "otel_metric_overflow")                                                                                                                        \
    X(HEALTH_CHANGES, COUNTER, "outrigger_endpoint_health_changes_total", "How often checks made an endpoint healthy, or not.", "service", "to",     \
      "otel_metric_overflow")                                                                                                                        \
    X(EXPORT_RECORDS, COUNTER, "outrigger_telemetry_records_total", "Records made for a collector: exported, dropped, or waiting.", "signal")        \
    X(EXPORT_EXPORTED, COUNTER, "outrigger_telemetry_records_exported_total", "Records that a collector has taken.", "signal")                       \
    X(EXPORT_DROPPED, COUNTER, "outrigger_telemetry_records_dropped_total", "Those not sent or not taken, by reason.", "signal", "reason")           \
    X(EXPORT_WAITING, GAUGE, "outrigger_telemetry_records_waiting", "Records in the queues of all workers and in the request at hand.", "signal")    \
    X(EXPORT_CAPACITY, GAUGE, "outrigger_telemetry_queue_capacity", "Records that may wait in the queues of all workers.", "signal")                 \
    X(EXPORT_RESULTS, COUNTER, "outrigger_telemetry_exports_total", "Requests to a collector, by how all tries ended.", "signal", "result")          \
    X(EXPORT_RETRIES, COUNTER, "outrigger_telemetry_export_retries_total", "Tries of such requests after the first.", "signal")                      \
    X(LOOP_TURN, HISTOGRAM, "outrigger_loop_turn_seconds",                                                                                           \
      "How long turns of event loops took, without their wait for events: so long all else of that thread waited.", "thread")                        \
    X(PROCESS_CPU, COUNTER, "process_cpu_seconds_total", "User and system time of this process.", NULL)                                              \
    X(PROCESS_RESIDENT, GAUGE, "process_resident_memory_bytes", "Resident memory of this process.", NULL)                                            \
    X(PROCESS_START, GAUGE, "process_start_time_seconds", "When this process started.", NULL)                                                        \
    X(PROCESS_OPEN_FDS, GAUGE, "process_open_fds", "File descriptors in use.", NULL)                                                                 \
    X(PROCESS_MAX_FDS, GAUGE, "process_max_fds", "File descriptors that may be in use.", NULL)

enum metric {
#define X(identifier, type, name, help, ...) METRIC_##identifier,
    METRIC_FAMILY_LIST(X)
#undef X
        METRIC_COUNT
};

const struct metric_family *metric_family(enum metric metric);

// How many names of labels it has.
uint32_t metric_label_count(const struct metric_family *family);

// Writes one page of metrics. The order is the caller's: a family is begun, then all its samples follow, then the next; none twice.
struct exposition {
    struct otlp_metrics *otlp; // what is written is for a collector (otlp_metrics.h), and there is no page; NULL: there is
    struct buffer *out;
    enum exposition_format format;
    const struct metric_family *family; // the current one; NULL before the first
    bool begun[METRIC_COUNT];           // each at most once
};

// `out` is borrowed until the last call.
void exposition_init(struct exposition *exposition, struct buffer *out, enum exposition_format format);

// All families are written.
void exposition_end(struct exposition *exposition);

// Writes HELP and TYPE; the samples of this family follow.
void exposition_begin(struct exposition *exposition, enum metric metric);

// The same for a family of another table, which takes care itself that none comes twice.
void exposition_begin_family(struct exposition *exposition, const struct metric_family *family);

// One sample of the current family, a counter or gauge. `labels`: as many values as the family has names, of any bytes: they are escaped, and bytes
// that are not UTF-8 are replaced. Empty ones are left out.
void exposition_add(struct exposition *exposition, const struct bytes *labels, uint64_t value);

// The same of a counter that began at `begun`, by the wall clock (0: with the process).
void exposition_add_since(struct exposition *exposition, const struct bytes *labels, uint64_t value, nanoseconds begun);

// The same for a time, written in seconds.
void exposition_add_seconds(struct exposition *exposition, const struct bytes *labels, nanoseconds value);

// One sample with constant labels in their final form: `reason="idle"`; empty: none. Not for text of others.
void exposition_add_constant(struct exposition *exposition, const char *labels, uint64_t value);
void exposition_add_constant_seconds(struct exposition *exposition, const char *labels, nanoseconds value);

// One histogram of the current family: `buckets` are counts of each bucket alone, `sum` of all durations.
void exposition_add_histogram(struct exposition *exposition, const struct bytes *labels, const uint64_t buckets[DURATION_BUCKETS], nanoseconds sum);

// The same with all that a histogram may have. Exemplars are for OpenMetrics alone: the older text has no place for them.
void exposition_add_histogram_sample(struct exposition *exposition, const struct histogram_sample *sample);

// The bucket that a duration belongs to: the first whose bound is not below it.
unsigned duration_bucket(nanoseconds duration);

// Its upper bound; it is below DURATION_BOUNDS.
nanoseconds duration_bound(unsigned bucket);

#endif
