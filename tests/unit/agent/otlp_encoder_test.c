// What is sent, as bytes: the envelope around records, JSON, gzip, gRPC's frame.
#include "agent/otlp_encoder.h"

#include "agent/otlp_request.h"
#include "base/pool.h"
#include "telemetry/proto/collector.pb-c.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

// A span with ids, a name, and one attribute of each type.
static size_t pack_span(uint8_t *out, const char *name) {
    static uint8_t trace_id[16] = {0x4b, 0xf9, 0x2f, 0x35, [15] = 0x36}, span_id[8] = {0x00, 0xf0, [7] = 0xb7}, raw[4] = {0xfb, 0xff, 0, 1};
    Otlp__Span span = OTLP__SPAN__INIT;
    Otlp__KeyValue pairs[5];
    Otlp__KeyValue *attributes[5];
    Otlp__AnyValue values[5];
    static char keys[][8] = {"text", "bool", "int", "double", "bytes"}, text[] = "a\"b";
    for (int i = 0; i < 5; i++) {
        otlp__key_value__init(&pairs[i]);
        otlp__any_value__init(&values[i]);
        pairs[i].key = keys[i];
        pairs[i].value = &values[i];
        attributes[i] = &pairs[i];
    }
    values[0].value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
    values[0].string_value = text;
    values[1].value_case = OTLP__ANY_VALUE__VALUE_BOOL_VALUE;
    values[1].bool_value = 1;
    values[2].value_case = OTLP__ANY_VALUE__VALUE_INT_VALUE;
    values[2].int_value = -7;
    values[3].value_case = OTLP__ANY_VALUE__VALUE_DOUBLE_VALUE;
    values[3].double_value = 0.5;
    values[4].value_case = OTLP__ANY_VALUE__VALUE_BYTES_VALUE;
    values[4].bytes_value = (ProtobufCBinaryData){sizeof raw, raw};
    span.has_trace_id = span.has_span_id = 1;
    span.trace_id = (ProtobufCBinaryData){sizeof trace_id, trace_id};
    span.span_id = (ProtobufCBinaryData){sizeof span_id, span_id};
    span.name = (char *)(uintptr_t)name;
    span.has_kind = 1;
    span.kind = OTLP__SPAN__KIND__CLIENT;
    span.has_start_time_unix_nano = 1;
    span.start_time_unix_nano = UINT64_C(1700000000123456789);
    span.has_flags = 1;
    span.flags = 0x101;
    span.n_attributes = 5;
    span.attributes = attributes;
    return otlp__span__pack(&span, out);
}

// A request with `count` such spans. Owned.
static struct bytes make_request(unsigned count, const char *name) {
    static const uint8_t resource[] = {0x0a, 0x00}, scope[] = {0x0a, 0x05, 0x0a, 0x03, 'o', 'u', 't'};
    const struct otlp_origin origin = {bytes_from((const char *)resource, sizeof resource), bytes_from((const char *)scope, sizeof scope)};
    uint8_t span[1024];
    const size_t length = pack_span(span, name);
    const size_t head = otlp_head_room(&origin), records = (length + 3) * count;
    char *memory = alloc_or_abort(head + records);
    for (unsigned i = 0; i < count; i++) {
        char *at = memory + head + i * (length + 3);
        at[0] = 0x12;
        at[1] = (char)(length | 0x80);
        at[2] = (char)(length >> 7);
        memcpy(at + 3, span, length);
    }
    const char *begin = otlp_head_write(&origin, records, memory + head);
    const struct bytes request = bytes_keep(bytes_from(begin, (size_t)(memory + head + records - begin)));
    free(memory);
    return request;
}

// All steps at once. `*steps`: how many; NULL: nobody asks.
static enum error encode(enum otlp_protocol protocol, enum otlp_compression compression, struct bytes request, struct bytes *body, unsigned *steps) {
    struct otlp_encoder *encoder;
    bool is_done = false;
    unsigned count = 0;
    *body = BYTES_NONE;
    enum error error = otlp_encoder_create(protocol, compression, OTLP_TRACES, request, &encoder);
    for (; error == OK && !is_done; count++)
        error = otlp_encoder_step(encoder, &is_done);
    if (error == OK)
        *body = otlp_encoder_take(encoder);
    otlp_encoder_destroy(encoder);
    if (steps != NULL)
        *steps = count;
    return error;
}

static void records_stand_in_one_resource_and_one_scope(void **state) {
    (void)state;
    static const unsigned counts[] = {1, 2, 700};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct bytes request = make_request(counts[i], "GET");
        Otlp__ExportTraceServiceRequest *read = otlp__export_trace_service_request__unpack(NULL, request.len, (const uint8_t *)request.at);
        assert_non_null(read);
        assert_int_equal(read->n_resource_spans, 1);
        assert_non_null(read->resource_spans[0]->resource);
        assert_int_equal(read->resource_spans[0]->n_scope_spans, 1);
        assert_string_equal(read->resource_spans[0]->scope_spans[0]->scope->name, "out");
        assert_int_equal(read->resource_spans[0]->scope_spans[0]->n_spans, counts[i]);
        assert_string_equal(read->resource_spans[0]->scope_spans[0]->spans[counts[i] - 1]->name, "GET");
        otlp__export_trace_service_request__free_unpacked(read, NULL);
        bytes_drop(&request);
    }
}

static void json_has_otlp_s_own_forms(void **state) {
    (void)state;
    struct bytes request = make_request(1, "a\n\x01/\xff");
    struct bytes json;
    assert_int_equal(encode(OTLP_HTTP_JSON, OTLP_COMPRESSION_NONE, request, &json, NULL), OK);
    static const char wanted[] = "{\"resourceSpans\":[{\"resource\":{},\"scopeSpans\":[{\"scope\":{\"name\":\"out\"},\"spans\":[{"
                                 "\"traceId\":\"4bf92f35000000000000000000000036\",\"spanId\":\"00f00000000000b7\","
                                 "\"name\":\"a\\n\\u0001/\xef\xbf\xbd\",\"kind\":3,\"startTimeUnixNano\":\"1700000000123456789\",\"attributes\":["
                                 "{\"key\":\"text\",\"value\":{\"stringValue\":\"a\\\"b\"}},{\"key\":\"bool\",\"value\":{\"boolValue\":true}},"
                                 "{\"key\":\"int\",\"value\":{\"intValue\":\"-7\"}},{\"key\":\"double\",\"value\":{\"doubleValue\":0.5}},"
                                 "{\"key\":\"bytes\",\"value\":{\"bytesValue\":\"+/8AAQ==\"}}],\"flags\":257}]}]}]}";
    if (json.len != sizeof wanted - 1 || memcmp(json.at, wanted, json.len) != 0)
        fail_msg("%.*s", BYTES_FORMAT(json));
    bytes_drop(&json);
    bytes_drop(&request);
}

// Owned.
static struct bytes inflate_all(struct bytes text) {
    z_stream stream = {.next_in = (unsigned char *)(uintptr_t)text.at, .avail_in = (uInt)text.len};
    const size_t size = OTLP_BODY_BYTES_MAX;
    char *out = alloc_or_abort(size);
    assert_int_equal(inflateInit2(&stream, MAX_WBITS + 16), Z_OK);
    stream.next_out = (unsigned char *)out;
    stream.avail_out = (uInt)size;
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.avail_in, 0);
    const struct bytes all = bytes_from(out, stream.total_out);
    inflateEnd(&stream);
    return all;
}

// Behind a frame of so many bytes.
static void assert_same(struct bytes packed, struct bytes plain, size_t frame) {
    struct bytes all = inflate_all(bytes_from(packed.at + frame, packed.len - frame));
    assert_int_equal(all.len, plain.len - frame);
    assert_memory_equal(all.at, plain.at + frame, all.len);
    bytes_drop(&all);
}

static const enum otlp_protocol protocols[] = {OTLP_HTTP_PROTOBUF, OTLP_HTTP_JSON, OTLP_GRPC};

static void compressed_it_is_the_same(void **state) {
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const size_t frame = protocols[i] == OTLP_GRPC ? 5 : 0;
        struct bytes request = make_request(20, "GET"), plain, packed;
        assert_int_equal(encode(protocols[i], OTLP_COMPRESSION_NONE, request, &plain, NULL), OK);
        assert_int_equal(encode(protocols[i], OTLP_COMPRESSION_GZIP, request, &packed, NULL), OK);
        assert_true(packed.len < plain.len / 2);
        assert_same(packed, plain, frame);
        bytes_drop(&plain);
        bytes_drop(&packed);
        bytes_drop(&request);
    }
}

static void grpc_has_a_frame_with_flag_and_length(void **state) {
    (void)state;
    struct bytes request = make_request(3, "GET"), body;
    for (int gzip = 0; gzip < 2; gzip++) {
        const enum otlp_compression compression = gzip ? OTLP_COMPRESSION_GZIP : OTLP_COMPRESSION_NONE;
        assert_int_equal(encode(OTLP_GRPC, compression, request, &body, NULL), OK);
        const unsigned char *at = (const unsigned char *)body.at;
        assert_int_equal(at[0], gzip);
        assert_int_equal((size_t)at[1] << 24 | (size_t)at[2] << 16 | (size_t)at[3] << 8 | at[4], body.len - 5);
        bytes_drop(&body);
    }
    bytes_drop(&request);
}

// A request of 1 MiB takes many steps; none of them does more than its share, and what comes of it is the same.
static void a_large_one_is_made_in_steps(void **state) {
    (void)state;
    struct bytes request = make_request(9000, "GET"), plain, packed;
    unsigned steps;
    assert_true(request.len > 1000000);
    for (size_t i = 0; i < 3; i++) {
        const bool is_json = protocols[i] == OTLP_HTTP_JSON;
        const size_t frame = protocols[i] == OTLP_GRPC ? 5 : 0;
        assert_int_equal(encode(protocols[i], OTLP_COMPRESSION_NONE, request, &plain, &steps), OK);
        assert_in_range(steps, is_json ? request.len / 40000 : 1, is_json ? request.len / 30000 : 1);
        const unsigned printed = is_json ? steps : 0;
        assert_int_equal(encode(protocols[i], OTLP_COMPRESSION_GZIP, request, &packed, &steps), OK);
        assert_in_range(steps, printed + plain.len / 65536, printed + plain.len / 65536 + 1);
        assert_same(packed, plain, frame);
        bytes_drop(&plain);
        bytes_drop(&packed);
    }
    // It may be left at any time.
    struct otlp_encoder *encoder;
    for (unsigned left = 0; left < 60; left += 7) {
        bool is_done = false;
        assert_int_equal(otlp_encoder_create(OTLP_HTTP_JSON, OTLP_COMPRESSION_GZIP, OTLP_TRACES, request, &encoder), OK);
        for (unsigned i = 0; i < left && !is_done; i++)
            assert_int_equal(otlp_encoder_step(encoder, &is_done), OK);
        otlp_encoder_destroy(encoder);
    }
    bytes_drop(&request);
}

static void what_is_too_large_or_has_no_memory_is_no_body(void **state) {
    (void)state;
    struct bytes large = bytes_from(alloc_zeroed_or_abort(1, OTLP_BODY_BYTES_MAX + 1), OTLP_BODY_BYTES_MAX + 1), body;
    assert_int_equal(encode(OTLP_HTTP_PROTOBUF, OTLP_COMPRESSION_GZIP, large, &body, NULL), ERROR_BODY_TOO_LARGE);
    assert_null(body.at);
    bytes_drop(&large);
    struct bytes request =
        make_request(14000, "\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"); // as JSON it grows
    assert_true(request.len < OTLP_BODY_BYTES_MAX);
    assert_int_equal(encode(OTLP_HTTP_JSON, OTLP_COMPRESSION_NONE, request, &body, NULL), ERROR_BODY_TOO_LARGE);
    assert_null(body.at);
    bytes_drop(&request);
    request = make_request(2, "GET");
    for (size_t i = 0; i < 3; i++) {
        try_alloc_fail_after(1);
        assert_int_equal(encode(protocols[i], OTLP_COMPRESSION_GZIP, request, &body, NULL), ERROR_NO_MEMORY);
        assert_null(body.at);
    }
    try_alloc_fail_after(0);
    bytes_drop(&request);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_stand_in_one_resource_and_one_scope),
        cmocka_unit_test(json_has_otlp_s_own_forms),
        cmocka_unit_test(compressed_it_is_the_same),
        cmocka_unit_test(grpc_has_a_frame_with_flag_and_length),
        cmocka_unit_test(a_large_one_is_made_in_steps),
        cmocka_unit_test(what_is_too_large_or_has_no_memory_is_no_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
