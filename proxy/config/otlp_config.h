// Where and how telemetry is sent: spec.telemetry.{traces, metrics, logs} of a Proxy or of the MeshConfig, filled up by OTEL_* variables. Part of snapshot.h.
#ifndef CONFIG_OTLP_CONFIG_H
#define CONFIG_OTLP_CONFIG_H

#include "base/bytes.h"
#include "base/clock.h"
#include "config/place.h"

#include <stdbool.h>
#include <stdint.h>

enum otlp_signal { OTLP_TRACES, OTLP_METRICS, OTLP_LOGS, OTLP_SIGNALS };
enum otlp_protocol { OTLP_HTTP_PROTOBUF, OTLP_GRPC, OTLP_HTTP_JSON };
enum otlp_compression { OTLP_COMPRESSION_NONE, OTLP_COMPRESSION_GZIP };

#define OTLP_HEADERS_MAX 16

// What documents and variables may say.
#define OTLP_MS_MAX 3600000
#define OTLP_RECORDS_MAX 65536

// A field of each request. Its value may be a credential: nothing shows it.
struct otlp_header {
    struct bytes name, value;
    struct bytes file; // that has the value; empty: it stands here. NUL behind it
    struct place place;
};

struct otlp_batch {
    nanoseconds schedule_delay; // from one export to the next, unless a batch is full before
    nanoseconds export_timeout; // for a batch with all of its tries
    uint32_t max_queue;         // records that wait in each worker
    uint32_t max_batch;         // records of one request
};

struct otlp_config {
    struct bytes endpoint; // as it was written; empty: this signal is not sent
    enum otlp_protocol protocol;
    enum otlp_compression compression;
    struct otlp_header *headers;
    uint32_t header_count;
    nanoseconds timeout; // of one request
    struct otlp_batch batch;
    struct bytes url_text;         // to which requests go: the endpoint with the path of its signal
    const struct service_url *url; // the same as the snapshot has it; NULL: this signal is not sent
};

#endif
