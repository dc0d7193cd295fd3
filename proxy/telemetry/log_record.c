// A record field by field. See log_record.h.
#include "telemetry/log_record.h"

#include "base/check.h"
#include "telemetry/access_line.h"
#include "telemetry/convention.h"
#include "telemetry/otlp_wire.h"
#include "telemetry/series_facts.h"

#include <assert.h>

#define SCOPE_LOG_RECORDS 2
enum { RECORD_TIME = 1, RECORD_SEVERITY_NUMBER, RECORD_SEVERITY_TEXT, RECORD_ATTRIBUTES = 6, RECORD_ATTRIBUTES_DROPPED };
enum { RECORD_FLAGS = 8, RECORD_TRACE_ID, RECORD_SPAN_ID, RECORD_OBSERVED, RECORD_EVENT_NAME };

#define TAIL_BYTES 6 // how many attributes were dropped: a tag and 32 bits
static_assert(LOG_RECORD_BYTES_MAX <= WIRE_MESSAGE_MAX, "a length of two bytes");

struct record_writer {
    char *at;
    const char *end; // of what attributes may take
    uint32_t dropped;
};

// ---- attributes

// Fields that have a name in OpenTelemetry's conventions; the others have our own, as they all have of opaque bytes.
static const struct {
    enum access_field field;
    struct bytes key;
} conventions[] = {
    {ACCESS_PATH, BYTES_OF("url.path")},
    {ACCESS_VERSION, BYTES_OF("network.protocol.version")},
    {ACCESS_STATUS, BYTES_OF("http.response.status_code")},
    {ACCESS_REQUEST_BYTES, BYTES_OF("http.request.body.size")},
    {ACCESS_RESPONSE_BYTES, BYTES_OF("http.response.body.size")},
    {ACCESS_USER_AGENT, BYTES_OF("user_agent.original")},
};

static const struct bytes own_keys[] = {
#define X(identifier, name, most, describes) [ACCESS_##identifier] = BYTES_OF("outrigger." name),
    ACCESS_FIELD_LIST(X)
#undef X
};

static struct bytes key_of(const struct access_record *record, enum access_field field) {
    for (size_t i = 0; i < sizeof conventions / sizeof conventions[0] && !record->is_opaque; i++)
        if (conventions[i].field == field)
            return conventions[i].key;
    return own_keys[field];
}

static void put(struct record_writer *writer, struct bytes key, const struct wire_value *value) {
    char *const at = wire_attribute(writer->at, writer->end, WIRE_LENGTH(RECORD_ATTRIBUTES), key, value);
    writer->dropped += at == NULL;
    writer->at = at == NULL ? writer->at : at;
}

static void put_text(struct record_writer *writer, struct bytes key, struct bytes text) {
    if (text.len > 0)
        put(writer, key, &(struct wire_value){.put = wire_value_text, .text = text});
}

static void put_number(struct record_writer *writer, struct bytes key, uint64_t number) {
    put(writer, key, &(struct wire_value){.put = wire_value_number, .number = (int64_t)number});
}

// Host and port of `place`; what has no port has `usual_port`, 0: none.
static void put_place(struct record_writer *writer, struct bytes place, uint64_t usual_port, struct bytes address_key, struct bytes port_key) {
    uint64_t port = usual_port;
    put_text(writer, address_key, convention_host(place, &port));
    if (place.len > 0 && port > 0)
        put_number(writer, port_key, port);
}

// An address with its port: a socket of the file system has none, and is left out.
static void put_peer(struct record_writer *writer, struct bytes peer) {
    if (bytes_find(peer, ':') < peer.len)
        put_place(writer, peer, 0, BYTES("network.peer.address"), BYTES("network.peer.port"));
}

// Whom it came from, and what it was sent to: as in spans the peer is that of the side that tells.
static void put_ends(struct record_writer *writer, const struct access_record *record) {
    uint64_t port = 0;
    put_peer(writer, record->is_server ? record->peer : record->endpoint);
    if (!record->is_server)
        put_text(writer, own_keys[ACCESS_PEER], record->peer);
    else if (record->client.len > 0)
        put_text(writer, BYTES("client.address"), record->client);
    else if (bytes_find(record->peer, ':') < record->peer.len)
        put_text(writer, BYTES("client.address"), convention_host(record->peer, &port));
}

static void put_request(struct record_writer *writer, const struct access_record *record) {
    const struct bytes method = convention_method(record->method);
    if (record->is_opaque)
        return;
    if (record->method.len > 0)
        put_text(writer, BYTES("http.request.method"), method.len > 0 ? method : CONVENTION_OTHER);
    if (method.len == 0)
        put_text(writer, BYTES("http.request.method_original"), record->method);
    put_text(writer, BYTES("url.scheme"), record->scheme);
    put_place(writer, record->server, convention_port(record->server_scheme), BYTES("server.address"), BYTES("server.port"));
    if (record->grpc_status < 0)
        return;
    put_text(writer, BYTES("rpc.system.name"), BYTES("grpc"));
    put_text(writer, BYTES("rpc.status_code"), rpc_status_name((uint16_t)record->grpc_status));
}

// What put_request and put_ends say, or the record's own head.
static bool is_special(enum access_field field) {
    return field == ACCESS_TIME || field == ACCESS_TRACE_ID || field == ACCESS_SPAN_ID || field == ACCESS_TLS || field == ACCESS_METHOD ||
           field == ACCESS_AUTHORITY || field == ACCESS_GRPC_STATUS || field == ACCESS_CLIENT || field == ACCESS_PEER;
}

static struct convention_outcome outcome_of(const struct access_record *record, bool is_server) {
    return (struct convention_outcome){.is_server = is_server, .status = record->status, .grpc_code = record->grpc_status, .end = record->end};
}

static void put_fields(struct record_writer *writer, const struct access_record *record) {
    char digits[CONVENTION_DIGITS_MAX];
    const struct convention_outcome outcome = outcome_of(record, record->is_server);
    put_request(writer, record);
    put_ends(writer, record);
    put_text(writer, BYTES("error.type"), convention_error_type(&outcome, digits));
    for (enum access_field field = 0; field < ACCESS_FIELD_COUNT; field++) {
        struct access_value value;
        if (is_special(field) || !access_value_of(record, field, &value))
            continue;
        if (value.is_number)
            put_number(writer, key_of(record, field), value.number);
        else
            put_text(writer, key_of(record, field), value.text);
    }
}

// ---- the record

// Of opaque bytes there is no status that would say whose fault it is.
static bool is_refusal(enum error end) {
    return end == ERROR_UNAUTHENTICATED || end == ERROR_DENIED || end == ERROR_RATE_LIMITED || end == ERROR_QUOTA_EXCEEDED;
}

static enum log_severity severity_of(const struct access_record *record) {
    char digits[CONVENTION_DIGITS_MAX];
    const struct convention_outcome as_server = outcome_of(record, true);
    if (record->end == OK && record->status < 400 && record->grpc_status <= 0)
        return LOG_SEVERITY_INFO;
    const bool is_error = convention_error_type(&as_server, digits).len > 0 && !(record->is_opaque && is_refusal(record->end));
    return is_error ? LOG_SEVERITY_ERROR : LOG_SEVERITY_WARN;
}

// `text` is hexadecimal, or empty: then NULL, for no id.
static const uint8_t *id_of(struct bytes text, uint8_t *id, size_t count) {
    if (text.len != 2 * count)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const int octet = bytes_octet_of_hex(bytes_from(text.at + 2 * i, 2));
        CHECK(octet >= 0); // we have printed it
        id[i] = (uint8_t)octet;
    }
    return id;
}

static char *put_id(char *at, char tag, const uint8_t *id, size_t count) {
    return id == NULL ? at : wire_bytes(at, tag, id, count);
}

static char *put_flags(char *at, uint8_t flags) {
    if (flags == 0)
        return at;
    *at++ = WIRE_FIXED32(RECORD_FLAGS);
    return wire_fixed(at, flags, 4);
}

static struct bytes severity_text(enum log_severity severity) {
    return severity == LOG_SEVERITY_INFO ? BYTES("INFO") : severity == LOG_SEVERITY_WARN ? BYTES("WARN") : BYTES("ERROR");
}

struct record_head {
    nanoseconds at, observed;
    enum log_severity severity;
    const uint8_t *trace_id, *span_id; // NULL: none
    uint8_t flags;                     // of the trace
    struct bytes event_name;
};

static struct record_writer begin(const struct record_head *head, char *memory) {
    const struct bytes level = severity_text(head->severity);
    char *at = wire_open(memory, WIRE_LENGTH(SCOPE_LOG_RECORDS));
    at = wire_time(at, WIRE_FIXED64(RECORD_TIME), head->at);
    *at++ = WIRE_VARINT(RECORD_SEVERITY_NUMBER);
    *at++ = (char)head->severity;
    at = wire_bytes(at, WIRE_LENGTH(RECORD_SEVERITY_TEXT), level.at, level.len);
    at = put_flags(at, head->flags);
    at = put_id(at, WIRE_LENGTH(RECORD_TRACE_ID), head->trace_id, TRACE_ID_BYTES);
    at = put_id(at, WIRE_LENGTH(RECORD_SPAN_ID), head->span_id, SPAN_ID_BYTES);
    at = wire_time(at, WIRE_FIXED64(RECORD_OBSERVED), head->observed);
    at = wire_bytes(at, WIRE_LENGTH(RECORD_EVENT_NAME), head->event_name.at, head->event_name.len);
    return (struct record_writer){.at = at, .end = memory + LOG_RECORD_BYTES_MAX - TAIL_BYTES};
}

static size_t end(const struct record_writer *writer, char *memory) {
    char *at = writer->at;
    if (writer->dropped > 0) {
        *at++ = WIRE_VARINT(RECORD_ATTRIBUTES_DROPPED);
        at = wire_varint(at, writer->dropped);
    }
    wire_close(memory, at);
    return (size_t)(at - memory);
}

size_t log_record_of_access(const struct access_record *record, char memory[LOG_RECORD_BYTES_MAX]) {
    uint8_t trace_id[TRACE_ID_BYTES], span_id[SPAN_ID_BYTES];
    const struct record_head head = {.at = record->start_wall,
                                     .observed = record->start_wall + record->duration,
                                     .severity = severity_of(record),
                                     .trace_id = id_of(record->trace_id, trace_id, sizeof trace_id),
                                     .span_id = id_of(record->span_id, span_id, sizeof span_id),
                                     .flags = record->trace_flags,
                                     .event_name = BYTES(LOG_EVENT_ACCESS)};
    struct record_writer writer = begin(&head, memory);
    put_fields(&writer, record);
    return end(&writer, memory);
}

size_t log_record_of_event(const struct log_event *event, char memory[LOG_RECORD_BYTES_MAX]) {
    const struct record_head head = {.at = event->at,
                                     .observed = event->observed,
                                     .severity = LOG_SEVERITY_INFO,
                                     .trace_id = event->trace_id,
                                     .span_id = event->span_id,
                                     .flags = event->flags,
                                     .event_name = event->name};
    struct record_writer writer = begin(&head, memory);
    for (uint32_t i = 0; i < event->count; i++) {
        const struct log_value *value = &event->values[i];
        if (value->text.len > 0)
            put_text(&writer, value->key, value->text);
        else
            put_number(&writer, value->key, value->number);
    }
    return end(&writer, memory);
}

// ---- the audit log

static const struct {
    struct bytes key;
    bool is_number;
} audit_keys[] = {
#define X(identifier, name, is_number, most, describes) [AUDIT_FIELD_##identifier] = {BYTES_OF("outrigger." name), is_number},
    AUDIT_FIELD_LIST(X)
#undef X
};

static struct bytes audit_key_of(enum audit_field field) {
    switch (field) {
    case AUDIT_FIELD_METHOD:
        return BYTES("http.request.method");
    case AUDIT_FIELD_PATH:
        return BYTES("url.path");
    case AUDIT_FIELD_STATUS:
        return BYTES("http.response.status_code");
    case AUDIT_FIELD_CLIENT:
        return BYTES("client.address");
    default:
        return audit_keys[field].key;
    }
}

static void put_audit_field(struct record_writer *writer, enum audit_field field, struct bytes text) {
    uint64_t number;
    if (text.len == 0 || field == AUDIT_FIELD_TRACE_ID)
        return;
    if (field == AUDIT_FIELD_AUTHORITY)
        put_place(writer, text, 0, BYTES("server.address"), BYTES("server.port"));
    else if (field == AUDIT_FIELD_PEER)
        put_peer(writer, text);
    else if (audit_keys[field].is_number && bytes_to_u64(text, UINT64_MAX, &number))
        put_number(writer, audit_key_of(field), number);
    else
        put_text(writer, audit_key_of(field), text);
}

size_t log_record_of_audit(const struct audit_record *record, char memory[LOG_RECORD_BYTES_MAX]) {
    static const struct bytes names[] = {
#define X(identifier, word, describes) [AUDIT_##identifier] = BYTES_OF(LOG_EVENT_AUDIT word),
        AUDIT_EVENT_LIST(X)
#undef X
    };
    uint8_t trace_id[TRACE_ID_BYTES];
    const struct bytes result = record->fields[AUDIT_FIELD_RESULT];
    const bool is_refused = record->event == AUDIT_DENIED || bytes_equal(result, BYTES("refused")) || bytes_equal(result, BYTES("failed"));
    const struct record_head head = {.at = record->wall,
                                     .observed = record->wall,
                                     .severity = record->event == AUDIT_LOST ? LOG_SEVERITY_ERROR
                                                 : is_refused                ? LOG_SEVERITY_WARN
                                                                             : LOG_SEVERITY_INFO,
                                     .trace_id = id_of(record->fields[AUDIT_FIELD_TRACE_ID], trace_id, sizeof trace_id),
                                     .event_name = names[record->event]};
    struct record_writer writer = begin(&head, memory);
    for (enum audit_field field = 0; field < AUDIT_FIELD_COUNT; field++)
        put_audit_field(&writer, field, record->fields[field]);
    return end(&writer, memory);
}
