// Whatever bytes a request carries as the context of its trace: what is read and printed is valid, and says the same when it is read again; nothing outside of them is touched.
//
// The first byte chooses what the rest is: a traceparent, lines of tracestate (cut at line feeds), `ot`, b3, baggage.
#include "telemetry/trace_context.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static void require(bool holds) {
    if (!holds)
        abort();
}

static bool is_same(const struct trace_context *a, const struct trace_context *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

static void check_traceparent(struct bytes text) {
    struct trace_context context, again;
    char printed[TRACEPARENT_LENGTH];
    if (!traceparent_parse(text, &context))
        return;
    traceparent_print(&context, printed);
    require(traceparent_parse(bytes_from(printed, sizeof printed), &again) && is_same(&context, &again));
}

static void check_tracestate(struct bytes text) {
    struct tracestate state = {0}, again = {0};
    char printed[TRACESTATE_BYTES_MAX], second[TRACESTATE_BYTES_MAX];
    while (text.len > 0) {
        const size_t length = bytes_find(text, '\n'), taken = length + (length < text.len);
        tracestate_add(&state, bytes_from(text.at, length));
        text = bytes_from(text.at + taken, text.len - taken);
    }
    require(state.count <= TRACESTATE_MEMBERS_MAX && (!state.is_invalid || state.count == 0));
    const size_t length = tracestate_print(&state, BYTES("th:8"), printed);
    require(length >= 7 && length <= sizeof printed && memcmp(printed, "ot=th:8", 7) == 0);
    tracestate_add(&again, bytes_from(printed, length));
    require(!again.is_invalid && again.count >= 1);
    const size_t second_length = tracestate_print(&again, BYTES("th:8"), second);
    require(second_length == length && memcmp(printed, second, length) == 0);
}

static void check_ot(struct bytes text) {
    static const uint8_t id[TRACE_ID_BYTES] = {1};
    const uint64_t half = trace_threshold(1, 2);
    char printed[TRACE_OT_BYTES_MAX], second[TRACE_OT_BYTES_MAX];
    const size_t length = trace_ot_print(text, half, printed);
    require(length >= 4 && length <= sizeof printed && memcmp(printed, "th:8", 4) == 0);
    require(trace_ot_print(bytes_from(printed, length), half, second) == length && memcmp(printed, second, length) == 0);
    // What is told on has the same randomness, unless that had no room.
    if (text.len <= TRACE_OT_BYTES_MAX - 5)
        require(trace_is_sampled(id, text, half) == trace_is_sampled(id, bytes_from(printed, length), half));
}

static void check_b3(struct bytes text) {
    struct b3 b3, again;
    char printed[B3_LENGTH];
    if (!b3_parse(text, &b3) || !b3.has_ids)
        return;
    b3_print(&b3.context, b3.sampling == B3_DEBUG, printed);
    require(b3_parse(bytes_from(printed, sizeof printed), &again) && is_same(&b3.context, &again.context));
    require((again.sampling == B3_DEBUG) == (b3.sampling == B3_DEBUG));
}

static void check_b3_fields(struct bytes text) {
    struct bytes parts[4];
    struct b3 b3;
    for (size_t i = 0; i < 4; i++) {
        const size_t length = bytes_find(text, '\n'), taken = length + (length < text.len);
        parts[i] = bytes_from(text.at, length);
        text = bytes_from(text.at + taken, text.len - taken);
    }
    if (b3_parse_fields(parts[0], parts[1], parts[2], parts[3], &b3))
        require(b3.has_ids || b3.sampling != B3_DEFERRED);
}

static void check_baggage(struct bytes text) {
    struct baggage_room room = {BAGGAGE_MEMBERS_MAX, BAGGAGE_BYTES_MAX}, again = room;
    const size_t fits = baggage_fit(&room, text);
    require(fits <= text.len && fits <= BAGGAGE_BYTES_MAX + 1);
    require(baggage_fit(&again, bytes_from(text.at, fits)) == fits);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    static void (*const checks[])(struct bytes text) = {check_traceparent, check_tracestate, check_ot, check_b3, check_b3_fields, check_baggage};
    if (size == 0)
        return 0;
    // A copy of its own size, so that a byte read behind it is seen.
    const size_t length = size - 1;
    char *text = malloc(length > 0 ? length : 1);
    memcpy(text, input + 1, length);
    checks[input[0] % 6](bytes_from(text, length));
    free(text);
    return 0;
}
