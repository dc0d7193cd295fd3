// The context of a trace as requests carry it: each rule of W3C Trace Context, of B3 and of baggage, and whose trace is sampled.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "telemetry/trace_context.h"

#include <stdio.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"

static bool is_valid(const char *text) {
    struct trace_context context;
    return traceparent_parse(bytes_from_text(text), &context);
}

// As it is told on, with the version that we speak.
static const char *again(const char *text) {
    static char printed[TRACEPARENT_LENGTH + 1];
    struct trace_context context;
    if (!traceparent_parse(bytes_from_text(text), &context))
        return "invalid";
    traceparent_print(&context, printed);
    return printed;
}

static void a_traceparent_is_read_and_printed(void **state) {
    (void)state;
    struct trace_context context;
    assert_true(traceparent_parse(BYTES("00-" TRACE "-" SPAN "-01"), &context));
    assert_int_equal(context.trace_id[0], 0x4b);
    assert_int_equal(context.trace_id[15], 0x36);
    char span[2 * SPAN_ID_BYTES];
    assert_ptr_equal(trace_hex_print(context.span_id, SPAN_ID_BYTES, span), span + sizeof span);
    assert_memory_equal(span, SPAN, sizeof span);
    assert_int_equal(context.flags, TRACE_SAMPLED);
    assert_string_equal(again("00-" TRACE "-" SPAN "-01"), "00-" TRACE "-" SPAN "-01");
    assert_string_equal(again("00-" TRACE "-" SPAN "-00"), "00-" TRACE "-" SPAN "-00");
}

static void version_ff_is_invalid(void **state) {
    (void)state;
    assert_false(is_valid("ff-" TRACE "-" SPAN "-01"));
    assert_true(is_valid("fe-" TRACE "-" SPAN "-01"));
}

static void ids_of_zeros_are_invalid(void **state) {
    (void)state;
    assert_false(is_valid("00-00000000000000000000000000000000-" SPAN "-01"));
    assert_false(is_valid("00-" TRACE "-0000000000000000-01"));
}

static void upper_case_and_what_is_no_hex_are_invalid(void **state) {
    (void)state;
    assert_false(is_valid("00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01"));
    assert_false(is_valid("00-" TRACE "-00F067AA0BA902B7-01"));
    assert_false(is_valid("00-" TRACE "-" SPAN "-0A"));
    assert_false(is_valid("0G-" TRACE "-" SPAN "-01"));
    assert_false(is_valid("00-" TRACE "-" SPAN "-.1"));
    assert_false(is_valid("00-4bf92f3577b34da6a3ce929d0e0e473.-" SPAN "-01"));
}

static void version_00_is_55_characters_long(void **state) {
    (void)state;
    assert_false(is_valid("00-" TRACE "-" SPAN "-01-what-comes"));
    assert_false(is_valid("00-" TRACE "-" SPAN "-01-"));
    assert_false(is_valid("00-" TRACE "-" SPAN "-01."));
    assert_false(is_valid("00-" TRACE "-" SPAN "-1"));
    assert_false(is_valid("00-" TRACE "-" SPAN));
    assert_false(is_valid("00" TRACE SPAN "01-----------------"));
    assert_false(is_valid(""));
}

static void of_a_higher_version_the_first_fields_are_read_and_version_00_is_sent(void **state) {
    (void)state;
    assert_string_equal(again("cc-" TRACE "-" SPAN "-01"), "00-" TRACE "-" SPAN "-01");
    assert_string_equal(again("cc-" TRACE "-" SPAN "-01-what-comes"), "00-" TRACE "-" SPAN "-01");
    assert_string_equal(again("cc-" TRACE "-" SPAN "-01-"), "00-" TRACE "-" SPAN "-01");
    assert_false(is_valid("cc-" TRACE "-" SPAN "-01.what-comes"));
    assert_false(is_valid("cc-" TRACE "-" SPAN "-1"));
}

static void the_flag_of_a_random_id_is_passed_on_and_flags_that_are_not_known_are_sent_as_zero(void **state) {
    (void)state;
    assert_string_equal(again("00-" TRACE "-" SPAN "-03"), "00-" TRACE "-" SPAN "-03");
    assert_string_equal(again("00-" TRACE "-" SPAN "-02"), "00-" TRACE "-" SPAN "-02");
    assert_string_equal(again("00-" TRACE "-" SPAN "-ff"), "00-" TRACE "-" SPAN "-03");
    assert_string_equal(again("00-" TRACE "-" SPAN "-fc"), "00-" TRACE "-" SPAN "-00");
    struct trace_context context;
    assert_true(traceparent_parse(BYTES("00-" TRACE "-" SPAN "-ff"), &context));
    assert_int_equal(context.flags, TRACE_SAMPLED | TRACE_RANDOM); // spans and records say no others either
}

// ---- tracestate

// Of the lines up to NULL, with `ot` in front.
static const char *state_of(const char *ot, ...) {
    static char printed[TRACESTATE_BYTES_MAX + 1];
    struct tracestate state = {0};
    va_list lines;
    va_start(lines, ot);
    for (const char *line = va_arg(lines, const char *); line != NULL; line = va_arg(lines, const char *))
        tracestate_add(&state, bytes_from_text(line));
    va_end(lines);
    printed[tracestate_print(&state, bytes_from_text(ot), printed)] = '\0';
    return printed;
}

static void members_of_several_lines_are_one_list_in_their_order(void **state) {
    (void)state;
    assert_string_equal(state_of("", "a=1,b=2", "c=3", NULL), "a=1,b=2,c=3");
    assert_string_equal(state_of("", "a=1 ,\t b=2 ", NULL), "a=1,b=2");
    assert_string_equal(state_of("", ",,a=1,,", "", ",", "b=2", NULL), "a=1,b=2");
}

static void a_key_and_a_value_are_of_certain_characters(void **state) {
    (void)state;
    assert_string_equal(state_of("", "0tenant@sys_tem-x*y/z=a b~!:;", NULL), "0tenant@sys_tem-x*y/z=a b~!:;");
    assert_string_equal(state_of("", "ok=1,Upper=1", NULL), "");
    assert_string_equal(state_of("", "_a=1", NULL), "");
    assert_string_equal(state_of("", "a.b=1", NULL), "");
    assert_string_equal(state_of("", "a=1=2", NULL), "");
    assert_string_equal(state_of("", "a=", NULL), "");
    assert_string_equal(state_of("", "a", NULL), "");
    assert_string_equal(state_of("", "=1", NULL), "");
    assert_string_equal(state_of("", "a=\x01", NULL), "");
    assert_string_equal(state_of("", "a=\xc3\xa4", NULL), "");
    assert_string_equal(state_of("", "a =1", NULL), "");
}

static void keys_and_values_have_256_characters_at_most(void **state) {
    (void)state;
    char text[600];
    (void)snprintf(text, sizeof text, "%0256d=1", 1);
    assert_string_equal(state_of("", text, NULL), text);
    (void)snprintf(text, sizeof text, "%0257d=1", 1);
    assert_string_equal(state_of("", text, NULL), "");
    (void)snprintf(text, sizeof text, "a=%0256d", 1);
    assert_string_equal(state_of("", text, NULL), text);
    (void)snprintf(text, sizeof text, "a=%0257d", 1);
    assert_string_equal(state_of("", text, NULL), "");
}

static void a_state_with_more_than_32_members_is_invalid(void **state) {
    (void)state;
    char text[256] = "";
    for (int i = 0; i < 32; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%sk%d=%d", i > 0 ? "," : "", i, i);
    assert_string_equal(state_of("", text, NULL), text);
    assert_string_equal(state_of("", text, "one=more", NULL), "");
}

static void each_key_stands_once_and_the_newest_counts(void **state) {
    (void)state;
    assert_string_equal(state_of("", "a=1,b=2,a=3", "b=4", NULL), "a=1,b=2");
}

static void what_we_set_goes_leftmost_and_the_order_of_others_is_kept(void **state) {
    (void)state;
    assert_string_equal(state_of("th:8", "a=1,ot=rv:1,b=2", NULL), "ot=th:8,a=1,b=2");
    assert_string_equal(state_of("th:8", NULL), "ot=th:8");
    assert_string_equal(state_of("", "a=1,ot=th:8,b=2", NULL), "a=1,b=2");
}

static void what_is_too_long_loses_whole_members_the_long_ones_first_then_from_its_end(void **state) {
    (void)state;
    char longer[200], shorter[140], wanted[700];
    (void)snprintf(longer, sizeof longer, "long=%0150d", 7); // more than 128 bytes
    (void)snprintf(shorter, sizeof shorter, "b=%0100d", 7);
    (void)snprintf(wanted, sizeof wanted, "a=1,%s,%s,d=2", longer, shorter);
    assert_string_equal(state_of("", "a=1", longer, shorter, "d=2", NULL), wanted); // it has room
    char half[260], rest[260];
    (void)snprintf(half, sizeof half, "a=%0250d", 7);
    for (int more = 0; more < 2; more++) { // to the byte, with what ours is called
        (void)snprintf(rest, sizeof rest, "b=%0*d", 249 + more, 7);
        (void)snprintf(wanted, sizeof wanted, "ot=th:8,%s%s%s", half, more == 0 ? "," : "", more == 0 ? rest : "");
        assert_string_equal(state_of("th:8", half, rest, NULL), wanted);
    }
    char filler[3][140];
    for (int i = 0; i < 3; i++)
        (void)snprintf(filler[i], sizeof filler[i], "f%d=%0110d", i, 7);
    (void)snprintf(wanted, sizeof wanted, "a=1,%s,%s,%s,%s,d=2", filler[0], filler[1], filler[2], shorter);
    assert_string_equal(state_of("", "a=1", longer, filler[0], filler[1], filler[2], shorter, "d=2", NULL), wanted);
    (void)snprintf(wanted, sizeof wanted, "ot=th:8,%s,%s,%s,%s", filler[0], filler[1], filler[2], shorter);
    assert_string_equal(state_of("th:8", filler[0], filler[1], filler[2], shorter, "e=%5", filler[0],
                                 "zz=012345678901234567890123456789012345678901234567890123456789", NULL),
                        (strcat(wanted, ",e=%5")));
}

static void a_member_is_found_by_its_key(void **state) {
    (void)state;
    struct tracestate found = {0};
    tracestate_add(&found, BYTES("a=1,ot=rv:0123456789abcd"));
    assert_true(bytes_equal(tracestate_value(&found, BYTES("ot")), BYTES("rv:0123456789abcd")));
    assert_int_equal(tracestate_value(&found, BYTES("o")).len, 0);
}

// ---- sampling

static void the_threshold_is_what_is_not_sampled_of_56_bits(void **state) {
    (void)state;
    assert_true(trace_threshold(1, 1) == TRACE_THRESHOLD_ALL);
    assert_true(trace_threshold(0, 5) == TRACE_THRESHOLD_NONE);
    assert_true(trace_threshold(1, 2) == UINT64_C(0x80000000000000));
    assert_true(trace_threshold(1, 4) == UINT64_C(0xc0000000000000));
    assert_true(trace_threshold(1, 3) == UINT64_C(0xaaaaaaaaaaaaab));
    assert_true(trace_threshold(UINT32_MAX, UINT32_MAX) == TRACE_THRESHOLD_ALL);
    assert_true(trace_threshold(UINT32_MAX - 1, UINT32_MAX) > 0);
    assert_true(trace_threshold(1, UINT32_MAX) < TRACE_THRESHOLD_NONE);
}

static const uint8_t *id_with(uint64_t low) {
    static uint8_t id[TRACE_ID_BYTES];
    memset(id, 0xff, sizeof id); // what stands before the low 56 bits does not count
    for (int i = 0; i < 7; i++)
        id[TRACE_ID_BYTES - 1 - i] = (uint8_t)(low >> 8 * i);
    return id;
}

static void sampled_is_what_has_low_56_bits_of_the_threshold_or_more(void **state) {
    (void)state;
    const uint64_t threshold = trace_threshold(1, 3);
    assert_true(trace_is_sampled(id_with(threshold), BYTES_NONE, threshold));
    assert_false(trace_is_sampled(id_with(threshold - 1), BYTES_NONE, threshold));
    assert_true(trace_is_sampled(id_with(0), BYTES_NONE, TRACE_THRESHOLD_ALL));
    assert_false(trace_is_sampled(id_with(TRACE_THRESHOLD_NONE - 1), BYTES_NONE, TRACE_THRESHOLD_NONE));
}

static void explicit_randomness_counts_before_the_id_where_it_is_valid(void **state) {
    (void)state;
    const uint64_t half = trace_threshold(1, 2);
    assert_true(trace_is_sampled(id_with(0), BYTES("rv:80000000000000"), half));
    assert_false(trace_is_sampled(id_with(TRACE_THRESHOLD_NONE - 1), BYTES("th:0;rv:7fffffffffffff"), half));
    // Of another length or in upper case, twice, in an entry that is too long: as if it were not there.
    assert_false(trace_is_sampled(id_with(0), BYTES("rv:8000000000000"), half));
    assert_false(trace_is_sampled(id_with(0), BYTES("rv:8000000000000A"), half));
    assert_false(trace_is_sampled(id_with(0), BYTES("rv:80000000000000;rv:80000000000000"), half));
    assert_false(trace_is_sampled(id_with(0), BYTES("rv:80000000000000;"), half));
    assert_false(trace_is_sampled(id_with(0), BYTES("rv:80000000000000;x"), half));
    char text[300];
    (void)snprintf(text, sizeof text, "rv:80000000000000;x:%0240d", 0);
    assert_false(trace_is_sampled(id_with(0), bytes_from_text(text), half));
}

static const char *ot_of(const char *ot, uint64_t threshold) {
    static char printed[TRACE_OT_BYTES_MAX + 1];
    printed[trace_ot_print(bytes_from_text(ot), threshold, printed)] = '\0';
    return printed;
}

static void the_threshold_is_told_in_hex_without_zeros_at_its_end(void **state) {
    (void)state;
    assert_string_equal(ot_of("", TRACE_THRESHOLD_ALL), "th:0");
    assert_string_equal(ot_of("", trace_threshold(1, 2)), "th:8");
    assert_string_equal(ot_of("", UINT64_C(0x1)), "th:00000000000001");
    assert_string_equal(ot_of("", TRACE_THRESHOLD_NONE - 1), "th:ffffffffffffff");
    assert_string_equal(ot_of("", TRACE_THRESHOLD_NONE), "");
}

static void what_ot_says_beside_the_threshold_is_kept_as_far_as_it_has_room(void **state) {
    (void)state;
    assert_string_equal(ot_of("rv:0123456789abcd;th:4;x1:Y_.-", trace_threshold(1, 2)), "th:8;rv:0123456789abcd;x1:Y_.-");
    assert_string_equal(ot_of("th:4;rv:0123456789abcd", TRACE_THRESHOLD_NONE), "rv:0123456789abcd");
    assert_string_equal(ot_of("th:4;Bad:1", trace_threshold(1, 2)), "th:8");
    char text[260], wanted[270];
    (void)snprintf(text, sizeof text, "x:%0245d;y:1", 0); // 251 bytes, and 5 more in front
    (void)snprintf(wanted, sizeof wanted, "th:8;x:%0245d;y:1", 0);
    assert_string_equal(ot_of(text, trace_threshold(1, 2)), wanted);
    (void)snprintf(text, sizeof text, "x:%0250d;y:1", 0); // 256 bytes: not both have room any more
    assert_string_equal(ot_of(text, trace_threshold(1, 2)), "th:8;y:1");
}

// ---- B3

static void b3_in_one_field_is_read(void **state) {
    (void)state;
    struct b3 b3;
    assert_true(b3_parse(BYTES(TRACE "-" SPAN "-1"), &b3));
    assert_true(b3.has_ids && b3.sampling == B3_ACCEPTED && b3.context.flags == TRACE_SAMPLED);
    assert_int_equal(b3.context.trace_id[0], 0x4b);
    assert_true(b3_parse(BYTES(TRACE "-" SPAN "-0-00f067aa0ba902b8"), &b3));
    assert_true(b3.has_ids && b3.sampling == B3_DENIED && b3.context.flags == 0);
    assert_true(b3_parse(BYTES(TRACE "-" SPAN "-d"), &b3));
    assert_true(b3.sampling == B3_DEBUG && b3.context.flags == TRACE_SAMPLED);
    assert_true(b3_parse(BYTES(TRACE "-" SPAN), &b3));
    assert_true(b3.has_ids && b3.sampling == B3_DEFERRED && b3.context.flags == 0);
    assert_true(b3_parse(BYTES("0"), &b3));
    assert_true(!b3.has_ids && b3.sampling == B3_DENIED);
}

static void b3_that_is_not_valid_is_not_read(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "",
        "-",
        "2",
        TRACE,
        TRACE "-" SPAN "-",
        TRACE "-" SPAN "-2",
        TRACE "-" SPAN "-1-",
        TRACE "-" SPAN "-1-00f067aa0ba902b",
        TRACE "-" SPAN "-1-00f067aa0ba902b8-1",
        TRACE "-00f067aa0ba902b-1",
        "4bf92f3577b34da6a3ce929d0e0e473-" SPAN "-1",
        "00000000000000000000000000000000-" SPAN "-1",
        TRACE "-0000000000000000-1",
        "4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-1",
    };
    struct b3 b3;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (b3_parse(bytes_from_text(wrong[i]), &b3))
            fail_msg("%s is taken", wrong[i]);
}

static void ids_of_64_bits_are_padded_with_zeros(void **state) {
    (void)state;
    struct b3 b3;
    char printed[B3_LENGTH];
    assert_true(b3_parse(BYTES("a3ce929d0e0e4736-" SPAN "-1"), &b3));
    b3_print(&b3.context, false, printed);
    assert_memory_equal(printed, "0000000000000000a3ce929d0e0e4736-" SPAN "-1", B3_LENGTH);
}

static void b3_in_several_fields_is_read(void **state) {
    (void)state;
    struct b3 b3;
    assert_true(b3_parse_fields(BYTES(TRACE), BYTES(SPAN), BYTES("1"), BYTES_NONE, &b3));
    assert_true(b3.has_ids && b3.sampling == B3_ACCEPTED);
    assert_true(b3_parse_fields(BYTES(TRACE), BYTES(SPAN), BYTES("true"), BYTES_NONE, &b3));
    assert_true(b3.sampling == B3_ACCEPTED);
    assert_true(b3_parse_fields(BYTES(TRACE), BYTES(SPAN), BYTES("False"), BYTES_NONE, &b3));
    assert_true(b3.sampling == B3_DENIED);
    assert_true(b3_parse_fields(BYTES(TRACE), BYTES(SPAN), BYTES("0"), BYTES("1"), &b3));
    assert_true(b3.sampling == B3_DEBUG);
    assert_true(b3_parse_fields(BYTES(TRACE), BYTES(SPAN), BYTES_NONE, BYTES("0"), &b3));
    assert_true(b3.sampling == B3_DEFERRED);
    assert_true(b3_parse_fields(BYTES_NONE, BYTES_NONE, BYTES("0"), BYTES_NONE, &b3));
    assert_true(!b3.has_ids && b3.sampling == B3_DENIED);
    assert_false(b3_parse_fields(BYTES_NONE, BYTES_NONE, BYTES_NONE, BYTES_NONE, &b3));
    assert_false(b3_parse_fields(BYTES(TRACE), BYTES_NONE, BYTES("1"), BYTES_NONE, &b3));
    assert_false(b3_parse_fields(BYTES_NONE, BYTES(SPAN), BYTES("1"), BYTES_NONE, &b3));
    assert_false(b3_parse_fields(BYTES(TRACE), BYTES(SPAN), BYTES("d"), BYTES_NONE, &b3));
}

static void debug_is_told_on_where_the_trace_is_sampled(void **state) {
    (void)state;
    struct b3 b3;
    char printed[B3_LENGTH];
    assert_true(b3_parse(BYTES(TRACE "-" SPAN "-d"), &b3));
    b3_print(&b3.context, true, printed);
    assert_memory_equal(printed, TRACE "-" SPAN "-d", B3_LENGTH);
    b3.context.flags = 0;
    b3_print(&b3.context, true, printed);
    assert_memory_equal(printed, TRACE "-" SPAN "-0", B3_LENGTH);
}

// ---- baggage

static void baggage_of_64_members_and_8192_bytes_goes_on_whole(void **state) {
    (void)state;
    static char text[BAGGAGE_BYTES_MAX + 200];
    struct baggage_room room = {BAGGAGE_MEMBERS_MAX, BAGGAGE_BYTES_MAX};
    size_t length = 0;
    for (int i = 0; i < 64; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%sk%02d=%0123d", i > 0 ? "," : "", i, i);
    length += (size_t)snprintf(text + length, sizeof text - length, "0"); // 64 x 127 and 63 commas, and one
    assert_int_equal(length, BAGGAGE_BYTES_MAX);
    assert_int_equal(baggage_fit(&room, bytes_from(text, length)), length);
    struct baggage_room again_room = {BAGGAGE_MEMBERS_MAX, BAGGAGE_BYTES_MAX};
    text[length] = '0'; // one byte too many: the last member goes
    assert_int_equal(baggage_fit(&again_room, bytes_from(text, length + 1)), 63 * 128 - 1);
}

static void of_several_lines_all_count(void **state) {
    (void)state;
    struct baggage_room room = {BAGGAGE_MEMBERS_MAX, BAGGAGE_BYTES_MAX};
    for (int i = 0; i < 32; i++)
        assert_int_equal(baggage_fit(&room, BYTES("a=1;p, ,b=2")), 11);
    assert_int_equal(baggage_fit(&room, BYTES("c=3")), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_traceparent_is_read_and_printed),
        cmocka_unit_test(version_ff_is_invalid),
        cmocka_unit_test(ids_of_zeros_are_invalid),
        cmocka_unit_test(upper_case_and_what_is_no_hex_are_invalid),
        cmocka_unit_test(version_00_is_55_characters_long),
        cmocka_unit_test(of_a_higher_version_the_first_fields_are_read_and_version_00_is_sent),
        cmocka_unit_test(the_flag_of_a_random_id_is_passed_on_and_flags_that_are_not_known_are_sent_as_zero),
        cmocka_unit_test(members_of_several_lines_are_one_list_in_their_order),
        cmocka_unit_test(a_key_and_a_value_are_of_certain_characters),
        cmocka_unit_test(keys_and_values_have_256_characters_at_most),
        cmocka_unit_test(a_state_with_more_than_32_members_is_invalid),
        cmocka_unit_test(each_key_stands_once_and_the_newest_counts),
        cmocka_unit_test(what_we_set_goes_leftmost_and_the_order_of_others_is_kept),
        cmocka_unit_test(what_is_too_long_loses_whole_members_the_long_ones_first_then_from_its_end),
        cmocka_unit_test(a_member_is_found_by_its_key),
        cmocka_unit_test(the_threshold_is_what_is_not_sampled_of_56_bits),
        cmocka_unit_test(sampled_is_what_has_low_56_bits_of_the_threshold_or_more),
        cmocka_unit_test(explicit_randomness_counts_before_the_id_where_it_is_valid),
        cmocka_unit_test(the_threshold_is_told_in_hex_without_zeros_at_its_end),
        cmocka_unit_test(what_ot_says_beside_the_threshold_is_kept_as_far_as_it_has_room),
        cmocka_unit_test(b3_in_one_field_is_read),
        cmocka_unit_test(b3_that_is_not_valid_is_not_read),
        cmocka_unit_test(ids_of_64_bits_are_padded_with_zeros),
        cmocka_unit_test(b3_in_several_fields_is_read),
        cmocka_unit_test(debug_is_told_on_where_the_trace_is_sampled),
        cmocka_unit_test(baggage_of_64_members_and_8192_bytes_goes_on_whole),
        cmocka_unit_test(of_several_lines_all_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
