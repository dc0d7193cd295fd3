// Walks a message by the description that protobuf-c has of it. See otlp_json.h.
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
        is_id(field->name) ? put_hex(printer, at) : put_base64(printer, at);
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

enum error otlp_json_print(enum otlp_signal signal, struct bytes request, size_t size_max, struct bytes *json) {
    static const ProtobufCMessageDescriptor *const requests[OTLP_SIGNALS] = {[OTLP_TRACES] = &otlp__export_trace_service_request__descriptor,
                                                                             [OTLP_METRICS] = &otlp__export_metrics_service_request__descriptor,
                                                                             [OTLP_LOGS] = &otlp__export_logs_service_request__descriptor};
    *json = BYTES_NONE;
    struct printer printer = {.capacity = request.len * 2 + NUMBER_BYTES_MAX, .size_max = size_max};
    printer.at = try_alloc(printer.capacity);
    ProtobufCMessage *message =
        printer.at == NULL ? NULL : protobuf_c_message_unpack(requests[signal], NULL, request.len, (const uint8_t *)request.at);
    if (message == NULL) { // it is what we have encoded: memory was not there
        free(printer.at);
        return ERROR_NO_MEMORY;
    }
    put_message(&printer, message);
    protobuf_c_message_free_unpacked(message, NULL);
    if (printer.error != OK) {
        free(printer.at);
        return printer.error;
    }
    *json = bytes_from(printer.at, printer.length);
    return OK;
}
