// Writes a request, a line of the audit log, or what was decided about a request, as one record of a log as OTLP has it: field 2 (log_records) of ScopeLogs with tag and length, as
// telemetry/export_queue takes it, in one pass and into memory of its caller. Attributes have OpenTelemetry's names where it has them, and say what spans of the same request say
// (convention.h). The others are "outrigger." and the name of the log's field.
//
// Whatever is put into it, what comes out is a valid message of at most LOG_RECORD_BYTES_MAX bytes with valid UTF-8. Texts are cut; attributes for which there is no room are left
// out, and counted in the record itself (dropped_attributes_count).
#ifndef TELEMETRY_LOG_RECORD_H
#define TELEMETRY_LOG_RECORD_H

#include "telemetry/access_log.h"
#include "telemetry/audit_log.h"
#include "telemetry/export_queue.h"
#include "telemetry/trace_context.h"

#define LOG_RECORD_BYTES_MAX EXPORT_RECORD_MAX

// event_name of requests; of the audit log's lines: behind it stands the word of `event`.
#define LOG_EVENT_ACCESS "outrigger.access"
#define LOG_EVENT_AUDIT "outrigger.audit."

// OpenTelemetry's numbers. ERROR: what makes a SERVER span one of an error; WARN: it failed otherwise, as by its caller's fault; INFO: it went well.
enum log_severity { LOG_SEVERITY_INFO = 9, LOG_SEVERITY_WARN = 13, LOG_SEVERITY_ERROR = 17 };

// What was decided about a request.
struct log_value {
    struct bytes key;
    struct bytes text; // empty: it is the number
    uint64_t number;
};

struct log_event {
    nanoseconds at, observed; // since 1970
    const uint8_t *trace_id, *span_id;
    uint8_t flags;     // W3C's, of the trace
    struct bytes name; // at most 127 bytes
    const struct log_value *values;
    uint32_t count;
};

// With `name` as its event_name; INFO. Returns its length.
size_t log_record_of_event(const struct log_event *event, char memory[LOG_RECORD_BYTES_MAX]);

// What a line of the access log says. Returns its length.
size_t log_record_of_access(const struct access_record *record, char memory[LOG_RECORD_BYTES_MAX]);

// What a line of the audit log says: ERROR for lines that were lost, WARN for what was refused, INFO for the rest. Returns its length.
size_t log_record_of_audit(const struct audit_record *record, char memory[LOG_RECORD_BYTES_MAX]);

#endif
