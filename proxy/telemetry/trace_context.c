// Grammar by grammar, as strict as the specifications are. See trace_context.h.
#include "telemetry/trace_context.h"

#include "base/check.h"

#include <endian.h>
#include <string.h>

// ---- digits

// What a hexadecimal digit in lower case, the only one that these formats know, says: 0 to 15, and that it is one.
#define IS_DIGIT 0x10

static const uint8_t digit_table[256] = {
    ['0'] = 0x10, ['1'] = 0x11, ['2'] = 0x12, ['3'] = 0x13, ['4'] = 0x14, ['5'] = 0x15, ['6'] = 0x16, ['7'] = 0x17,
    ['8'] = 0x18, ['9'] = 0x19, ['a'] = 0x1a, ['b'] = 0x1b, ['c'] = 0x1c, ['d'] = 0x1d, ['e'] = 0x1e, ['f'] = 0x1f};

static uint8_t digit_of(char c) {
    return digit_table[(uint8_t)c];
}

static uint8_t digit_value(char c) {
    return digit_of(c) & (IS_DIGIT - 1);
}

static bool is_hex(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if (digit_of(text.at[i]) == 0)
            return false;
    return true;
}

static struct bytes part(struct bytes text, size_t from, size_t length) {
    CHECK(from + length <= text.len);
    return bytes_from(text.at + from, length);
}

// False: a sign is none, or all are zeros, which no id may be.
static bool parse_id(struct bytes text, uint8_t *id, size_t count) {
    uint8_t any = 0, all = IS_DIGIT;
    CHECK(text.len == 2 * count);
    for (size_t i = 0; i < count; i++) {
        const uint8_t high = digit_of(text.at[2 * i]), low = digit_of(text.at[2 * i + 1]);
        all &= high & low;
        id[i] = (uint8_t)(high << 4 | (low & (IS_DIGIT - 1)));
        any |= id[i];
    }
    return all != 0 && any != 0;
}

#define PAIRS(high) \
    high "0" high "1" high "2" high "3" high "4" high "5" high "6" high "7" high "8" high "9" high "a" high "b" high "c" high "d" high "e" high "f"

static const char pairs[] = PAIRS("0") PAIRS("1") PAIRS("2") PAIRS("3") PAIRS("4") PAIRS("5") PAIRS("6") PAIRS("7") PAIRS("8") PAIRS("9") PAIRS("a")
    PAIRS("b") PAIRS("c") PAIRS("d") PAIRS("e") PAIRS("f");

static inline void print_octet(uint8_t octet, char *text) {
    memcpy(text, pairs + 2 * (size_t)octet, 2);
}

// Eight at a time, as ids come: every request that goes on has three times as many.
static inline char *print_eight(const uint8_t *id, char *text) {
    print_octet(id[0], text);
    print_octet(id[1], text + 2);
    print_octet(id[2], text + 4);
    print_octet(id[3], text + 6);
    print_octet(id[4], text + 8);
    print_octet(id[5], text + 10);
    print_octet(id[6], text + 12);
    print_octet(id[7], text + 14);
    return text + 16;
}

char *trace_hex_print(const uint8_t *id, size_t count, char *text) {
    for (; count >= 8; count -= 8, id += 8)
        text = print_eight(id, text);
    for (; count > 0; count--, id++, text += 2)
        print_octet(*id, text);
    return text;
}

// ---- traceparent

bool traceparent_parse(struct bytes text, struct trace_context *context) {
    struct trace_context found;
    if (text.len < TRACEPARENT_LENGTH || text.at[2] != '-' || text.at[35] != '-' || text.at[52] != '-')
        return false;
    const struct bytes version = part(text, 0, 2), flags = part(text, 53, 2);
    if (!is_hex(version) || !is_hex(flags) || bytes_equal(version, BYTES("ff")))
        return false;
    const bool is_version_0 = bytes_equal(version, BYTES("00"));
    if (text.len > TRACEPARENT_LENGTH && (is_version_0 || text.at[TRACEPARENT_LENGTH] != '-'))
        return false;
    if (!parse_id(part(text, 3, 32), found.trace_id, TRACE_ID_BYTES) || !parse_id(part(text, 36, 16), found.span_id, SPAN_ID_BYTES))
        return false;
    found.flags = digit_value(flags.at[1]) & (TRACE_SAMPLED | TRACE_RANDOM);
    *context = found;
    return true;
}

void traceparent_print(const struct trace_context *context, char text[TRACEPARENT_LENGTH]) {
    char *at = text;
    memcpy(at, "00-", 3);
    at = print_eight(context->trace_id, at + 3);
    at = print_eight(context->trace_id + 8, at);
    *at++ = '-';
    at = print_eight(context->span_id, at);
    *at++ = '-';
    print_octet(context->flags & (TRACE_SAMPLED | TRACE_RANDOM), at);
    CHECK(at + 2 == text + TRACEPARENT_LENGTH);
}

// ---- tracestate

#define KEY_LENGTH_MAX 256
#define VALUE_LENGTH_MAX 256
#define MEMBER_LENGTH_LONG 128 // these go first where there is no room

static bool is_key(struct bytes key) {
    if (key.len == 0 || key.len > KEY_LENGTH_MAX)
        return false;
    for (size_t i = 0; i < key.len; i++) {
        const char c = key.at[i];
        const bool is_alphanumeric = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!is_alphanumeric && (i == 0 || (c != '_' && c != '-' && c != '*' && c != '/' && c != '@')))
            return false;
    }
    return true;
}

// A space at its end was taken for one between members, and is not there any more.
static bool is_value(struct bytes value) {
    if (value.len == 0 || value.len > VALUE_LENGTH_MAX)
        return false;
    for (size_t i = 0; i < value.len; i++)
        if (value.at[i] < ' ' || value.at[i] > '~' || value.at[i] == '=' || value.at[i] == ',')
            return false;
    return true;
}

static struct bytes key_of(struct bytes member) {
    return bytes_from(member.at, bytes_find(member, '='));
}

static struct bytes value_of(struct bytes member) {
    const size_t split = bytes_find(member, '=');
    return split == member.len ? BYTES_NONE : bytes_from(member.at + split + 1, member.len - split - 1);
}

static const struct bytes *find_member(const struct tracestate *state, struct bytes key) {
    for (uint32_t i = 0; i < state->count; i++)
        if (bytes_equal(key_of(state->members[i]), key))
            return &state->members[i];
    return NULL;
}

void tracestate_add(struct tracestate *state, struct bytes line) {
    struct bytes member;
    while (!state->is_invalid && bytes_next(&line, ',', &member)) {
        if (!is_key(key_of(member)) || !is_value(value_of(member))) {
            state->is_invalid = true;
        } else if (find_member(state, key_of(member)) != NULL) {
            continue; // the newer one stands further left
        } else if (state->count == TRACESTATE_MEMBERS_MAX) {
            state->is_invalid = true;
        } else {
            state->members[state->count++] = member;
        }
    }
    if (state->is_invalid)
        state->count = 0;
}

struct bytes tracestate_value(const struct tracestate *state, struct bytes key) {
    const struct bytes *member = find_member(state, key);
    return member == NULL ? BYTES_NONE : value_of(*member);
}

static bool is_ours(struct bytes member) {
    return bytes_equal(key_of(member), BYTES("ot"));
}

static size_t length_of(const struct tracestate *state, const bool left_out[], size_t ours) {
    size_t length = ours;
    for (uint32_t i = 0; i < state->count; i++)
        if (!left_out[i])
            length += state->members[i].len + (length > 0);
    return length;
}

// Which members have no room beside the `ours` bytes of our own.
static void choose_members(const struct tracestate *state, bool left_out[], size_t ours) {
    for (uint32_t i = 0; i < state->count; i++)
        left_out[i] = is_ours(state->members[i]);
    for (uint32_t i = state->count; i-- > 0 && length_of(state, left_out, ours) > TRACESTATE_BYTES_MAX;)
        left_out[i] |= state->members[i].len > MEMBER_LENGTH_LONG;
    for (uint32_t i = state->count; i-- > 0 && length_of(state, left_out, ours) > TRACESTATE_BYTES_MAX;)
        left_out[i] = true;
}

static char *put(char *at, struct bytes text) {
    memcpy(at, text.at, text.len);
    return at + text.len;
}

size_t tracestate_print(const struct tracestate *state, struct bytes ot, char text[TRACESTATE_BYTES_MAX]) {
    CHECK(ot.len <= TRACE_OT_BYTES_MAX);
    bool left_out[TRACESTATE_MEMBERS_MAX] = {false};
    char *at = text;
    choose_members(state, left_out, ot.len > 0 ? ot.len + 3 : 0);
    if (ot.len > 0)
        at = put(put(at, BYTES("ot=")), ot);
    for (uint32_t i = 0; i < state->count; i++) {
        if (left_out[i])
            continue;
        if (at > text)
            *at++ = ',';
        at = put(at, state->members[i]);
    }
    CHECK(at <= text + TRACESTATE_BYTES_MAX);
    return (size_t)(at - text);
}

// ---- sampling

#define RANDOMNESS_DIGITS 14 // 56 bits

uint64_t trace_threshold(uint32_t numerator, uint32_t denominator) {
    CHECK(denominator > 0 && numerator <= denominator);
    // Of 2^56 = whole x denominator + rest: no product needs more than 64 bits.
    const uint64_t whole = TRACE_THRESHOLD_NONE / denominator, rest = TRACE_THRESHOLD_NONE % denominator;
    return TRACE_THRESHOLD_NONE - (whole * numerator + rest * numerator / denominator);
}

static bool is_sub_key(struct bytes key) {
    for (size_t i = 0; i < key.len; i++) {
        const char c = key.at[i];
        if (!(c >= 'a' && c <= 'z') && (i == 0 || !(c >= '0' && c <= '9')))
            return false;
    }
    return key.len > 0;
}

static bool is_sub_value(struct bytes value) {
    for (size_t i = 0; i < value.len; i++) {
        const char c = value.at[i];
        const bool is_alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_alphanumeric && c != '.' && c != '_' && c != '-')
            return false;
    }
    return value.len > 0;
}

// Takes the next "key:value" off `ot`. False: nothing is left, or *is_invalid.
static bool next_sub_key(struct bytes *ot, struct bytes *key, struct bytes *value, bool *is_invalid) {
    if (ot->len == 0)
        return false;
    const struct bytes item = bytes_from(ot->at, bytes_find(*ot, ';'));
    const bool is_last = item.len == ot->len;
    *ot = is_last ? BYTES_NONE : bytes_from(ot->at + item.len + 1, ot->len - item.len - 1);
    const size_t split = bytes_find(item, ':');
    *key = bytes_from(item.at, split);
    *value = split < item.len ? bytes_from(item.at + split + 1, item.len - split - 1) : BYTES_NONE;
    *is_invalid = !is_sub_key(*key) || !is_sub_value(*value) || (!is_last && ot->len == 0);
    return !*is_invalid;
}

// The value of a sub-key; empty: there is none, or `ot` is not valid.
static struct bytes sub_value(struct bytes ot, struct bytes wanted) {
    struct bytes key, value, found = BYTES_NONE;
    bool is_invalid = ot.len > TRACE_OT_BYTES_MAX;
    while (!is_invalid && next_sub_key(&ot, &key, &value, &is_invalid)) {
        if (!bytes_equal(key, wanted))
            continue;
        is_invalid = found.len > 0; // each is unique
        found = value;
    }
    return is_invalid ? BYTES_NONE : found;
}

// R; where there is no valid `rv`, of the trace id.
static uint64_t randomness(const uint8_t trace_id[TRACE_ID_BYTES], struct bytes ot) {
    uint64_t value = 0;
    const struct bytes rv = ot.len > 0 ? sub_value(ot, BYTES("rv")) : BYTES_NONE;
    if (rv.len == RANDOMNESS_DIGITS && is_hex(rv)) {
        for (size_t i = 0; i < rv.len; i++)
            value = value << 4 | digit_value(rv.at[i]);
        return value;
    }
    memcpy(&value, trace_id + TRACE_ID_BYTES - sizeof value, sizeof value);
    return be64toh(value) & (TRACE_THRESHOLD_NONE - 1);
}

bool trace_is_sampled(const uint8_t trace_id[TRACE_ID_BYTES], struct bytes ot, uint64_t threshold) {
    return threshold == TRACE_THRESHOLD_ALL || (threshold < TRACE_THRESHOLD_NONE && randomness(trace_id, ot) >= threshold);
}

// 1 to 14 digits, without zeros at their end.
static char *print_threshold(char *at, uint64_t threshold) {
    uint8_t octets[8];
    char digits[16];
    for (size_t i = 0; i < sizeof octets; i++)
        octets[i] = (uint8_t)(threshold >> (8 * (7 - i)));
    trace_hex_print(octets, sizeof octets, digits);
    size_t count = RANDOMNESS_DIGITS;
    while (count > 1 && digits[2 + count - 1] == '0')
        count--;
    return put(put(at, BYTES("th:")), bytes_from(digits + 2, count));
}

static bool is_valid_ot(struct bytes ot) {
    struct bytes key, value;
    bool is_invalid = ot.len > TRACE_OT_BYTES_MAX;
    while (!is_invalid && next_sub_key(&ot, &key, &value, &is_invalid))
        continue;
    return !is_invalid;
}

size_t trace_ot_print(struct bytes ot, uint64_t threshold, char text[TRACE_OT_BYTES_MAX]) {
    struct bytes key, value;
    bool is_invalid = false;
    char *at = text;
    if (threshold < TRACE_THRESHOLD_NONE)
        at = print_threshold(at, threshold);
    if (!is_valid_ot(ot))
        return (size_t)(at - text);
    while (next_sub_key(&ot, &key, &value, &is_invalid)) {
        const size_t length = (at > text) + key.len + 1 + value.len;
        if (bytes_equal(key, BYTES("th")) || length > (size_t)(text + TRACE_OT_BYTES_MAX - at))
            continue;
        if (at > text)
            *at++ = ';';
        at = put(put(put(at, key), BYTES(":")), value);
    }
    return (size_t)(at - text);
}

// ---- B3

static bool parse_b3_ids(struct bytes trace_id, struct bytes span_id, struct b3 *b3) {
    struct trace_context *context = &b3->context;
    if ((trace_id.len != 32 && trace_id.len != 16) || span_id.len != 16)
        return false;
    const size_t zeros = trace_id.len == 16 ? 8 : 0; // 64 bits are the low ones of 128
    b3->has_ids = parse_id(trace_id, context->trace_id + zeros, TRACE_ID_BYTES - zeros) && parse_id(span_id, context->span_id, SPAN_ID_BYTES);
    return b3->has_ids;
}

static bool parse_b3_state(struct bytes text, struct b3 *b3) {
    if (text.len != 1 || (*text.at != '0' && *text.at != '1' && *text.at != 'd'))
        return false;
    b3->sampling = *text.at == '0' ? B3_DENIED : *text.at == '1' ? B3_ACCEPTED : B3_DEBUG;
    return true;
}

static void tell_b3_flags(struct b3 *b3) {
    b3->context.flags = b3->sampling >= B3_ACCEPTED ? TRACE_SAMPLED : 0;
}

bool b3_parse(struct bytes text, struct b3 *b3) {
    uint8_t parent[SPAN_ID_BYTES];
    struct bytes parts[4];
    uint32_t count = 0;
    *b3 = (struct b3){0};
    for (; count < 4; count++) {
        parts[count] = bytes_from(text.at, bytes_find(text, '-'));
        if (parts[count].len == text.len)
            break;
        text = bytes_from(text.at + parts[count].len + 1, text.len - parts[count].len - 1);
    }
    if (count++ == 4) // one part too many
        return false;
    bool is_valid = count == 1 ? parse_b3_state(parts[0], b3) : parse_b3_ids(parts[0], parts[1], b3);
    if (count >= 3)
        is_valid = is_valid && parse_b3_state(parts[2], b3);
    if (count == 4)
        is_valid = is_valid && parts[3].len == 2 * SPAN_ID_BYTES && parse_id(parts[3], parent, SPAN_ID_BYTES);
    tell_b3_flags(b3);
    return is_valid;
}

// Of the fields X-B3-Sampled and X-B3-Flags.
static bool parse_b3_sampled(struct bytes sampled, struct bytes flags, struct b3 *b3) {
    if (bytes_equal(flags, BYTES("1"))) {
        b3->sampling = B3_DEBUG;
        return true;
    }
    if (bytes_equal_nocase(sampled, BYTES("true")))
        sampled = BYTES("1");
    else if (bytes_equal_nocase(sampled, BYTES("false")))
        sampled = BYTES("0");
    return sampled.len == 0 || (!bytes_equal(sampled, BYTES("d")) && parse_b3_state(sampled, b3));
}

bool b3_parse_fields(struct bytes trace_id, struct bytes span_id, struct bytes sampled, struct bytes flags, struct b3 *b3) {
    *b3 = (struct b3){0};
    const bool has_ids = trace_id.len > 0 || span_id.len > 0;
    if ((has_ids && !parse_b3_ids(trace_id, span_id, b3)) || !parse_b3_sampled(sampled, flags, b3))
        return false;
    tell_b3_flags(b3);
    return b3->has_ids || b3->sampling != B3_DEFERRED;
}

void b3_print(const struct trace_context *context, bool is_debug, char text[B3_LENGTH]) {
    char *at = trace_hex_print(context->trace_id, TRACE_ID_BYTES, text);
    *at++ = '-';
    at = trace_hex_print(context->span_id, SPAN_ID_BYTES, at);
    *at++ = '-';
    *at++ = (context->flags & TRACE_SAMPLED) == 0 ? '0' : is_debug ? 'd' : '1';
    CHECK(at == text + B3_LENGTH);
}

// ---- baggage

size_t baggage_fit(struct baggage_room *room, struct bytes line) {
    size_t fits = 0;
    const bool has_more_before = room->bytes < BAGGAGE_BYTES_MAX;
    size_t spent = has_more_before; // the comma that joins the lines
    while (fits < line.len) {
        const struct bytes rest = bytes_from(line.at + fits, line.len - fits);
        const size_t length = bytes_find(rest, ',');
        const size_t with_comma = length + (length < rest.len);
        const bool is_member = bytes_trim(bytes_from(rest.at, length)).len > 0;
        if (spent + length > room->bytes || (is_member && room->members == 0))
            break;
        room->members -= is_member;
        spent += with_comma;
        fits += with_comma;
    }
    room->bytes -= spent < room->bytes ? spent : room->bytes;
    // The comma behind the last that has room belongs to the one that has none.
    return fits < line.len && fits > 0 ? fits - 1 : fits;
}
