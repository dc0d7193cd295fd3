// Whatever is put into a span, and in whatever order, the record is a valid message that fits, nothing is lost that is not counted, and every text is valid UTF-8.
//
// The input is a list of steps: a byte that says what is written, one of length (times 16, so that values longer than their bounds come up), and the text.
#include "telemetry/proto/trace.pb-c.h"
#include "telemetry/span.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static void require(bool holds) {
    if (!holds)
        abort();
}

static uint8_t take_byte(struct bytes *input) {
    if (input->len == 0)
        return 0;
    const uint8_t byte = (uint8_t)*input->at;
    *input = bytes_from(input->at + 1, input->len - 1);
    return byte;
}

static struct bytes take_text(struct bytes *input) {
    size_t length = (size_t)take_byte(input) * 16;
    if (length > input->len)
        length = input->len;
    const struct bytes text = bytes_from(input->at, length);
    *input = bytes_from(input->at + length, input->len - length);
    return text;
}

// By a table of its own: what a lead byte is followed by (Unicode, table 3-7).
static bool is_utf8(const char *text) {
    static const struct {
        uint8_t lead_first, lead_last, second_first, second_last;
        int more;
    } rows[] = {{0x01, 0x7f, 0, 0, 0},       {0xc2, 0xdf, 0x80, 0xbf, 1}, {0xe0, 0xe0, 0xa0, 0xbf, 2},
                {0xe1, 0xec, 0x80, 0xbf, 2}, {0xed, 0xed, 0x80, 0x9f, 2}, {0xee, 0xef, 0x80, 0xbf, 2},
                {0xf0, 0xf0, 0x90, 0xbf, 3}, {0xf1, 0xf3, 0x80, 0xbf, 3}, {0xf4, 0xf4, 0x80, 0x8f, 3}};
    for (const unsigned char *at = (const unsigned char *)text; *at != 0;) {
        size_t row = 0;
        while (row < sizeof rows / sizeof rows[0] && (*at < rows[row].lead_first || *at > rows[row].lead_last))
            row++;
        if (row == sizeof rows / sizeof rows[0])
            return false;
        at++;
        for (int i = 0; i < rows[row].more; i++, at++)
            if (*at < (i == 0 ? rows[row].second_first : 0x80) || *at > (i == 0 ? rows[row].second_last : 0xbf))
                return false;
    }
    return true;
}

static void check_attributes(Otlp__KeyValue **attributes, size_t count) {
    require(count <= SPAN_ITEMS_MAX);
    for (size_t i = 0; i < count; i++) {
        require(is_utf8(attributes[i]->key) && attributes[i]->value != NULL);
        if (attributes[i]->value->value_case == OTLP__ANY_VALUE__VALUE_STRING_VALUE)
            require(is_utf8(attributes[i]->value->string_value) && strlen(attributes[i]->value->string_value) <= SPAN_TEXT_MAX);
    }
}

// What was asked for.
struct tally {
    uint32_t attributes, events, links;
};

static void check(const Otlp__Span *span, const struct tally *tally) {
    check_attributes(span->attributes, span->n_attributes);
    require(span->n_attributes + span->dropped_attributes_count == tally->attributes);
    require(span->n_events <= SPAN_ITEMS_MAX && span->n_events + span->dropped_events_count == tally->events);
    require(span->n_links <= SPAN_ITEMS_MAX && span->n_links + span->dropped_links_count == tally->links);
    for (size_t i = 0; i < span->n_events; i++) {
        require(span->events[i]->name == NULL || is_utf8(span->events[i]->name));
        check_attributes(span->events[i]->attributes, span->events[i]->n_attributes);
    }
    for (size_t i = 0; i < span->n_links; i++)
        check_attributes(span->links[i]->attributes, span->links[i]->n_attributes);
    require(span->name == NULL || is_utf8(span->name));
    require(span->status == NULL || span->status->message == NULL || is_utf8(span->status->message));
}

enum { NONE, EVENT, LINK };

static void close_inner(struct span_writer *writer, int *open) {
    if (*open == EVENT)
        span_event_end(writer);
    else if (*open == LINK)
        span_link_end(writer);
    *open = NONE;
}

static void step(struct span_writer *writer, struct bytes *input, int *open, struct tally *tally) {
    static const struct trace_context to = {.trace_id = {1}, .span_id = {2}};
    const uint8_t kind = take_byte(input) % 6;
    const struct bytes text = take_text(input);
    switch (kind) {
    case 0:
        span_text(writer, BYTES("text"), text);
        tally->attributes += *open == NONE && text.len > 0;
        break;
    case 1:
        span_number(writer, text, (int64_t)text.len - 8);
        tally->attributes += *open == NONE;
        break;
    case 2:
        span_list(writer, text, text);
        tally->attributes += *open == NONE;
        break;
    case 3:
        close_inner(writer, open);
        span_event_begin(writer, text, 1);
        *open = EVENT;
        tally->events++;
        break;
    case 4:
        close_inner(writer, open);
        span_link_begin(writer, &to);
        *open = LINK;
        tally->links++;
        break;
    default:
        close_inner(writer, open);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    struct bytes left = bytes_from((const char *)input, size);
    struct span_head head = {.context = {.trace_id = {1}, .span_id = {1}}, .kind = SPAN_CLIENT, .status = (enum span_status)(take_byte(&left) % 3)};
    head.name = take_text(&left);
    head.trace_state = take_text(&left);
    head.message = take_text(&left);
    head.events_dropped = take_byte(&left);
    struct tally tally = {.events = head.events_dropped};
    struct span_writer writer;
    int open = NONE;
    char *memory = malloc(SPAN_BYTES_MAX);
    span_begin(&writer, memory, &head);
    while (left.len > 0)
        step(&writer, &left, &open, &tally);
    close_inner(&writer, &open);
    const size_t length = span_end(&writer);
    require(length <= SPAN_BYTES_MAX);
    Otlp__ScopeSpans *spans = otlp__scope_spans__unpack(NULL, length, (const uint8_t *)memory);
    require(spans != NULL && spans->n_spans == 1);
    check(spans->spans[0], &tally);
    otlp__scope_spans__free_unpacked(spans, NULL);
    free(memory);
    return 0;
}
