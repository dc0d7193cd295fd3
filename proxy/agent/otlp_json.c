// Walks the envelope by hand and each message in it by the description that protobuf-c has of it. See otlp_json.h.
#include "agent/otlp_json.h"

#include "base/base64.h"
#include "base/check.h"
#include "base/pool.h"
#include "telemetry/proto/collector.pb-c.h"
#include "telemetry/text_escape.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

// What is written grows with it, and is given up above its bound.
struct printer {
    char *at;
    size_t length, capacity, size_max;
    enum error error;
};

// Room for `size` bytes more; NULL: it is given up.
static char *reserve(struct printer *printer, size_t size) {
    if (printer->error != OK)
        return NULL;
    if (printer->length + size <= printer->capacity)
        return printer->at + printer->length;
    size_t capacity = printer->capacity;
    while (capacity < printer->length + size)
        capacity *= 2;
    char *larger = try_alloc(capacity);
    if (larger == NULL) {
        printer->error = ERROR_NO_MEMORY;
        return NULL;
    }
    memcpy(larger, printer->at, printer->length);
    free(printer->at);
    printer->at = larger;
    printer->capacity = capacity;
    return printer->at + printer->length;
}

static void commit(struct printer *printer, size_t size) {
    printer->length += size;
    if (printer->length > printer->size_max)
        printer->error = ERROR_BODY_TOO_LARGE;
}

static void put(struct printer *printer, struct bytes text) {
    char *to = reserve(printer, text.len);
    if (to == NULL)
        return;
    memcpy(to, text.at, text.len);
    commit(printer, text.len);
}

#define NUMBER_BYTES_MAX 40

__attribute__((format(printf, 2, 3))) static void put_number(struct printer *printer, const char *format, ...) {
    char *to = reserve(printer, NUMBER_BYTES_MAX);
    va_list values;
    if (to == NULL)
        return;
    va_start(values, format);
    const int length = vsnprintf(to, NUMBER_BYTES_MAX, format, values);
    va_end(values);
    CHECK(length > 0 && length < NUMBER_BYTES_MAX);
    commit(printer, (size_t)length);
}

// Numbers that JSON has no word for are texts.
static void put_double(struct printer *printer, double value) {
    if (isfinite(value))
        put_number(printer, "%.17g", value);
    else
        put(printer, isnan(value) ? BYTES("\"NaN\"") : value > 0 ? BYTES("\"Infinity\"") : BYTES("\"-Infinity\""));
}

#define ESCAPED_BYTES_MAX 6 // of one byte: \u00XX

static void put_text(struct printer *printer, const char *text) {
    const struct bytes all = bytes_from_text(text);
    put(printer, BYTES("\""));
    const size_t size = all.len * ESCAPED_BYTES_MAX + TEXT_ESCAPE_ROOM_MIN;
    char *to = reserve(printer, size);
    if (to == NULL)
        return;
    commit(printer, (size_t)(text_escape(to, to + size, all, TEXT_ESCAPE_JSON) - to));
    put(printer, BYTES("\""));
}

static void put_hex(struct printer *printer, const ProtobufCBinaryData *data) {
    static const char digits[] = "0123456789abcdef";
    char *to = reserve(printer, data->len * 2 + 2);
    if (to == NULL)
        return;
    char *end = to;
    *end++ = '"';
    for (size_t i = 0; i < data->len; i++) {
        *end++ = digits[data->data[i] >> 4];
        *end++ = digits[data->data[i] & 15];
    }
    *end++ = '"';
    commit(printer, (size_t)(end - to));
}

static void put_base64(struct printer *printer, const ProtobufCBinaryData *data) {
    char *to = reserve(printer, base64_length(data->len) + 2);
    if (to == NULL)
        return;
    char *end = to;
    *end++ = '"';
    end = base64_encode(data->data, data->len, end);
    *end++ = '"';
    commit(printer, (size_t)(end - to));
}

// "trace_id" becomes "traceId".
static void put_name(struct printer *printer, const char *name) {
    char *to = reserve(printer, strlen(name) + 3);
    if (to == NULL)
        return;
    char *end = to;
    bool is_next_large = false;
    *end++ = '"';
    for (; *name != '\0'; name++) {
        if (*name != '_')
            *end++ = is_next_large && *name >= 'a' && *name <= 'z' ? (char)(*name - ('a' - 'A')) : *name;
        is_next_large = *name == '_';
    }
    *end++ = '"';
    *end++ = ':';
    commit(printer, (size_t)(end - to));
}

static bool is_id(const char *name) {
    return strcmp(name, "trace_id") == 0 || strcmp(name, "span_id") == 0 || strcmp(name, "parent_span_id") == 0;
}

static void put_message(struct printer *printer, const ProtobufCMessage *message);

// The value at `at`, of the type that the field has.
static void put_value(struct printer *printer, const ProtobufCFieldDescriptor *field, const void *at) {
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_ENUM:
        put_number(printer, "%" PRId32, *(const int32_t *)at);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        put_number(printer, "%" PRIu32, *(const uint32_t *)at);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        put_number(printer, "\"%" PRId64 "\"", *(const int64_t *)at);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        put_number(printer, "\"%" PRIu64 "\"", *(const uint64_t *)at);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        put_double(printer, (double)*(const float *)at);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        put_double(printer, *(const double *)at);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        put(printer, *(const protobuf_c_boolean *)at ? BYTES("true") : BYTES("false"));
        break;
    case PROTOBUF_C_TYPE_STRING:
        put_text(printer, *(char *const *)at);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        if (is_id(field->name))
            put_hex(printer, at);
        else
            put_base64(printer, at);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        put_message(printer, *(ProtobufCMessage *const *)at);
        break;
    }
}

static size_t size_of(const ProtobufCFieldDescriptor *field) {
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_FLOAT:
        break;
    }
    return sizeof(uint32_t);
}

static const void *member(const ProtobufCMessage *message, size_t offset) {
    return (const char *)message + offset;
}

static bool is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field) {
    const void *at = member(message, field->offset);
    const uint32_t quantifier = *(const uint32_t *)member(message, field->quantifier_offset);
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
        return quantifier == field->id;
    if (field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(const void *const *)at != NULL;
    return *(const protobuf_c_boolean *)member(message, field->quantifier_offset) != 0;
}

static void put_list(struct printer *printer, const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field) {
    const size_t count = *(const size_t *)member(message, field->quantifier_offset);
    const char *items = *(const char *const *)member(message, field->offset);
    put(printer, BYTES("["));
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            put(printer, BYTES(","));
        put_value(printer, field, items + i * size_of(field));
    }
    put(printer, BYTES("]"));
}

static void put_message(struct printer *printer, const ProtobufCMessage *message) {
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    bool is_first = true;
    put(printer, BYTES("{"));
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        const bool is_list = field->label == PROTOBUF_C_LABEL_REPEATED;
        if (is_list ? *(const size_t *)member(message, field->quantifier_offset) == 0 : !is_set(message, field))
            continue;
        if (!is_first)
            put(printer, BYTES(","));
        is_first = false;
        put_name(printer, field->name);
        if (is_list)
            put_list(printer, message, field);
        else
            put_value(printer, field, member(message, field->offset));
    }
    put(printer, BYTES("}"));
}

// ---- the envelope: one resource, one scope, and its records

struct otlp_json {
    struct printer printer;
    const ProtobufCMessageDescriptor *record;
    struct bytes records; // that are left
    bool is_begun;        // one was printed
};

// The content of the first field, which is one that has a length: all of these bytes are our own.
static struct bytes take_field(struct bytes *rest) {
    size_t length = 0, at = 1;
    for (unsigned shift = 0;; shift += 7) {
        CHECK(at < rest->len && shift < 35);
        const unsigned char byte = (unsigned char)rest->at[at++];
        length |= (size_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0)
            break;
    }
    CHECK(length <= rest->len - at);
    const struct bytes content = bytes_from(rest->at + at, length);
    *rest = bytes_from(content.at + length, rest->len - at - length);
    return content;
}

static void put_packed(struct printer *printer, const ProtobufCMessageDescriptor *descriptor, struct bytes packed) {
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, NULL, packed.len, (const uint8_t *)packed.at);
    if (message == NULL) { // it is what we have encoded: memory was not there
        printer->error = ERROR_NO_MEMORY;
        return;
    }
    put_message(printer, message);
    protobuf_c_message_free_unpacked(message, NULL);
}

static const ProtobufCMessageDescriptor *type_of(const ProtobufCFieldDescriptor *field) {
    return field->descriptor;
}

// {"resourceSpans":[{"resource":{...},"scopeSpans":[{"scope":{...},"spans":[
static void put_front(struct otlp_json *json, const ProtobufCMessageDescriptor *request, struct bytes packed) {
    struct printer *printer = &json->printer;
    const ProtobufCFieldDescriptor *resources = &request->fields[0];
    const ProtobufCFieldDescriptor *of_resource = type_of(resources)->fields; // the resource, then its scopes
    const ProtobufCFieldDescriptor *of_scope = type_of(&of_resource[1])->fields;
    struct bytes resource = take_field(&packed);
    put(printer, BYTES("{"));
    put_name(printer, resources->name);
    put(printer, BYTES("[{"));
    put_name(printer, of_resource[0].name);
    put_packed(printer, type_of(&of_resource[0]), take_field(&resource));
    put(printer, BYTES(","));
    put_name(printer, of_resource[1].name);
    struct bytes scope = take_field(&resource);
    CHECK(packed.len == 0 && resource.len == 0);
    put(printer, BYTES("[{"));
    put_name(printer, of_scope[0].name);
    put_packed(printer, type_of(&of_scope[0]), take_field(&scope));
    put(printer, BYTES(","));
    put_name(printer, of_scope[1].name);
    put(printer, BYTES("["));
    json->record = type_of(&of_scope[1]);
    json->records = scope;
}

enum error otlp_json_create(enum otlp_signal signal, struct bytes request, size_t size_max, struct otlp_json **json) {
    static const ProtobufCMessageDescriptor *const requests[OTLP_SIGNALS] = {[OTLP_TRACES] = &otlp__export_trace_service_request__descriptor,
                                                                             [OTLP_METRICS] = &otlp__export_metrics_service_request__descriptor,
                                                                             [OTLP_LOGS] = &otlp__export_logs_service_request__descriptor};
    const struct printer printer = {
        .at = try_alloc(request.len * 2 + NUMBER_BYTES_MAX), .capacity = request.len * 2 + NUMBER_BYTES_MAX, .size_max = size_max};
    *json = NULL;
    if (printer.at == NULL)
        return ERROR_NO_MEMORY;
    *json = alloc_zeroed_or_abort(1, sizeof **json);
    (*json)->printer = printer;
    put_front(*json, requests[signal], request);
    return OK; // what was wrong shows in the first step
}

enum error otlp_json_step(struct otlp_json *json, size_t bytes, bool *is_done) {
    struct printer *printer = &json->printer;
    const size_t before = json->records.len;
    while (printer->error == OK && json->records.len > 0 && before - json->records.len < bytes) {
        if (json->is_begun)
            put(printer, BYTES(","));
        json->is_begun = true;
        put_packed(printer, json->record, take_field(&json->records));
    }
    *is_done = json->records.len == 0;
    if (*is_done)
        put(printer, BYTES("]}]}]}"));
    return printer->error;
}

struct bytes otlp_json_take(struct otlp_json *json) {
    const struct bytes text = bytes_from(json->printer.at, json->printer.length);
    json->printer.at = NULL;
    return text;
}

void otlp_json_destroy(struct otlp_json *json) {
    if (json != NULL)
        free(json->printer.at);
    free(json);
}
