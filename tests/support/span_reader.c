// Takes records from the queue of an env, and says them by protobuf-c. See span_reader.h.
#include "support/span_reader.h"

#include "base/check.h"
#include "telemetry/proto/logs.pb-c.h"
#include "telemetry/proto/trace.pb-c.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static void on_wake(void *argument) {
    (void)argument;
}

static void on_note(struct note *note) {
    (void)note;
}

static void publish(struct task *task) {
    struct span_reader *reader = CONTAINER_OF(task, struct span_reader, publish);
    export_queue_publish(&reader->queue);
    export_queue_publish(&reader->records);
}

void span_reader_init(struct span_reader *reader, struct stream_env *env) {
    reader->count = reader->record_count = 0;
    mailbox_init(&reader->home, 4, on_wake, NULL);
    export_queue_init(&reader->queue, SPAN_LINES_MAX, SPAN_LINES_MAX, &reader->home, on_note, NULL);
    export_queue_init(&reader->records, SPAN_LINES_MAX, SPAN_LINES_MAX, &reader->home, on_note, NULL);
    task_init(&reader->publish, publish);
    reader->env = env;
    env->spans = &reader->queue;
    env->log_records = &reader->records;
    env->publish = &reader->publish;
}

void span_reader_dispose(struct span_reader *reader) {
    task_cancel(&reader->publish);
    reader->env->spans = reader->env->log_records = NULL;
    export_queue_dispose(&reader->queue);
    export_queue_dispose(&reader->records);
    mailbox_dispose(&reader->home);
}

__attribute__((format(printf, 2, 3))) static void add(char *line, const char *format, ...) {
    const size_t length = strlen(line);
    va_list arguments;
    va_start(arguments, format);
    const int written = vsnprintf(line + length, SPAN_LINE_MAX - length, format, arguments);
    va_end(arguments);
    CHECK(written >= 0 && (size_t)written < SPAN_LINE_MAX - length);
}

static void add_id(char *line, const char *before, ProtobufCBinaryData id) {
    add(line, "%s", before);
    for (size_t i = 0; i < id.len; i++)
        add(line, "%02x", id.data[i]);
    if (id.len == 0)
        add(line, "-");
}

static void add_attributes(char *line, Otlp__KeyValue **attributes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const Otlp__AnyValue *value = attributes[i]->value;
        add(line, " %s=", attributes[i]->key);
        if (value->value_case == OTLP__ANY_VALUE__VALUE_STRING_VALUE)
            add(line, "%s", value->string_value);
        else if (value->value_case == OTLP__ANY_VALUE__VALUE_INT_VALUE)
            add(line, "%" PRId64, value->int_value);
        else if (value->value_case == OTLP__ANY_VALUE__VALUE_ARRAY_VALUE)
            add(line, "(%s)", value->array_value->values[0]->string_value);
        else
            check_failed("an attribute of another type", __FILE__, __LINE__);
    }
}

static void say(char *line, const Otlp__Span *span) {
    static const char *const kinds[] = {"-", "INTERNAL", "SERVER", "CLIENT"};
    static const char *const codes[] = {"UNSET", "OK", "ERROR"};
    line[0] = '\0';
    add(line, "%s %s", kinds[span->kind], span->name);
    add_id(line, " trace=", span->trace_id);
    add_id(line, " id=", span->span_id);
    add_id(line, " parent=", span->parent_span_id);
    CHECK(span->end_time_unix_nano >= span->start_time_unix_nano);
    add(line, " flags=%x state=%s begun=%" PRIu64 " took=%" PRIu64 " status=%s:%s", span->flags, span->trace_state == NULL ? "-" : span->trace_state,
        span->start_time_unix_nano / NS_PER_MS, (span->end_time_unix_nano - span->start_time_unix_nano) / NS_PER_MS,
        codes[span->status == NULL ? 0 : span->status->code], span->status == NULL || span->status->message == NULL ? "" : span->status->message);
    add_attributes(line, span->attributes, span->n_attributes);
    for (size_t i = 0; i < span->n_events; i++) {
        const int64_t after = (int64_t)(span->events[i]->time_unix_nano - span->start_time_unix_nano);
        add(line, " [%s+%" PRId64 ":", span->events[i]->name, after / (int64_t)NS_PER_MS);
        add_attributes(line, span->events[i]->attributes, span->events[i]->n_attributes);
        add(line, "]");
    }
    for (size_t i = 0; i < span->n_links; i++) {
        add_id(line, " {link ", span->links[i]->span_id);
        add(line, ":");
        add_attributes(line, span->links[i]->attributes, span->links[i]->n_attributes);
        add(line, "}");
    }
    if (span->has_dropped_attributes_count || span->has_dropped_events_count || span->has_dropped_links_count)
        add(line, " dropped=%u,%u,%u", span->dropped_attributes_count, span->dropped_events_count, span->dropped_links_count);
}

static char joined[EXPORT_RECORD_MAX * SPAN_LINES_MAX];

unsigned span_reader_read(struct span_reader *reader) {
    uint32_t records;
    const size_t length = export_queue_take(&reader->queue, SPAN_LINES_MAX, joined, sizeof joined, &records);
    Otlp__ScopeSpans *spans = otlp__scope_spans__unpack(NULL, length, (const uint8_t *)joined);
    CHECK(spans != NULL && spans->n_spans == records && reader->count + records <= SPAN_LINES_MAX);
    for (uint32_t i = 0; i < records; i++)
        say(reader->lines[reader->count++], spans->spans[i]);
    otlp__scope_spans__free_unpacked(spans, NULL);
    return reader->count;
}

static void say_record(char *line, const Otlp__LogRecord *record) {
    line[0] = '\0';
    add(line, "%s %s", record->event_name, record->severity_text);
    add_id(line, " trace=", record->trace_id);
    add_id(line, " id=", record->span_id);
    CHECK(record->observed_time_unix_nano >= record->time_unix_nano);
    add(line, " at=%" PRIu64, record->time_unix_nano / NS_PER_MS);
    add_attributes(line, record->attributes, record->n_attributes);
}

unsigned span_reader_read_records(struct span_reader *reader) {
    uint32_t records;
    const size_t length = export_queue_take(&reader->records, SPAN_LINES_MAX, joined, sizeof joined, &records);
    Otlp__ScopeLogs *logs = otlp__scope_logs__unpack(NULL, length, (const uint8_t *)joined);
    CHECK(logs != NULL && logs->n_log_records == records && reader->record_count + records <= SPAN_LINES_MAX);
    for (uint32_t i = 0; i < records; i++)
        say_record(reader->record_lines[reader->record_count++], logs->log_records[i]);
    otlp__scope_logs__free_unpacked(logs, NULL);
    return reader->record_count;
}

const char *span_part(const char *line, const char *key) {
    static char parts[4][256];
    static unsigned next;
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, " %s", key);
    const char *found = strstr(line, wanted);
    CHECK(found != NULL);
    found += strlen(wanted);
    char *const part = parts[next++ % 4];
    (void)snprintf(part, sizeof parts[0], "%.*s", (int)strcspn(found, " ]}"), found);
    return part;
}
