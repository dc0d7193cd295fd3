// How a signal of telemetry is sent: the rows that its block of spec.telemetry has beside its own, and the rules between them. `signal` is an enum otlp_signal.
#ifndef CONFIG_RESOURCE_OTLP_H
#define CONFIG_RESOURCE_OTLP_H

#include "config/resources.h"

extern const struct choice otlp_protocols[], otlp_compressions[];
extern const struct table otlp_header_table, otlp_traces_batch_table, otlp_logs_batch_table;
#define OTLP_AT(signal, member) ROW_AT(struct mesh_fields, telemetry.otlp[signal].member)
#define OTLP_ROWS(signal)                                                                                                                           \
    {.name = "endpoint",                                                                                                                            \
     .type = VALUE_TEXT,                                                                                                                            \
     OTLP_AT(signal, endpoint),                                                                                                                     \
     .describes = "URL of a collector, http://... or https://...: with no path that of the signal is added (/v1/traces); none: nothing is sent. A " \
                  "host among the documents' services is reached as that service, with its TLS, balancing and breaker"},                            \
        {.name = "protocol",                                                                                                                        \
         .type = VALUE_ENUM,                                                                                                                        \
         OTLP_AT(signal, protocol),                                                                                                                 \
         .choices = otlp_protocols,                                                                                                                 \
         .fallback = "HTTPProtobuf",                                                                                                                \
         .describes = "how OTLP is spoken"},                                                                                                        \
        {.name = "headers",                                                                                                                         \
         .type = VALUE_LIST,                                                                                                                        \
         .item = VALUE_OBJECT,                                                                                                                      \
         .object = &otlp_header_table,                                                                                                              \
         ROW_LIST(struct mesh_fields, telemetry.otlp[signal].headers, telemetry.otlp[signal].header_count),                                         \
         .max = OTLP_HEADERS_MAX,                                                                                                                   \
         .describes = "headers of each request"},                                                                                                   \
        {.name = "compression",                                                                                                                     \
         .type = VALUE_ENUM,                                                                                                                        \
         OTLP_AT(signal, compression),                                                                                                              \
         .choices = otlp_compressions,                                                                                                              \
         .fallback = "None",                                                                                                                        \
         .describes = "of the body of requests"},                                                                                                   \
    {                                                                                                                                               \
        .name = "timeout", .type = VALUE_DURATION, OTLP_AT(signal, timeout), .min = NS_PER_MS, .max = OTLP_MS_MAX * NS_PER_MS, .fallback = "10s",   \
        .describes = "for the answer to a request"                                                                                                  \
    }
// `delay`: by default.
#define OTLP_BATCH_ROWS(signal, delay)                                                                                                         \
    {.name = "scheduleDelay",                                                                                                                  \
     .type = VALUE_DURATION,                                                                                                                   \
     OTLP_AT(signal, batch.schedule_delay),                                                                                                    \
     .min = NS_PER_MS,                                                                                                                         \
     .max = OTLP_MS_MAX * NS_PER_MS,                                                                                                           \
     .fallback = delay,                                                                                                                        \
     .describes = "from one request to the next, unless a batch is full before"},                                                              \
        {.name = "exportTimeout",                                                                                                              \
         .type = VALUE_DURATION,                                                                                                               \
         OTLP_AT(signal, batch.export_timeout),                                                                                                \
         .min = NS_PER_MS,                                                                                                                     \
         .max = OTLP_MS_MAX * NS_PER_MS,                                                                                                       \
         .fallback = "30s",                                                                                                                    \
         .describes = "for a batch with all of its tries; what is not taken by then is dropped and counted"},                                  \
        {.name = "maxQueueSize",                                                                                                               \
         .type = VALUE_INTEGER,                                                                                                                \
         OTLP_AT(signal, batch.max_queue),                                                                                                     \
         .min = 1,                                                                                                                             \
         .max = OTLP_RECORDS_MAX,                                                                                                              \
         .fallback = "2048",                                                                                                                   \
         .describes = "records that may wait in each worker; what comes while so many do is dropped and counted. Of logs the last eighth is "  \
                      "for an auditLog of format OTLP alone. Taken at the start of the process"},                                              \
    {                                                                                                                                          \
        .name = "maxBatchSize", .type = VALUE_INTEGER, OTLP_AT(signal, batch.max_batch), .min = 1, .max = OTLP_RECORDS_MAX, .fallback = "512", \
        .describes = "records of one request: when so many wait they are sent at once"                                                         \
    }
void otlp_check(struct document *document, const struct otlp_config *config, const struct node *node);
void otlp_check_files(struct document *document, const struct otlp_config *config, const char *block); // of that name

// Whether requests may have that field beside those that they have.
bool otlp_header_is_free(struct bytes name);

// Whether one before that `number` has the same name, in whatever case.
bool otlp_header_has_twin(const struct otlp_config *config, uint32_t number);

// What a file says that has the value of a header.
struct bytes otlp_header_value(struct bytes text);

#endif
