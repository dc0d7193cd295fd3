// Counters and gauges of one worker: connections, pool, retries, buffers, the loop. Cells with one writer, the worker; read by the main thread.
//
// TLS counts by itself (net/tls_counters.h). The table below is the only list: fields, names, help and how workers are merged come from it. A row more is a metric more.
#ifndef TELEMETRY_WORKER_METRICS_H
#define TELEMETRY_WORKER_METRICS_H

#include "base/metric_cell.h"
#include "telemetry/limit_metrics.h"
#include "telemetry/loop_metrics.h"
#include "telemetry/metrics.h"

// X(field, type, merge, unit, name, labels, help). Rows of one name stand together; the help of the first counts. `labels` are constant, in their final form.
// merge: SUM, MAX or LEAST over workers. unit: PLAIN, or NS: kept in nanoseconds, shown in seconds.
#define WORKER_METRIC_LIST(X)                                                                                                                        \
    /* connections of clients */                                                                                                                     \
    X(downstream_accepted, COUNTER, SUM, PLAIN, "outrigger_downstream_connections_total", "", "Connections accepted from clients.")                  \
    X(downstream_active, GAUGE, SUM, PLAIN, "outrigger_downstream_connections_active", "", "Connections of clients that are open.")                  \
    X(downstream_refused_limit, COUNTER, SUM, PLAIN, "outrigger_downstream_connections_refused_total", "reason=\"limit\"",                           \
      "Connections closed as soon as they were accepted.")                                                                                           \
    X(downstream_refused_memory, COUNTER, SUM, PLAIN, "outrigger_downstream_connections_refused_total", "reason=\"memory\"", "")                     \
    X(downstream_refused_descriptors, COUNTER, SUM, PLAIN, "outrigger_downstream_connections_refused_total", "reason=\"descriptors\"", "")           \
    X(downstream_closed_peer, COUNTER, SUM, PLAIN, "outrigger_downstream_connections_closed_total", "reason=\"peer\"",                               \
      "Connections of clients that ended, by who or what ended them.")                                                                               \
    X(downstream_closed_reset, COUNTER, SUM, PLAIN, "outrigger_downstream_connections_closed_total", "reason=\"reset\"", "")                         \
    X(downstream_closed_finished, COUNTER, SUM, PLAIN, "outrigger_downstream_connections_closed_total", "reason=\"finished\"", "")                   \
    X(downstream_closed_idle, COUNTER, SUM, PLAIN, "outrigger_downstream_connections_closed_total", "reason=\"idle_timeout\"", "")                   \
    X(downstream_closed_header_timeout, COUNTER, SUM, PLAIN, "outrigger_downstream_connections_closed_total", "reason=\"header_timeout\"", "")       \
    X(downstream_closed_drain, COUNTER, SUM, PLAIN, "outrigger_downstream_connections_closed_total", "reason=\"drain\"", "")                         \
    X(downstream_closed_tls, COUNTER, SUM, PLAIN, "outrigger_downstream_connections_closed_total", "reason=\"tls_failed\"", "")                      \
    X(downstream_closed_untrusted, COUNTER, SUM, PLAIN, "outrigger_downstream_connections_closed_total", "reason=\"untrusted\"", "")                 \
    X(downstream_closed_protocol, COUNTER, SUM, PLAIN, "outrigger_downstream_connections_closed_total", "reason=\"protocol_error\"", "")             \
    X(downstream_closed_flood, COUNTER, SUM, PLAIN, "outrigger_downstream_connections_closed_total", "reason=\"flood\"", "")                         \
    X(downstream_bytes_in, COUNTER, SUM, PLAIN, "outrigger_downstream_received_bytes_total", "", "Bytes received from clients, as on the wire.")     \
    X(downstream_bytes_out, COUNTER, SUM, PLAIN, "outrigger_downstream_sent_bytes_total", "", "Bytes sent to clients, as on the wire.")              \
    X(detected_http1, COUNTER, SUM, PLAIN, "outrigger_detected_total", "result=\"http1\"",                                                           \
      "Connections whose protocol was told by their first bytes, or by none.")                                                                       \
    X(detected_http2, COUNTER, SUM, PLAIN, "outrigger_detected_total", "result=\"http2\"", "")                                                       \
    X(detected_tls, COUNTER, SUM, PLAIN, "outrigger_detected_total", "result=\"tls\"", "")                                                           \
    X(detected_tcp, COUNTER, SUM, PLAIN, "outrigger_detected_total", "result=\"tcp\"", "")                                                           \
    X(detected_silent, COUNTER, SUM, PLAIN, "outrigger_detected_total", "result=\"silent\"", "")                                                     \
    X(detected_remembered, COUNTER, SUM, PLAIN, "outrigger_detected_total", "result=\"remembered\"", "")                                             \
    X(detected_closed, COUNTER, SUM, PLAIN, "outrigger_detected_total", "result=\"closed\"", "")                                                     \
    X(proxy_headers_read, COUNTER, SUM, PLAIN, "outrigger_proxy_headers_total", "result=\"read\"",                                                   \
      "Headers of the PROXY protocol on listeners that take them.")                                                                                  \
    X(proxy_headers_bad, COUNTER, SUM, PLAIN, "outrigger_proxy_headers_total", "result=\"refused\"", "")                                             \
    /* streams */                                                                                                                                    \
    X(streams_begun, COUNTER, SUM, PLAIN, "outrigger_streams_total", "", "Exchanges of a request and its response that began.")                      \
    X(streams_active, GAUGE, SUM, PLAIN, "outrigger_streams_active", "", "Exchanges that are not over.")                                             \
    X(streams_reset_client, COUNTER, SUM, PLAIN, "outrigger_streams_reset_total", "by=\"client\"", "Streams cut before their end, by whom.")         \
    X(streams_reset_upstream, COUNTER, SUM, PLAIN, "outrigger_streams_reset_total", "by=\"upstream\"", "")                                           \
    X(streams_reset_proxy, COUNTER, SUM, PLAIN, "outrigger_streams_reset_total", "by=\"proxy\"", "")                                                 \
    X(tunnels_websocket, COUNTER, SUM, PLAIN, "outrigger_tunnels_total", "kind=\"websocket\"", "Exchanges that went on as bytes both ways.")         \
    X(tunnels_tcp, COUNTER, SUM, PLAIN, "outrigger_tunnels_total", "kind=\"tcp\"", "")                                                               \
    X(tunnels_websocket_active, GAUGE, SUM, PLAIN, "outrigger_tunnels_active", "kind=\"websocket\"", "Those of them that are not over.")             \
    X(tunnels_tcp_active, GAUGE, SUM, PLAIN, "outrigger_tunnels_active", "kind=\"tcp\"", "")                                                         \
    /* connections to endpoints, and their pools */                                                                                                  \
    X(upstream_opened, COUNTER, SUM, PLAIN, "outrigger_upstream_connections_total", "", "Connections to endpoints that were made.")                  \
    X(upstream_active, GAUGE, SUM, PLAIN, "outrigger_upstream_connections_active", "", "Connections to endpoints that are open.")                    \
    X(upstream_idle, GAUGE, SUM, PLAIN, "outrigger_upstream_connections_idle", "", "Those of them that carry nothing.")                              \
    X(upstream_failed_refused, COUNTER, SUM, PLAIN, "outrigger_upstream_connections_failed_total", "reason=\"connect_refused\"",                     \
      "Connections to endpoints that could not be made.")                                                                                            \
    X(upstream_failed_timeout, COUNTER, SUM, PLAIN, "outrigger_upstream_connections_failed_total", "reason=\"connect_timeout\"", "")                 \
    X(upstream_failed_tls, COUNTER, SUM, PLAIN, "outrigger_upstream_connections_failed_total", "reason=\"tls_failed\"", "")                          \
    X(upstream_failed_identity, COUNTER, SUM, PLAIN, "outrigger_upstream_connections_failed_total", "reason=\"identity_mismatch\"", "")              \
    X(upstream_failed_given_up, COUNTER, SUM, PLAIN, "outrigger_upstream_connections_failed_total", "reason=\"given_up\"", "")                       \
    X(upstream_closed_peer, COUNTER, SUM, PLAIN, "outrigger_upstream_connections_closed_total", "reason=\"peer\"",                                   \
      "Connections to endpoints that ended, by who or what ended them.")                                                                             \
    X(upstream_closed_reset, COUNTER, SUM, PLAIN, "outrigger_upstream_connections_closed_total", "reason=\"reset\"", "")                             \
    X(upstream_closed_idle, COUNTER, SUM, PLAIN, "outrigger_upstream_connections_closed_total", "reason=\"idle_timeout\"", "")                       \
    X(upstream_closed_age, COUNTER, SUM, PLAIN, "outrigger_upstream_connections_closed_total", "reason=\"max_age\"", "")                             \
    X(upstream_closed_finished, COUNTER, SUM, PLAIN, "outrigger_upstream_connections_closed_total", "reason=\"finished\"", "")                       \
    X(upstream_closed_untrusted, COUNTER, SUM, PLAIN, "outrigger_upstream_connections_closed_total", "reason=\"untrusted\"", "")                     \
    X(upstream_closed_protocol, COUNTER, SUM, PLAIN, "outrigger_upstream_connections_closed_total", "reason=\"protocol_error\"", "")                 \
    X(upstream_closed_keepalive, COUNTER, SUM, PLAIN, "outrigger_upstream_connections_closed_total", "reason=\"no_answer\"", "")                     \
    X(upstream_bytes_in, COUNTER, SUM, PLAIN, "outrigger_upstream_received_bytes_total", "", "Bytes received from endpoints, as on the wire.")       \
    X(upstream_bytes_out, COUNTER, SUM, PLAIN, "outrigger_upstream_sent_bytes_total", "", "Bytes sent to endpoints, as on the wire.")                \
    X(pool_reused, COUNTER, SUM, PLAIN, "outrigger_pool_reused_total", "", "Requests sent on a connection that was there.")                          \
    X(pool_stale, COUNTER, SUM, PLAIN, "outrigger_pool_stale_total", "", "Requests that met a connection which their peer was just closing.")        \
    X(pool_waits, COUNTER, SUM, PLAIN, "outrigger_pool_waits_total", "", "Requests that had to wait for a connection.")                              \
    X(pool_waiting, GAUGE, SUM, PLAIN, "outrigger_pool_waiting", "", "Requests that wait for a connection now.")                                     \
    X(pool_wait_time, COUNTER, SUM, NS, "outrigger_pool_wait_seconds_total", "", "Time spent waiting for a connection.")                             \
    X(pool_full, COUNTER, SUM, PLAIN, "outrigger_pool_full_total", "", "Requests refused since the queue for a connection was full.")                \
    /* attempts */                                                                                                                                   \
    X(attempts, COUNTER, SUM, PLAIN, "outrigger_attempts_total", "", "Tries of requests, the first ones too.")                                       \
    X(retries_for_connect_failure, COUNTER, SUM, PLAIN, "outrigger_retries_total", "reason=\"connect_failure\"",                                     \
      "Tries after the first, by what was wrong with the one before.")                                                                               \
    X(retries_for_refused_stream, COUNTER, SUM, PLAIN, "outrigger_retries_total", "reason=\"refused_stream\"", "")                                   \
    X(retries_for_unsent, COUNTER, SUM, PLAIN, "outrigger_retries_total", "reason=\"unsent\"", "")                                                   \
    X(retries_for_gateway_error, COUNTER, SUM, PLAIN, "outrigger_retries_total", "reason=\"gateway_error\"", "")                                     \
    X(retries_for_reset, COUNTER, SUM, PLAIN, "outrigger_retries_total", "reason=\"reset\"", "")                                                     \
    X(retries_for_timeout, COUNTER, SUM, PLAIN, "outrigger_retries_total", "reason=\"timeout\"", "")                                                 \
    X(retries_for_code, COUNTER, SUM, PLAIN, "outrigger_retries_total", "reason=\"code\"", "")                                                       \
    X(retries_for_grpc_code, COUNTER, SUM, PLAIN, "outrigger_retries_total", "reason=\"grpc_code\"", "")                                             \
    X(retries_for_hedge, COUNTER, SUM, PLAIN, "outrigger_retries_total", "reason=\"hedge\"", "")                                                     \
    X(retries_ended_answered, COUNTER, SUM, PLAIN, "outrigger_retries_ended_total", "result=\"answered\"",                                           \
      "How they ended: the client got their answer, or they were to be repeated too or failed, or nobody waited for them.")                          \
    X(retries_ended_failed, COUNTER, SUM, PLAIN, "outrigger_retries_ended_total", "result=\"failed\"", "")                                           \
    X(retries_ended_cancelled, COUNTER, SUM, PLAIN, "outrigger_retries_ended_total", "result=\"cancelled\"", "")                                     \
    X(retries_refused_budget, COUNTER, SUM, PLAIN, "outrigger_retries_refused_total", "reason=\"budget\"",                                           \
      "Failed tries that were to be repeated and were not.")                                                                                         \
    X(retries_refused_body, COUNTER, SUM, PLAIN, "outrigger_retries_refused_total", "reason=\"body\"", "")                                           \
    X(retries_refused_deadline, COUNTER, SUM, PLAIN, "outrigger_retries_refused_total", "reason=\"deadline\"", "")                                   \
    X(retries_refused_method, COUNTER, SUM, PLAIN, "outrigger_retries_refused_total", "reason=\"method\"", "")                                       \
    X(retries_refused_attempts, COUNTER, SUM, PLAIN, "outrigger_retries_refused_total", "reason=\"attempts\"", "")                                   \
    X(retries_refused_retry_after, COUNTER, SUM, PLAIN, "outrigger_retries_refused_total", "reason=\"retry_after\"", "")                             \
    X(hedges_refused_percent, COUNTER, SUM, PLAIN, "outrigger_hedges_refused_total", "reason=\"percent\"",                                           \
      "Requests that took long enough and were not hedged.")                                                                                         \
    X(hedges_refused_budget, COUNTER, SUM, PLAIN, "outrigger_hedges_refused_total", "reason=\"budget\"", "")                                         \
    X(hedges_refused_endpoint, COUNTER, SUM, PLAIN, "outrigger_hedges_refused_total", "reason=\"no_endpoint\"", "")                                  \
    X(hedges_dry_run, COUNTER, SUM, PLAIN, "outrigger_hedges_dry_run_total", "", "Requests that a policy in DryRun would have hedged.")              \
    /* subrequests, and copies of requests */                                                                                                        \
    X(subrequests, COUNTER, SUM, PLAIN, "outrigger_subrequests_total", "", "Requests that filters made.")                                            \
    X(subrequests_active, GAUGE, SUM, PLAIN, "outrigger_subrequests_active", "", "Those of them that are not over.")                                 \
    X(mirrors_answered, COUNTER, SUM, PLAIN, "outrigger_mirrored_requests_total", "result=\"answered\"",                                             \
      "Copies of requests that went to a mirror, by how they ended.")                                                                                \
    X(mirrors_failed, COUNTER, SUM, PLAIN, "outrigger_mirrored_requests_total", "result=\"failed\"", "")                                             \
    X(mirrors_skipped_body, COUNTER, SUM, PLAIN, "outrigger_mirror_skipped_total", "reason=\"body\"",                                                \
      "Copies that were to be sent and were not, by why: docs/routing.md.")                                                                          \
    X(mirrors_skipped_incomplete, COUNTER, SUM, PLAIN, "outrigger_mirror_skipped_total", "reason=\"incomplete\"", "")                                \
    X(mirrors_skipped_busy, COUNTER, SUM, PLAIN, "outrigger_mirror_skipped_total", "reason=\"busy\"", "")                                            \
    X(mirrors_skipped_memory, COUNTER, SUM, PLAIN, "outrigger_mirror_skipped_total", "reason=\"memory\"", "")                                        \
    /* tokens */                                                                                                                                     \
    X(tokens_verified, COUNTER, SUM, PLAIN, "outrigger_tokens_verified_total", "", "Signatures of tokens that were checked; the others were known.") \
    X(jwks_fetched, COUNTER, SUM, PLAIN, "outrigger_jwks_fetches_total", "result=\"ok\"", "Keys of issuers that were fetched, by how it ended.")     \
    X(jwks_failed, COUNTER, SUM, PLAIN, "outrigger_jwks_fetches_total", "result=\"failed\"", "")                                                     \
    /* bounds that were hit */                                                                                                                       \
    X(output_full, COUNTER, SUM, PLAIN, "outrigger_output_full_total", "", "Times that a connection's output stood at its bound.")                   \
    X(windows_refused, COUNTER, SUM, PLAIN, "outrigger_http2_window_growth_refused_total", "",                                                       \
      "Times that an HTTP/2 stream got no larger window since streams hold too much already.")                                                       \
    X(wake_left, COUNTER, SUM, PLAIN, "outrigger_loop_turns_cut_total", "", "Turns of the loop that left streams for the next.")                     \
    X(mailbox_full, COUNTER, SUM, PLAIN, "outrigger_mailbox_full_total", "", "Messages to a worker that its mailbox had no room for.")               \
    X(starvation_untold, COUNTER, SUM, PLAIN, "outrigger_starvation_untold_total", "",                                                               \
      "Other workers that could not be told to give up a connection, their mailbox being full.")                                                     \
    X(log_written, COUNTER, SUM, PLAIN, "outrigger_access_log_lines_total", "", "Lines of the access log that were written.")                        \
    X(log_dropped, COUNTER, SUM, PLAIN, "outrigger_access_log_dropped_total", "reason=\"full\"",                                                     \
      "Lines of the access log that are lost: its file takes them too slowly, or not at all, or they are records that nothing says a place for.")    \
    X(log_failed, COUNTER, SUM, PLAIN, "outrigger_access_log_dropped_total", "reason=\"failed\"", "")                                                \
    X(log_nowhere, COUNTER, SUM, PLAIN, "outrigger_access_log_dropped_total", "reason=\"nowhere\"", "")                                              \
    X(audit_written, COUNTER, SUM, PLAIN, "outrigger_audit_log_lines_total", "", "Lines of the audit log that were written.")                        \
    X(audit_dropped, COUNTER, SUM, PLAIN, "outrigger_audit_log_dropped_total", "reason=\"full\"",                                                    \
      "Events of the audit log that are lost: no room in or no success with its file, sent nowhere, refused connections beyond the rate.")           \
    X(audit_failed, COUNTER, SUM, PLAIN, "outrigger_audit_log_dropped_total", "reason=\"failed\"", "")                                               \
    X(audit_nowhere, COUNTER, SUM, PLAIN, "outrigger_audit_log_dropped_total", "reason=\"nowhere\"", "")                                             \
    X(audit_rate, COUNTER, SUM, PLAIN, "outrigger_audit_log_dropped_total", "reason=\"rate\"", "")                                                   \
    X(taps, GAUGE, SUM, PLAIN, "outrigger_taps", "", "Readers of /tap.")                                                                             \
    X(tap_lines, COUNTER, SUM, PLAIN, "outrigger_tap_lines_total", "", "Lines made for readers of /tap.")                                            \
    X(tap_dropped_full, COUNTER, SUM, PLAIN, "outrigger_tap_dropped_total", "reason=\"full\"",                                                       \
      "Lines that a reader of /tap wanted and did not get: it reads too slowly, or there were more than its rate.")                                  \
    X(tap_dropped_rate, COUNTER, SUM, PLAIN, "outrigger_tap_dropped_total", "reason=\"rate\"", "")                                                   \
    /* memory and the loop */                                                                                                                        \
    X(blocks_used, GAUGE, SUM, PLAIN, "outrigger_buffer_blocks", "state=\"used\"", "Blocks of 16 KiB that hold bytes on their way.")                 \
    X(blocks_free, GAUGE, SUM, PLAIN, "outrigger_buffer_blocks", "state=\"free\"", "")                                                               \
    X(blocks_peak, GAUGE, SUM, PLAIN, "outrigger_buffer_blocks_peak", "", "The most blocks in use at once, summed over workers.")                    \
    X(windows_grown, GAUGE, SUM, PLAIN, "outrigger_http2_window_grown_bytes", "",                                                                    \
      "By how much HTTP/2 streams may have more in flight towards us than each begins with.")                                                        \
    X(chunks_used, GAUGE, SUM, PLAIN, "outrigger_pool_chunks", "state=\"used\"", "Chunks of 4 KiB that hold what streams remember.")                 \
    X(chunks_free, GAUGE, SUM, PLAIN, "outrigger_pool_chunks", "state=\"free\"", "")                                                                 \
    X(h2_bytes_used, GAUGE, SUM, PLAIN, "outrigger_http2_memory_bytes", "state=\"used\"", "What HTTP/2 connections hold of their own allocator.")    \
    X(h2_bytes_free, GAUGE, SUM, PLAIN, "outrigger_http2_memory_bytes", "state=\"free\"", "")                                                        \
    X(tls_bytes_free, GAUGE, SUM, PLAIN, "outrigger_tls_buffers_free_bytes", "", "Buffers of TLS records that are kept for the next.")               \
    X(memory_level, GAUGE, MAX, PLAIN, "outrigger_memory_level", "",                                                                                 \
      "What is shed for want of memory: 0 nothing, 1 free lists, 2 idle connections, 3 requests, 4 connections.")                                    \
    X(wake_waiting, GAUGE, SUM, PLAIN, "outrigger_loop_wake_list", "",                                                                               \
      "Streams and other tasks that waited for their turn when an event loop was last looked at.")                                                   \
    X(mailbox_waiting, GAUGE, SUM, PLAIN, "outrigger_mailbox_waiting", "", "Messages that waited for workers then.")                                 \
    X(loop_turn_longest, GAUGE, MAX, NS, "outrigger_loop_turn_longest_seconds", "", "The longest turn of any event loop in the last minute or two.") \
    X(config_generation, GAUGE, LEAST, PLAIN, "outrigger_worker_config_generation", "",                                                              \
      "Number of the set of documents that every worker has reached.")                                                                               \
    X(snapshots_bound, GAUGE, MAX, PLAIN, "outrigger_worker_snapshots", "",                                                                          \
      "Sets of documents that a worker has in memory: the newest, and those that streams still go by.")

struct worker_metrics {
#define X(field, ...) struct metric_cell field;
    WORKER_METRIC_LIST(X)
#undef X
    struct limit_cells limits[LIMIT_METRIC_COUNT]; // exposed with what each is set to, not by this table
    struct loop_cells loop;                        // of each worker alone
};

// All zero is the initial state: no init. The worker bumps the cells: metric_add(&metrics->attempts, 1).

// Merges `count` workers (at least 1), which may go on counting, into `total`, which is the caller's.
void worker_metrics_merge(struct worker_metrics *total, const struct worker_metrics *const *workers, uint32_t count);

// Writes all families of the table.
void worker_metrics_expose(struct exposition *exposition, const struct worker_metrics *total);

#endif
