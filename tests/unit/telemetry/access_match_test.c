// Which records are wanted: each thing that can be named, alone and with others.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "telemetry/access_match.h"

static const struct access_record usual = {
    .duration = 100 * NS_PER_MS,
    .listener = BYTES_OF("outbound"),
    .direction = BYTES_OF("outbound"),
    .method = BYTES_OF("GET"),
    .authority = BYTES_OF("Courses.:80"),
    .path = BYTES_OF("/courses/1?token=secret"),
    .status = 503,
    .end = ERROR_DENIED,
    .service = BYTES_OF("school/courses:80"),
    .route = BYTES_OF("HTTPRoute/school/courses: read"),
    .peer_identity = BYTES_OF("spiffe://school.local/ns/school/sa/frontend"),
};

static const struct access_record bare; // a connection that brought no request

static void what_names_nothing_wants_all(void **state) {
    (void)state;
    const struct access_match match = {0};
    assert_true(access_match_wants(&match, &usual));
    assert_true(access_match_wants(&match, &bare));
}

// Whether `usual` is wanted by one of the texts of a match; `bare` never is.
static void check(size_t offset, const char *wanted, bool expected) {
    struct access_match match = {0};
    const struct bytes text = bytes_from_text(wanted);
    memcpy((char *)&match + offset, &text, sizeof text);
    if (access_match_wants(&match, &usual) != expected)
        fail_msg("\"%s\" is %swanted", wanted, expected ? "not " : "");
    assert_false(access_match_wants(&match, &bare));
}

#define WANTED(field, text) check(offsetof(struct access_match, field), text, true)
#define UNWANTED(field, text) check(offsetof(struct access_match, field), text, false)

static void texts_are_compared_whole(void **state) {
    (void)state;
    WANTED(listener, "outbound");
    UNWANTED(listener, "out");
    WANTED(direction, "outbound");
    UNWANTED(direction, "inbound");
    WANTED(method, "GET");
    UNWANTED(method, "get");
    WANTED(identity, "spiffe://school.local/ns/school/sa/frontend");
    UNWANTED(identity, "spiffe://school.local/ns/school/sa/front");
}

static void a_host_has_no_case_and_a_port_where_it_says_so(void **state) {
    (void)state;
    WANTED(host, "courses");
    WANTED(host, "COURSES.");
    UNWANTED(host, "courses:80"); // the dot stands before the port
    WANTED(host, "courses.:80");
    UNWANTED(host, "courses:8080");
    UNWANTED(host, "course");
    struct access_match match = {.host = BYTES("[::1]")};
    struct access_record record = {.authority = BYTES("[::1]:8080")};
    assert_true(access_match_wants(&match, &record));
    record.authority = BYTES("[::1]");
    assert_true(access_match_wants(&match, &record));
    match.host = BYTES("[::1]:80");
    assert_false(access_match_wants(&match, &record));
}

static void a_path_is_named_by_how_it_begins_and_never_by_its_query(void **state) {
    (void)state;
    WANTED(path, "/");
    WANTED(path, "/cour");
    WANTED(path, "/courses/1");
    UNWANTED(path, "/courses/2");
    UNWANTED(path, "/courses/1?");
    UNWANTED(path, "/courses/1?token=s");
}

static void names_may_leave_out_what_stands_before_and_behind(void **state) {
    (void)state;
    WANTED(service, "courses");
    WANTED(service, "school/courses");
    WANTED(service, "school/courses:80");
    WANTED(service, "courses:80");
    UNWANTED(service, "courses:8080");
    UNWANTED(service, "urses");
    UNWANTED(service, "other/courses");
    UNWANTED(service, "default/school/courses");
    WANTED(route, "courses");
    WANTED(route, "school/courses");
    WANTED(route, "HTTPRoute/school/courses");
    WANTED(route, "courses: read");
    WANTED(route, "HTTPRoute/school/courses: read");
    UNWANTED(route, "courses: write");
    UNWANTED(route, "school");
}

static void numbers_have_bounds_and_ends_names(void **state) {
    (void)state;
    struct access_match match = {.status_least = 500, .status_most = 599};
    assert_true(access_match_wants(&match, &usual));
    assert_false(access_match_wants(&match, &bare));
    match = (struct access_match){.status_least = 502, .status_most = 502};
    assert_false(access_match_wants(&match, &usual));
    match = (struct access_match){.by_end = true, .end = ERROR_DENIED};
    assert_true(access_match_wants(&match, &usual));
    assert_false(access_match_wants(&match, &bare));
    match.end = OK;
    assert_false(access_match_wants(&match, &usual));
    assert_true(access_match_wants(&match, &bare));
    match = (struct access_match){.slower = 100 * NS_PER_MS};
    assert_true(access_match_wants(&match, &usual));
    match.slower++;
    assert_false(access_match_wants(&match, &usual));
}

static void all_that_is_named_must_hold(void **state) {
    (void)state;
    struct access_match match = {.listener = BYTES("outbound"),
                                 .method = BYTES("GET"),
                                 .host = BYTES("courses"),
                                 .path = BYTES("/courses"),
                                 .service = BYTES("courses"),
                                 .status_least = 503,
                                 .status_most = 503,
                                 .slower = NS_PER_MS};
    assert_true(access_match_wants(&match, &usual));
    match.method = BYTES("POST");
    assert_false(access_match_wants(&match, &usual));
}

// What a line, which is made in `line`, has of a path that is cut, without the mark.
static struct bytes shown_path(const struct access_record *record, char *line) {
    const struct bytes text = bytes_from(line, access_log_format(record, line, ACCESS_LOG_LINE_MAX));
    const char *begin = memmem(text.at, text.len, "\"path\":\"", 8);
    const char *end = memmem(begin, 400, "...\",", 5);
    return bytes_from(begin + 8, (size_t)(end - begin) - 8);
}

static void nothing_is_learned_of_what_a_line_cuts_away(void **state) {
    (void)state;
    static char path[1000], other[1000], line[ACCESS_LOG_LINE_MAX];
    memset(path, 'p', sizeof path);
    path[0] = '/';
    struct access_record record = {.path = bytes_from(path, sizeof path), .grpc_status = ACCESS_LOG_NO_GRPC_STATUS};
    const size_t shown = shown_path(&record, line).len;
    assert_int_equal(shown, 349);
    memcpy(other, path, sizeof other);
    for (size_t length = 1; length <= sizeof other; length++) {
        const struct access_match match = {.path = bytes_from(other, length)};
        for (unsigned is_other = 0; is_other <= 1; is_other++) {
            other[length - 1] = is_other ? 'x' : path[length - 1];
            assert_int_equal(access_match_wants(&match, &record), !is_other || length > shown);
        }
        other[length - 1] = path[length - 1];
    }
    record.path.len = 352; // this is not cut
    assert_true(access_match_wants(&(struct access_match){.path = record.path}, &record));
    assert_false(access_match_wants(&(struct access_match){.path = bytes_from(path, 353)}, &record));
    memset(path + 1, '"', 300); // each is two bytes in a line
    record.path.len = 500;
    assert_int_equal(access_shown(ACCESS_PATH, record.path).len, shown_path(&record, line).len / 2 + 1);
    assert_true(access_match_wants(&(struct access_match){.path = bytes_from(path, 175)}, &record));
    memcpy(other, path, sizeof other);
    other[174] = 'x';
    assert_false(access_match_wants(&(struct access_match){.path = bytes_from(other, 175)}, &record));
    other[174] = '"';
    other[175] = 'x';
    assert_true(access_match_wants(&(struct access_match){.path = bytes_from(other, 200)}, &record));
}

static void texts_that_are_cut_are_compared_as_far_as_they_are_seen(void **state) {
    (void)state;
    static char text[1000], other[1000];
    memset(text, 'a', sizeof text);
    memset(other, 'a', sizeof other);
    const struct access_record record = {.peer_identity = bytes_from(text, 600), .authority = bytes_from(text, 600)};
    for (size_t length = 1; length <= 700; length++) {
        other[length - 1] = 'x';
        assert_int_equal(access_match_wants(&(struct access_match){.identity = bytes_from(other, length)}, &record), length > 349);
        assert_int_equal(access_match_wants(&(struct access_match){.host = bytes_from(other, length)}, &record), length > 253);
        other[length - 1] = 'a';
        assert_int_equal(access_match_wants(&(struct access_match){.identity = bytes_from(other, length)}, &record), length > 349);
        assert_int_equal(access_match_wants(&(struct access_match){.host = bytes_from(other, length)}, &record), length > 253);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_names_nothing_wants_all),
        cmocka_unit_test(texts_are_compared_whole),
        cmocka_unit_test(a_host_has_no_case_and_a_port_where_it_says_so),
        cmocka_unit_test(a_path_is_named_by_how_it_begins_and_never_by_its_query),
        cmocka_unit_test(names_may_leave_out_what_stands_before_and_behind),
        cmocka_unit_test(numbers_have_bounds_and_ends_names),
        cmocka_unit_test(all_that_is_named_must_hold),
        cmocka_unit_test(nothing_is_learned_of_what_a_line_cuts_away),
        cmocka_unit_test(texts_that_are_cut_are_compared_as_far_as_they_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
