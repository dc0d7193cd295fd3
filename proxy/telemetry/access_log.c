// One record as one line, field by field, each with its bound: see access_log.h. Which fields there are stands in the list of the header alone.
#include "telemetry/access_log.h"

#include "base/check.h"
#include "telemetry/access_line.h"
#include "telemetry/text_escape.h"

#include <assert.h>

struct line_field {
    struct bytes name;
    struct bytes json; // `,"name":`
    size_t max;
};

static const struct line_field fields[] = {
#define X(identifier, text, most, describes) [ACCESS_##identifier] = {BYTES_OF(text), BYTES_OF(",\"" text "\":"), most},
    ACCESS_FIELD_LIST(X)
#undef X
};

// Every field with `,"name":"value"`, then `}` and the line feed.
#define X(identifier, text, most, describes) +sizeof(text) + 5 + (most)
static_assert(2 ACCESS_FIELD_LIST(X) <= ACCESS_LOG_LINE_MAX, "a line with every field at its longest fits");
#undef X

static struct bytes version_name(uint8_t version) {
    return version == 10 ? BYTES("1.0") : version == 11 ? BYTES("1.1") : version == 20 ? BYTES("2") : BYTES_NONE;
}

// A field's value: a text of others, a constant or number that needs no quotes, or none.
struct value {
    enum { VALUE_NONE, VALUE_QUOTED, VALUE_PLAIN, VALUE_DIGITS, VALUE_WALL } kind;
    struct bytes text;
    uint64_t number;
};

static struct value quoted(struct bytes text) {
    return (struct value){.kind = text.len > 0 ? VALUE_QUOTED : VALUE_NONE, .text = text};
}

static struct value digits(bool there, uint64_t number) {
    return (struct value){.kind = there ? VALUE_DIGITS : VALUE_NONE, .number = number};
}

struct bytes access_path(const struct access_record *record) {
    const size_t query = bytes_find(record->path, '?'), fragment = bytes_find(record->path, '#');
    return bytes_from(record->path.at, query < fragment ? query : fragment);
}

// Fields that are texts of the record as they stand there.
static struct bytes field_text(const struct access_record *record, enum access_field field) {
    static const size_t places[ACCESS_FIELD_COUNT] = {
        [ACCESS_LISTENER] = offsetof(struct access_record, listener),
        [ACCESS_DIRECTION] = offsetof(struct access_record, direction),
        [ACCESS_METHOD] = offsetof(struct access_record, method),
        [ACCESS_AUTHORITY] = offsetof(struct access_record, authority),
        [ACCESS_DETAIL] = offsetof(struct access_record, detail),
        [ACCESS_POLICY] = offsetof(struct access_record, policy),
        [ACCESS_DELAYED] = offsetof(struct access_record, delayed),
        [ACCESS_DRY_RUN] = offsetof(struct access_record, dry_run),
        [ACCESS_SERVICE] = offsetof(struct access_record, service),
        [ACCESS_ROUTE] = offsetof(struct access_record, route),
        [ACCESS_RETRIED_FOR] = offsetof(struct access_record, retried_for),
        [ACCESS_RETRIED_BY] = offsetof(struct access_record, retried_by),
        [ACCESS_EJECTED] = offsetof(struct access_record, ejected),
        [ACCESS_EJECTED_BY] = offsetof(struct access_record, ejected_by),
        [ACCESS_RETRY_REFUSED] = offsetof(struct access_record, retry_refused),
        [ACCESS_PEER] = offsetof(struct access_record, peer),
        [ACCESS_CLIENT] = offsetof(struct access_record, client),
        [ACCESS_PEER_IDENTITY] = offsetof(struct access_record, peer_identity),
        [ACCESS_REQUEST_ID] = offsetof(struct access_record, request_id),
        [ACCESS_TRACE_ID] = offsetof(struct access_record, trace_id),
        [ACCESS_SPAN_ID] = offsetof(struct access_record, span_id),
        [ACCESS_USER_AGENT] = offsetof(struct access_record, user_agent),
        [ACCESS_KEYS] = offsetof(struct access_record, keys),
        [ACCESS_HEADERS] = offsetof(struct access_record, headers),
    };
    struct bytes text;
    CHECK(places[field] > 0);
    memcpy(&text, (const char *)record + places[field], sizeof(text));
    return text;
}

static struct value value_of(const struct access_record *record, enum access_field field) {
    switch (field) {
    case ACCESS_TIME:
        return (struct value){.kind = VALUE_WALL, .number = record->start_wall};
    case ACCESS_PATH:
        return quoted(access_path(record));
    case ACCESS_VERSION:
        return quoted(version_name(record->version));
    case ACCESS_TLS:
        return (struct value){.kind = VALUE_PLAIN, .text = record->tls ? BYTES("true") : BYTES("false")};
    case ACCESS_STATUS:
        return digits(record->status != 0, record->status);
    case ACCESS_GRPC_STATUS:
        return digits(record->grpc_status >= 0, (uint64_t)record->grpc_status);
    case ACCESS_END:
        return quoted(bytes_from_text(error_name(record->end)));
    case ACCESS_DURATION:
        return digits(true, record->duration / NS_PER_US);
    case ACCESS_REQUEST_BYTES:
        return digits(true, record->request_bytes);
    case ACCESS_RESPONSE_BYTES:
        return digits(true, record->response_bytes);
    case ACCESS_ENDPOINT:
        return quoted(record->attempts > 0 ? record->endpoint : BYTES_NONE);
    case ACCESS_ATTEMPTS:
        return digits(record->attempts > 0, record->attempts);
    case ACCESS_UPSTREAM_DURATION:
        return digits(record->attempts > 0 && record->upstream_duration > 0, record->upstream_duration / NS_PER_US);
    default:
        return quoted(field_text(record, field));
    }
}

// With no quotes around it.
static void append_value(struct access_line *line, const struct value *value, size_t max) {
    CHECK((size_t)(line->end - line->at) >= max);
    switch (value->kind) {
    case VALUE_NONE:
        break;
    case VALUE_QUOTED:
        line->at = text_escape(line->at, line->at + max, value->text, TEXT_ESCAPE_JSON);
        break;
    case VALUE_PLAIN:
        access_line_add(line, value->text);
        break;
    case VALUE_DIGITS:
        access_line_add_number(line, value->number);
        break;
    case VALUE_WALL:
        access_line_add_time(line, value->number);
        break;
    }
}

bool access_line_add_field(struct access_line *line, const struct access_record *record, enum access_field field) {
    const struct value value = value_of(record, field);
    append_value(line, &value, fields[field].max);
    return value.kind != VALUE_NONE;
}

bool access_value_of(const struct access_record *record, enum access_field field, struct access_value *found) {
    const struct value value = value_of(record, field);
    *found = (struct access_value){.is_number = value.kind == VALUE_DIGITS || value.kind == VALUE_WALL, .text = value.text, .number = value.number};
    return value.kind != VALUE_NONE;
}

size_t access_field_max(enum access_field field) {
    return fields[field].max;
}

const char *access_field_name(enum access_field field) {
    return fields[field].name.at;
}

struct bytes access_shown(enum access_field field, struct bytes text) {
    return bytes_from(text.at, text_escape_shown(text, fields[field].max, TEXT_ESCAPE_JSON));
}

size_t access_log_format(const struct access_record *record, char *text, size_t size) {
    CHECK(size >= ACCESS_LOG_LINE_MAX);
    struct access_line line = {text, text + ACCESS_LOG_LINE_MAX};
    for (enum access_field field = 0; field < ACCESS_FIELD_COUNT; field++) {
        struct value value = value_of(record, field);
        if (value.kind == VALUE_NONE)
            continue;
        bool has_quotes = value.kind == VALUE_QUOTED || value.kind == VALUE_WALL;
        access_line_add(&line, fields[field].json);
        if (has_quotes)
            access_line_add(&line, BYTES("\""));
        append_value(&line, &value, fields[field].max);
        if (has_quotes)
            access_line_add(&line, BYTES("\""));
    }
    text[0] = '{'; // the first comma
    access_line_add(&line, BYTES("}\n"));
    return (size_t)(line.at - text);
}

// --- for people ---

static void add_field(struct access_line *line, const struct access_record *record, enum access_field field) {
    if (!access_line_add_field(line, record, field))
        access_line_add(line, BYTES("-"));
}

static void append_milliseconds(struct access_line *line, nanoseconds duration) {
    access_line_add_number(line, duration / NS_PER_MS);
    access_line_add(line, BYTES("."));
    access_line_add_padded(line, duration / NS_PER_US % 1000, 3);
    access_line_add(line, BYTES("ms"));
}

// ` name="value"`, where there is one.
static void append_named(struct access_line *line, const struct access_record *record, enum access_field field) {
    const struct value value = value_of(record, field);
    if (value.kind == VALUE_NONE)
        return;
    access_line_add(line, BYTES(" "));
    access_line_add(line, fields[field].name);
    access_line_add(line, BYTES("=\""));
    append_value(line, &value, fields[field].max);
    access_line_add(line, BYTES("\""));
}

size_t access_log_format_brief(const struct access_record *record, char *text, size_t size) {
    static const enum access_field usual[] = {ACCESS_TIME, ACCESS_LISTENER, ACCESS_METHOD, ACCESS_AUTHORITY};
    static const enum access_field unusual[] = {ACCESS_GRPC_STATUS, ACCESS_DETAIL,      ACCESS_POLICY,       ACCESS_DELAYED,
                                                ACCESS_DRY_RUN,     ACCESS_RETRIED_FOR, ACCESS_RETRIED_BY,   ACCESS_RETRY_REFUSED,
                                                ACCESS_EJECTED,     ACCESS_EJECTED_BY,  ACCESS_PEER_IDENTITY};
    CHECK(size >= ACCESS_LOG_LINE_MAX);
    struct access_line line = {text, text + ACCESS_LOG_LINE_MAX};
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        if (i > 0)
            access_line_add(&line, BYTES(" "));
        add_field(&line, record, usual[i]);
    }
    if (access_path(record).len > 0)
        add_field(&line, record, ACCESS_PATH);
    access_line_add(&line, BYTES(" "));
    add_field(&line, record, ACCESS_STATUS);
    access_line_add(&line, BYTES(" "));
    append_milliseconds(&line, record->duration);
    access_line_add(&line, BYTES(" "));
    add_field(&line, record, ACCESS_ENDPOINT);
    if (record->end != OK)
        append_named(&line, record, ACCESS_END);
    for (size_t i = 0; i < sizeof unusual / sizeof unusual[0]; i++)
        append_named(&line, record, unusual[i]);
    access_line_add(&line, BYTES("\n"));
    return (size_t)(line.at - text);
}
