// Finished spans as bytes: what protobuf-c reads of them is what was put in, and there is always a valid span, however much that was.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "telemetry/proto/trace.pb-c.h"
#include "telemetry/span.h"

#include <stdio.h>

static char memory[SPAN_BYTES_MAX];

static struct span_head usual_head(void) {
    static const uint8_t parent[SPAN_ID_BYTES] = {9, 8, 7, 6, 5, 4, 3, 2};
    struct span_head head = {.parent_id = parent,
                             .parent_is_remote = true,
                             .trace_state = BYTES("ot=th:8,a=1"),
                             .name = BYTES("GET"),
                             .kind = SPAN_SERVER,
                             .begun = UINT64_C(1767225599) * NS_PER_S,
                             .ended = UINT64_C(1767225600) * NS_PER_S + 7,
                             .status = SPAN_ERROR,
                             .message = BYTES("it broke")};
    for (size_t i = 0; i < TRACE_ID_BYTES; i++)
        head.context.trace_id[i] = (uint8_t)(i + 1);
    for (size_t i = 0; i < SPAN_ID_BYTES; i++)
        head.context.span_id[i] = (uint8_t)(0xf0 + i);
    head.context.flags = TRACE_SAMPLED;
    return head;
}

static struct span_writer begin(void) {
    struct span_writer writer;
    const struct span_head head = usual_head();
    span_begin(&writer, memory, &head);
    return writer;
}

// The record is a message of ScopeSpans with one span: what an exporter joins.
static Otlp__ScopeSpans *read_record(size_t length) {
    assert_true(length <= SPAN_BYTES_MAX);
    Otlp__ScopeSpans *spans = otlp__scope_spans__unpack(NULL, length, (const uint8_t *)memory);
    assert_non_null(spans);
    assert_int_equal(spans->n_spans, 1);
    assert_int_equal(spans->spans[0]->base.n_unknown_fields, 0);
    return spans;
}

static Otlp__ScopeSpans *end(struct span_writer *writer) {
    return read_record(span_end(writer));
}

static const Otlp__AnyValue *value_of(Otlp__KeyValue **attributes, size_t count, const char *key) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(attributes[i]->key, key) == 0)
            return attributes[i]->value;
    fail_msg("no %s", key);
    return NULL;
}

static void a_span_has_its_ids_its_times_and_its_status(void **state) {
    (void)state;
    struct span_writer writer = begin();
    Otlp__ScopeSpans *spans = end(&writer);
    const Otlp__Span *span = spans->spans[0];
    const struct span_head head = usual_head();
    assert_int_equal(span->trace_id.len, TRACE_ID_BYTES);
    assert_memory_equal(span->trace_id.data, head.context.trace_id, TRACE_ID_BYTES);
    assert_int_equal(span->span_id.len, SPAN_ID_BYTES);
    assert_memory_equal(span->span_id.data, head.context.span_id, SPAN_ID_BYTES);
    assert_memory_equal(span->parent_span_id.data, head.parent_id, SPAN_ID_BYTES);
    assert_string_equal(span->trace_state, "ot=th:8,a=1");
    assert_string_equal(span->name, "GET");
    assert_int_equal(span->kind, OTLP__SPAN__KIND__SERVER);
    assert_true(span->start_time_unix_nano == head.begun && span->end_time_unix_nano == head.ended);
    assert_int_equal(span->status->code, OTLP__STATUS__CODE__ERROR);
    assert_string_equal(span->status->message, "it broke");
    assert_int_equal(span->flags, 0x301);
    assert_false(span->has_dropped_attributes_count || span->has_dropped_events_count || span->has_dropped_links_count);
    otlp__scope_spans__free_unpacked(spans, NULL);
}

static void a_root_that_went_well_has_neither_parent_nor_status(void **state) {
    (void)state;
    struct span_writer writer;
    struct span_head head = usual_head();
    head.parent_id = NULL;
    head.trace_state = BYTES_NONE;
    head.status = SPAN_UNSET;
    span_begin(&writer, memory, &head);
    Otlp__ScopeSpans *spans = end(&writer);
    const Otlp__Span *span = spans->spans[0];
    assert_false(span->has_parent_span_id);
    assert_null(span->trace_state);
    assert_null(span->status);
    assert_int_equal(span->flags, 0x101);
    otlp__scope_spans__free_unpacked(spans, NULL);
}

static void attributes_are_texts_numbers_and_lists(void **state) {
    (void)state;
    struct span_writer writer = begin();
    span_text(&writer, BYTES("text"), BYTES("value"));
    span_text(&writer, BYTES("empty"), BYTES_NONE);
    span_number(&writer, BYTES("number"), 503);
    span_number(&writer, BYTES("negative"), INT64_MIN);
    span_list(&writer, BYTES("list"), BYTES("one"));
    Otlp__ScopeSpans *spans = end(&writer);
    const Otlp__Span *span = spans->spans[0];
    assert_int_equal(span->n_attributes, 4);
    assert_string_equal(value_of(span->attributes, 4, "text")->string_value, "value");
    assert_int_equal(value_of(span->attributes, 4, "number")->int_value, 503);
    assert_true(value_of(span->attributes, 4, "negative")->int_value == INT64_MIN);
    const Otlp__AnyValue *list = value_of(span->attributes, 4, "list");
    assert_int_equal(list->array_value->n_values, 1);
    assert_string_equal(list->array_value->values[0]->string_value, "one");
    otlp__scope_spans__free_unpacked(spans, NULL);
}

static void events_and_links_have_attributes_of_their_own(void **state) {
    (void)state;
    struct span_writer writer = begin();
    const struct trace_context to = usual_head().context;
    span_event_begin(&writer, BYTES("retried"), 17);
    span_text(&writer, BYTES("why"), BYTES("reset"));
    span_number(&writer, BYTES("after_ms"), 25);
    span_event_end(&writer);
    span_link_begin(&writer, &to);
    span_text(&writer, BYTES("kind"), BYTES("hedge"));
    span_link_end(&writer);
    span_text(&writer, BYTES("of the span"), BYTES("itself"));
    Otlp__ScopeSpans *spans = end(&writer);
    const Otlp__Span *span = spans->spans[0];
    assert_int_equal(span->n_attributes, 1);
    assert_int_equal(span->n_events, 1);
    assert_string_equal(span->events[0]->name, "retried");
    assert_int_equal(span->events[0]->time_unix_nano, 17);
    assert_int_equal(span->events[0]->n_attributes, 2);
    assert_string_equal(value_of(span->events[0]->attributes, 2, "why")->string_value, "reset");
    assert_int_equal(span->n_links, 1);
    assert_memory_equal(span->links[0]->span_id.data, to.span_id, SPAN_ID_BYTES);
    assert_memory_equal(span->links[0]->trace_id.data, to.trace_id, TRACE_ID_BYTES);
    assert_int_equal(span->links[0]->flags, 0x101);
    assert_string_equal(value_of(span->links[0]->attributes, 1, "kind")->string_value, "hedge");
    otlp__scope_spans__free_unpacked(spans, NULL);
}

static void what_is_no_utf_8_is_replaced_and_a_value_is_cut_between_characters(void **state) {
    (void)state;
    char longer[SPAN_TEXT_MAX + 2];
    memset(longer, 'a', SPAN_TEXT_MAX - 1);
    memcpy(longer + SPAN_TEXT_MAX - 1, "\xc3\xa4x", 3); // one byte too many for its bound
    struct span_writer writer = begin();
    span_text(&writer, BYTES("broken"), BYTES("a\xff\xc3z\xe2\x82\xac\n\"\\"));
    span_text(&writer, BYTES("long"), bytes_from(longer, sizeof longer));
    span_text(&writer, BYTES("exact"), bytes_from(longer, SPAN_TEXT_MAX - 1));
    Otlp__ScopeSpans *spans = end(&writer);
    const Otlp__Span *span = spans->spans[0];
    assert_int_equal(span->n_attributes, 3);
    assert_string_equal(value_of(span->attributes, 3, "broken")->string_value, "a\xef\xbf\xbd\xef\xbf\xbdz\xe2\x82\xac\n\"\\");
    assert_int_equal(strlen(value_of(span->attributes, 3, "long")->string_value), SPAN_TEXT_MAX - 1);
    assert_int_equal(strlen(value_of(span->attributes, 3, "exact")->string_value), SPAN_TEXT_MAX - 1);
    otlp__scope_spans__free_unpacked(spans, NULL);
}

static void of_each_kind_there_are_128_at_most_and_the_rest_is_counted(void **state) {
    (void)state;
    struct span_writer writer;
    struct span_head head = usual_head();
    head.events_dropped = 5;
    span_begin(&writer, memory, &head);
    for (int i = 0; i < 130; i++)
        span_number(&writer, BYTES("n"), i);
    for (int i = 0; i < 129; i++) {
        span_event_begin(&writer, BYTES("e"), 1);
        span_event_end(&writer);
    }
    Otlp__ScopeSpans *spans = end(&writer);
    const Otlp__Span *span = spans->spans[0];
    assert_int_equal(span->n_attributes, SPAN_ITEMS_MAX);
    assert_int_equal(span->dropped_attributes_count, 2);
    assert_int_equal(span->n_events, SPAN_ITEMS_MAX);
    assert_int_equal(span->dropped_events_count, 1 + 5);
    otlp__scope_spans__free_unpacked(spans, NULL);
}

static void what_has_no_room_is_left_out_and_counted(void **state) {
    (void)state;
    char value[SPAN_TEXT_MAX];
    memset(value, 'v', sizeof value);
    struct span_writer writer = begin();
    for (int i = 0; i < 20; i++)
        span_text(&writer, BYTES("k"), bytes_from(value, sizeof value));
    span_event_begin(&writer, BYTES("event"), 1);
    for (int i = 0; i < 20; i++)
        span_text(&writer, BYTES("k"), bytes_from(value, i < 2 ? 100 : sizeof value));
    span_event_end(&writer);
    for (int i = 0; i < 100; i++) {
        const struct trace_context to = usual_head().context;
        span_link_begin(&writer, &to);
        span_text(&writer, BYTES("a"), BYTES("b"));
        span_link_end(&writer);
    }
    span_event_begin(&writer, BYTES("one more"), 1);
    span_event_end(&writer);
    Otlp__ScopeSpans *spans = end(&writer);
    const Otlp__Span *span = spans->spans[0];
    assert_int_equal(span->n_attributes + span->dropped_attributes_count, 20);
    assert_in_range(span->n_attributes, 6, 7);
    assert_int_equal(span->n_events, 1);
    assert_int_equal(span->events[0]->n_attributes, 2);
    assert_int_equal(span->events[0]->dropped_attributes_count, 18);
    assert_in_range(span->n_links, 1, 99);
    assert_int_equal(span->n_links + span->dropped_links_count, 100);
    assert_int_equal(span->dropped_events_count, 1);
    otlp__scope_spans__free_unpacked(spans, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_span_has_its_ids_its_times_and_its_status),
        cmocka_unit_test(a_root_that_went_well_has_neither_parent_nor_status),
        cmocka_unit_test(attributes_are_texts_numbers_and_lists),
        cmocka_unit_test(events_and_links_have_attributes_of_their_own),
        cmocka_unit_test(what_is_no_utf_8_is_replaced_and_a_value_is_cut_between_characters),
        cmocka_unit_test(of_each_kind_there_are_128_at_most_and_the_rest_is_counted),
        cmocka_unit_test(what_has_no_room_is_left_out_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
