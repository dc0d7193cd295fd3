// What a request was, in numbers, and the labels that OpenTelemetry's conventions make of them.
#ifndef TELEMETRY_SERIES_FACTS_H
#define TELEMETRY_SERIES_FACTS_H

#include "base/error.h"
#include "telemetry/metrics.h"
#include "telemetry/series_registry.h"

// Stands for all that none of our words is for.
#define REQUEST_OTHER "_OTHER"

// Stands for a service in metrics where none was found; no service has a key like it.
#define REQUEST_SERVICE_UNKNOWN "unknown"

// In the order of enum http_method, which is not known here (same row of the layers): "_OTHER" first. A test compares the two.
#define REQUEST_METHOD_LIST(X) X(REQUEST_OTHER) X("GET") X("HEAD") X("POST") X("PUT") X("DELETE") X("CONNECT") X("OPTIONS") X("TRACE") X("PATCH")
#define REQUEST_METHODS 10

// `method`: enum http_method.
struct bytes request_method_name(unsigned method);

// By what listener it came; what a proxy asks for by itself goes out.
enum request_direction { REQUEST_OUTBOUND, REQUEST_INBOUND, REQUEST_GATEWAY };

struct series_facts {
    uint8_t family;    // enum series_family
    uint8_t method;    // HTTP: enum http_method
    uint8_t version;   // HTTP: enum http_version
    bool is_secure;    // HTTP server: https
    uint16_t status;   // HTTP: that of the response, 0: none was sent; RPC: the code
    uint8_t error;     // what went wrong, as a negated enum error; 0: nothing, or the status says it. Ends: how it ended
    uint8_t direction; // opaque, ends: enum request_direction
};

// Sets `error`, once the others are: by the conventions a caller that leaves, and what a server refuses with 4xx or the like, is no error of ours.
void series_facts_end(struct series_facts *facts, enum error end);

// Names of labels that policies give, beside those of these families, and texts that requests have for them: longer ones are cut.
#define SERIES_LABELS_MAX 8
#define SERIES_LABEL_NAME_MAX 63
#define SERIES_LABEL_VALUE_MAX 128

// What a family of series is written as.
enum metric series_metric(enum series_family family);

// Whether it is one of durations of requests: those alone are recorded in exponential histograms too, where that is asked for.
bool series_are_of(const struct metric_family *family);

// "UNAVAILABLE", of a code of gRPC; of one that there is not "UNKNOWN".
struct bytes rpc_status_name(uint16_t code);

// Whether series may have a label of that name.
bool series_label_may_be(struct bytes name);

#define SERIES_NUMBER_MAX 8

// The values of its family's labels in the order of METRIC_FAMILY_LIST; those that it has none for stay as they are. `service`: "namespace/name:port". `rpc_method`: empty: _OTHER.
// `number`: room for the text of the status.
void series_label_values(const struct series_facts *facts, struct bytes service, struct bytes route, struct bytes rpc_method,
                         char number[SERIES_NUMBER_MAX], struct bytes values[METRIC_LABELS_MAX]);

#endif
