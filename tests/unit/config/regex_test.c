// Expressions of documents: what is refused, that they match whole texts, and that none takes long.
#include "config/regex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct world {
    struct pool_source chunks;
    struct pool pool;
    struct regex_matcher *matcher;
};

static void world_init(struct world *world) {
    pool_source_init(&world->chunks, 0);
    pool_init(&world->pool, &world->chunks);
    world->matcher = regex_matcher_create();
}

static void world_dispose(struct world *world) {
    regex_matcher_destroy(world->matcher);
    pool_dispose(&world->pool);
    pool_source_dispose(&world->chunks);
}

static enum regex_result match(struct world *world, const char *expression, struct bytes text) {
    const struct regex *regex;
    struct bytes fault;
    assert_int_equal(regex_compile(bytes_from_text(expression), &world->pool, &regex, &fault), OK);
    return regex_match(regex, world->matcher, text);
}

static void the_whole_text_must_match(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    assert_int_equal(match(&world, "a|ab", BYTES("ab")), REGEX_YES);
    assert_int_equal(match(&world, "a", BYTES("ab")), REGEX_NO);
    assert_int_equal(match(&world, "b", BYTES("ab")), REGEX_NO);
    assert_int_equal(match(&world, "a", BYTES("a\n")), REGEX_NO);
    assert_int_equal(match(&world, "a$", BYTES("a\n")), REGEX_NO);
    assert_int_equal(match(&world, "", BYTES_NONE), REGEX_YES);
    assert_int_equal(match(&world, "a.b", bytes_from("a\0b", 3)), REGEX_YES);
    assert_int_equal(match(&world, "[^/]+", BYTES("\xff\xfe")), REGEX_YES); // bytes, whatever they are
    world_dispose(&world);
}

static void what_is_no_expression_is_told(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    const struct regex *regex;
    struct bytes fault;
    char text[REGEX_BYTES_MAX + 1];
    memset(text, 'a', sizeof text);
    assert_int_equal(regex_compile(bytes_from(text, REGEX_BYTES_MAX), &world.pool, &regex, &fault), OK);
    assert_int_equal(regex_compile(bytes_from(text, sizeof text), &world.pool, &regex, &fault), ERROR_INVALID);
    assert_true(bytes_starts_with(fault, BYTES("is longer than")));
    static const char *const bad[] = {"(", "[a", "a{2,1}", "\\C", "(?<n>a)(?<n>b)", "*", "(*UTF)[^x]+", "(*UCP)\\w+", "((a{1000}){1000}){1000}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        fault = BYTES_NONE;
        assert_int_equal(regex_compile(bytes_from_text(bad[i]), &world.pool, &regex, &fault), ERROR_INVALID);
        assert_true(fault.len > 0);
    }
    world_dispose(&world);
}

// Each of these would take longer than the universe has, or as much memory.
static void work_is_given_up_at_its_bound(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    static const char *const expressions[] = {"(a+)+b", "(a|aa)+b", "(a*)*b", "(.*)(.*)(.*)(.*)(.*)(.*)b", "((a+)|b)*(?R)?c"};
    char text[8000];
    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < sizeof expressions / sizeof expressions[0]; i++) {
        regex_matcher_begin(world.matcher);
        assert_int_not_equal(match(&world, expressions[i], bytes_from(text, sizeof text)), REGEX_YES);
    }
    regex_matcher_begin(world.matcher);
    assert_false(regex_matcher_gave_up(world.matcher));
    assert_int_equal(match(&world, "(a+)+b", bytes_from(text, sizeof text)), REGEX_GAVE_UP);
    assert_true(regex_matcher_gave_up(world.matcher));
    assert_int_equal(match(&world, "a", BYTES("a")), REGEX_GAVE_UP); // the same request
    regex_matcher_begin(world.matcher);
    assert_int_equal(match(&world, "a", BYTES("a")), REGEX_YES);
    world_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_text_must_match),
        cmocka_unit_test(what_is_no_expression_is_told),
        cmocka_unit_test(work_is_given_up_at_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
