// How requests to a service are carried: its TrafficPolicies merged over the defaults. Part of the snapshot, and as immutable.
#ifndef CONFIG_TRAFFIC_CONFIG_H
#define CONFIG_TRAFFIC_CONFIG_H

#include "base/bytes.h"
#include "base/clock.h"
#include "config/circuit_breaker_config.h"
#include "config/health_config.h"
#include "config/load_balancer.h"
#include "config/place.h"
#include "http/message.h"

#include <stdbool.h>
#include <stdint.h>

enum hedge_after { HEDGE_AFTER_P95, HEDGE_AFTER_DELAY };

enum selection_type { SELECT_WEIGHTED, SELECT_HASH };

// Which backend of a rule a request goes to.
struct selection_config {
    enum selection_type type;
    struct request_key key; // HASH
    enum selection_missing { SELECTION_MISSING_WEIGHTED, SELECTION_MISSING_REJECT } if_missing;
    struct bytes policy;
};

// The highest hedge.max that a policy can say.
#define HEDGES_MAX 3

// The highest retry.attempts that a policy can say: each stream has room for so many endpoints that it has tried.
#define RETRY_ATTEMPTS_MAX 10

// The statuses that retry.codes can name, and how many codes gRPC has.
#define RETRY_CODE_MIN 400
#define RETRY_CODE_MAX 599
#define RETRY_CODE_WORDS ((RETRY_CODE_MAX - RETRY_CODE_MIN) / 64 + 1)
#define GRPC_CODE_COUNT 17

// A TrafficPolicy merged over the defaults. Durations in ns, 0 = none, unless a comment says otherwise. A group that can refuse or end a request names in `policy` whose
// it is, "kind/namespace/name"; empty: the defaults.
struct traffic_config {
    struct load_balancer_config load_balancer;
    struct selection_config selection; // of a rule of a route
    struct {
        uint32_t max;         // connections to one endpoint, of all workers together; 0: no bound
        uint32_t max_pending; // requests that wait for a connection, per service and worker
        uint32_t max_streams; // streams on one HTTP/2 connection
        nanoseconds connect_timeout;
        nanoseconds idle_timeout; // HTTP/2
        nanoseconds http1_idle_timeout;
        nanoseconds max_age;
        nanoseconds keepalive; // HTTP/2 PING when nothing was received for so long
        struct bytes policy;
    } connections;
    struct {
        nanoseconds request, backend_request, idle;
        nanoseconds tcp_idle; // of a tunnel, in the place of `idle`; of an opaque connection in that of all three
        struct bytes policy;
    } timeouts;
    struct {
        bool propagate;
        struct bytes policy;
    } deadline;
    struct {
        uint32_t attempts; // tries after the first, at most RETRY_ATTEMPTS_MAX
        bool connect_failure, refused_stream, unsent, gateway_error, reset, timeout;
        uint64_t codes[RETRY_CODE_WORDS]; // statuses from RETRY_CODE_MIN on, a bit each
        bool grpc_codes[GRPC_CODE_COUNT]; // by their number
        bool methods[METHOD_COUNT];       // may be repeated although they may have been processed
        nanoseconds respect_retry_after;  // the longest wait that an answer may ask for; 0: it is not asked
        struct {
            nanoseconds base, max;
            nanoseconds least; // of a route's rule: below all that
        } backoff;
        uint64_t buffer_bytes;
        struct {
            uint32_t percent;
            nanoseconds interval;
            uint32_t min_per_second;
        } budget;
        struct bytes policy;
    } retry;
    struct {
        enum hedge_after after;
        nanoseconds delay; // DELAY: after this; P95: not before it
        uint32_t max;      // 0: nothing is hedged
        uint32_t percent;  // of the requests that may be hedged
        bool dry_run;      // counted, not sent
        struct bytes policy;
    } hedge;
    struct circuit_breaker_config circuit_breaker;
    struct outlier_config outlier;
    struct health_check_config health_check;
    struct place place;  // of the most specific TrafficPolicy; file NULL: defaults
    struct bytes policy; // "namespace/name" of it; empty: defaults
};

// Whether retry.codes names that status.
static inline bool traffic_retries_code(const struct traffic_config *traffic, unsigned status) {
    if (status < RETRY_CODE_MIN || status > RETRY_CODE_MAX)
        return false;
    unsigned bit = status - RETRY_CODE_MIN;
    return (traffic->retry.codes[bit / 64] >> bit % 64 & 1) != 0;
}

// What `traffic` names of a list of its retry group, in the words of the language, one by one: `*position` is 0 at first; NULL: no more.
enum retry_list { RETRY_CONDITIONS, RETRY_GRPC_CODES, RETRY_METHODS };

const char *traffic_retry_word(const struct traffic_config *traffic, enum retry_list list, uint32_t *position);

#endif
