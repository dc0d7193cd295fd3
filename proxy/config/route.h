// Routes as a snapshot has them: which requests to a service, or to a listener of a gateway, go by which rule, and what a rule does with them (Gateway API, HTTPRoute
// and GRPCRoute). Built by freeze_route.c, searched by stream/route_match.
#ifndef CONFIG_ROUTE_H
#define CONFIG_ROUTE_H

#include "base/map.h"
#include "config/cors_origin.h"
#include "config/place.h"
#include "config/regex.h"
#include "http/message.h"

#include <stdbool.h>
#include <stdint.h>

// ---- what requests a rule is for

enum value_match { VALUE_EXACT, VALUE_REGEX };

// A field of the head by its name in any case, or a parameter of the query by its exact name. The first of that name counts.
struct field_match {
    enum value_match type;
    enum field_id id; // of a field
    struct bytes name;
    struct bytes value;
    const struct regex *regex; // VALUE_REGEX
};

enum path_match { PATH_PREFIX, PATH_EXACT, PATH_REGEX, PATH_METHOD };

struct route_rule;

// One of a rule's matches: all that it says must hold.
struct route_match {
    const struct route_rule *rule;
    enum path_match path_type; // PATH_METHOD: of a GRPCRoute that names a method of any service
    struct bytes path;         // canonical; a prefix has no `/` at its end ("" is all paths); PATH_METHOD: "/Method"
    const struct regex *regex; // PATH_REGEX
    struct bytes method;       // empty: any
    const struct field_match *headers;
    const struct field_match *queries;
    uint32_t header_count, query_count;
    const struct route_match *next; // the next in precedence with the same path
};

// ---- what a rule does

struct header_change {
    struct bytes name, value;
};

struct header_changes {
    struct header_change *set;
    struct header_change *add;
    struct bytes *remove;
    uint32_t set_count, add_count, remove_count;
};

enum path_change_type { PATH_CHANGE_FULL = 1, PATH_CHANGE_PREFIX };

struct path_change {
    enum path_change_type type; // 0: the path stays
    struct bytes full;          // PATH_CHANGE_FULL: the new path
    struct bytes prefix;        // PATH_CHANGE_PREFIX: what stands in the place of the prefix that matched
    struct bytes matched;       // and that prefix, without a `/` at its end
};

struct route_redirect {
    struct bytes scheme, hostname; // empty: as the request's
    struct path_change path;
    uint16_t port; // 0: not said
    uint16_t status;
};

struct route_rewrite {
    struct bytes hostname; // empty: it stays
    struct path_change path;
};

// Which pages of other origins may ask, and what they may read (Fetch section 3.2; Gateway API, HTTPCORSFilter).
struct route_cors {
    struct bytes *origin_texts, *methods, *headers, *exposed; // as they are said
    uint32_t origin_count, method_count, header_count, exposed_count;
    bool allows_credentials;
    uint32_t max_age; // seconds
    // made of them
    struct cors_origin *origins;
    bool any_origin, any_method, any_header;                                 // `*`
    struct bytes methods_value, headers_value, exposed_value, max_age_value; // of the fields; empty: not sent
};

struct policy;
struct service_config;
struct telemetry_rules;
struct traffic_config;

// Where copies of requests go. Of `denominator` requests `numerator` are copied.
struct route_mirror {
    const struct service_config *service;
    uint32_t numerator, denominator;
};

// Where a request goes once it is routed: to a service as such, or where the rule of a route sends its share.
struct destination {
    const struct service_config *service; // whose endpoints are picked from; of what is no backend: whom the request was for
    const struct route_rule *rule;        // NULL: by none
    bool is_backend;                      // false: what no filter answers gets 500 backend_invalid
    struct bytes fault;                   // of what is no backend: "namespace/name" and why, in Gateway API's word; empty: there is no reference
    uint32_t weight;
    uint64_t seed; // of what the document calls it: its part in choosing by hash, whatever stands beside it
    const struct traffic_config *traffic;
    const struct header_changes *request_headers, *response_headers; // of the backendRef; NULL: none
    const struct policy *const *policies;                            // of additive kinds, that act on it, by kind and then by name
    uint32_t policy_count;
    const struct request_key *logged_keys;   // by which the access log tells its requests apart: the Proxy's, and those of its limits; NULL: none
    const struct telemetry_rules *telemetry; // never NULL
    uint32_t index;                          // in snapshot.destinations
};

struct route_rule {
    struct bytes route; // "HTTPRoute/namespace/name"
    struct bytes label; // of the rule: route, ": " and its name or number
    struct place place;
    const struct header_changes *request_headers;  // NULL: none
    const struct header_changes *response_headers; // NULL: none
    const struct route_redirect *redirect;         // NULL: none
    const struct route_rewrite *rewrite;           // NULL: none
    const struct route_cors *cors;                 // NULL: none
    const struct route_mirror *mirrors;
    uint32_t mirror_count;
    struct destination **destinations; // its backends; for one that has none a single one that is no backend
    uint32_t destination_count;
    uint64_t weights; // of all destinations together; 0: nothing may be sent
    uint32_t index;   // in snapshot.rules
};

// In the order in which they go before each other where a port of a Service, or a host at a Gateway, has several (Gateway API, GEP-1294): the first alone counts.
enum routes_kind { ROUTES_GRPC, ROUTES_HTTP, ROUTES_TLS, ROUTES_TCP };

// Whether they are for connections of opaque bytes.
static inline bool routes_are_opaque(enum routes_kind kind) {
    return kind >= ROUTES_TLS;
}

// All rules for one frontend, found by path in a time that does not grow with their number, but for regular expressions. Immutable. Of opaque kinds it has
// server_names alone, of the others all else.
struct route_table {
    enum routes_kind kind;
    struct map server_names;            // "a.example.com", ".example.com" for all below, "" for all -> struct route_rule
    struct map exact;                   // path -> the first struct route_match in precedence
    struct map prefixes;                // the same, by prefix
    const struct route_match *regexes;  // in precedence: behind exact paths, before prefixes
    const struct route_match *methods;  // PATH_METHOD: before the prefix of all paths
    const struct route_match *any_path; // the prefix of all paths
    size_t longest_prefix;              // in bytes
    struct route_table *following;      // in snapshot.route_tables
};

#endif
