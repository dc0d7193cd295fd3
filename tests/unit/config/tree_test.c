// Reading YAML and JSON: lines, and all that is refused.
#include "config/tree.h"

#include "config/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct config_memory *memory;
    struct tree *trees;
    struct tree_fault fault;
};

static enum error read_bytes(struct fixture *fixture, struct bytes text) {
    fixture->memory = config_memory_create();
    return tree_read(&fixture->memory->pool, text, &fixture->trees, &fixture->fault);
}

static enum error read_text(struct fixture *fixture, const char *text) {
    return read_bytes(fixture, bytes_from_text(text));
}

static void dispose(struct fixture *fixture) {
    config_memory_destroy(fixture->memory);
}

static void expect_fault(const char *text, uint32_t line, const char *part) {
    struct fixture fixture;
    assert_int_equal(read_text(&fixture, text), ERROR_INVALID);
    char copy[512] = "";
    memcpy(copy, fixture.fault.text.at, fixture.fault.text.len);
    if (strstr(copy, part) == NULL || fixture.fault.line != line)
        fail_msg("line %u: %s; expected line %u: %s", fixture.fault.line, copy, line, part);
    dispose(&fixture);
}

static void each_field_knows_its_line(void **state) {
    (void)state;
    struct fixture fixture;
    assert_int_equal(read_text(&fixture, "a: 1\nb:\n  - c: x\n    d: y\n  - {e: z,\n     f: w}\n---\ng: 2\n"), OK);
    const struct node *root = fixture.trees->root;
    const struct node *list = node_find(root, "b");
    assert_int_equal(node_find(root, "a")->line, 1);
    assert_int_equal(list->line, 2);
    assert_int_equal(node_item(list, 0)->line, 3);
    assert_int_equal(node_find(node_item(list, 0), "d")->line, 4);
    assert_int_equal(node_find(node_item(list, 1), "f")->line, 6);
    assert_null(node_item(list, 2));
    assert_int_equal(node_find(fixture.trees->next->root, "g")->line, 8);
    assert_null(fixture.trees->next->next);
    dispose(&fixture);
}

static void json_is_read_as_yaml(void **state) {
    (void)state;
    struct fixture fixture;
    assert_int_equal(read_text(&fixture, "{\"a\":{\"b\":[1,\"two\",true]},\n\"c\":\"x\\u00e9\\/\\n\"}"), OK);
    const struct node *list = node_find(node_find(fixture.trees->root, "a"), "b");
    assert_int_equal(list->count, 3);
    assert_false(node_item(list, 0)->quoted);
    assert_true(node_item(list, 1)->quoted);
    assert_true(bytes_equal(node_find(fixture.trees->root, "c")->text, BYTES("x\xc3\xa9/\n")));
    assert_int_equal(node_find(fixture.trees->root, "c")->line, 2);
    dispose(&fixture);
}

static void json_with_tabs_is_read(void **state) {
    (void)state;
    struct fixture fixture;
    assert_int_equal(read_text(&fixture, "{\n\t\"a\":\t[\n\t\t1\n\t]\n}\n"), OK);
    assert_int_equal(node_find(fixture.trees->root, "a")->count, 1);
    dispose(&fixture);
}

static void a_byte_order_mark_is_skipped(void **state) {
    (void)state;
    struct fixture fixture;
    assert_int_equal(read_text(&fixture, "\xef\xbb\xbf"
                                         "a: 1\n"),
                     OK);
    assert_non_null(node_find(fixture.trees->root, "a"));
    dispose(&fixture);
}

static void nothing_and_comments_are_no_document(void **state) {
    (void)state;
    struct fixture fixture;
    assert_int_equal(read_bytes(&fixture, BYTES_NONE), OK);
    assert_null(fixture.trees);
    dispose(&fixture);
    assert_int_equal(read_text(&fixture, "# only words\n"), OK);
    assert_null(fixture.trees);
    dispose(&fixture);
    assert_int_equal(read_text(&fixture, "---\n# nothing\n---\na: 1\n"), OK);
    assert_true(node_is_null(fixture.trees->root));
    assert_non_null(node_find(fixture.trees->next->root, "a"));
    dispose(&fixture);
}

static void null_is_as_if_it_were_not_there(void **state) {
    (void)state;
    struct fixture fixture;
    assert_int_equal(read_text(&fixture, "a:\nb: ~\nc: null\nd: 'null'\ne: ''\nf: |\n"), OK);
    assert_null(node_find(fixture.trees->root, "a"));
    assert_null(node_find(fixture.trees->root, "b"));
    assert_null(node_find(fixture.trees->root, "c"));
    assert_non_null(node_find(fixture.trees->root, "d"));
    assert_non_null(node_find(fixture.trees->root, "e"));
    assert_non_null(node_find(fixture.trees->root, "f"));
    dispose(&fixture);
}

static void duplicate_keys_are_refused(void **state) {
    (void)state;
    expect_fault("a: 1\nb: 2\na: 3\n", 3, "the key a stands twice in one object, first in line 1");
    expect_fault("{\"x\": {\"k\": 1,\n \"k\": 2}}", 2, "the key k stands twice");
    expect_fault("a: 1\n'a': 2\n", 2, "stands twice");
}

static void aliases_and_anchors_are_refused(void **state) {
    (void)state;
    expect_fault("a: &x 1\nb: *x\n", 1, "anchors");
    expect_fault("a: &x [1]\n", 1, "anchors");
    expect_fault("a: &x {b: 1}\n", 1, "anchors");
    expect_fault("&x a: 1\n", 1, "anchors");
    expect_fault("a: 1\nb: *x\n", 2, "aliases");
}

static void tags_are_refused(void **state) {
    (void)state;
    expect_fault("a: !!str 1\n", 1, "tags");
    expect_fault("a: 1\nb: !mine [1]\n", 2, "tags");
    expect_fault("a: ! x\n", 1, "tags");
    expect_fault("!!map {a: 1}\n", 1, "tags");
}

static void nul_is_refused(void **state) {
    (void)state;
    struct fixture fixture;
    expect_fault("a: 1\nb: \"x\\0y\"\n", 2, "NUL");
    expect_fault("\"k\\0\": 1\n", 1, "NUL");
    expect_fault("{\"a\": \"\\u0000\"}", 1, "NUL");
    assert_int_equal(read_bytes(&fixture, BYTES("a: 1\nb: x\0y\n")), ERROR_INVALID);
    assert_int_equal(fixture.fault.line, 2);
    dispose(&fixture);
}

static void depth_is_bounded(void **state) {
    (void)state;
    char text[256] = "";
    struct fixture fixture;
    memset(text, '[', TREE_DEPTH_MAX);
    memset(text + TREE_DEPTH_MAX, ']', TREE_DEPTH_MAX);
    assert_int_equal(read_text(&fixture, text), OK);
    dispose(&fixture);
    memset(text, '[', TREE_DEPTH_MAX + 1);
    memset(text + TREE_DEPTH_MAX + 1, ']', TREE_DEPTH_MAX + 1);
    expect_fault(text, 1, "64 deep");
    size_t size = 1 << 20;
    char *deep = malloc(size + 1);
    memset(deep, '{', size);
    deep[size] = '\0';
    assert_int_equal(read_text(&fixture, deep), ERROR_INVALID);
    dispose(&fixture);
    memset(deep, '[', size);
    expect_fault(deep, 1, "64 deep");
    free(deep);
}

static void fields_of_one_object_are_bounded(void **state) {
    (void)state;
    char text[16 * (TREE_FIELDS_MAX + 1)];
    size_t length = 0;
    struct fixture fixture;
    for (unsigned i = 0; i < TREE_FIELDS_MAX; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "k%u: 1\n", i);
    assert_int_equal(read_text(&fixture, text), OK);
    dispose(&fixture);
    snprintf(text + length, sizeof(text) - length, "last: 1\n");
    expect_fault(text, TREE_FIELDS_MAX + 1, "more than 512 fields");
}

static void json_surrogate_pairs_get_a_clear_answer(void **state) {
    (void)state;
    expect_fault("{\"a\": 1,\n \"b\": \"\\ud83d\\ude00\"}", 2, "surrogate pairs are not read; write the character itself");
}

static void bytes_that_are_not_utf8_are_refused(void **state) {
    (void)state;
    expect_fault("a: 1\nb: \xff\n", 2, "not text in UTF-8");
    expect_fault("a: \xc0\xaf\n", 1, "not text in UTF-8");
    expect_fault("\xff\xfe"
                 "a",
                 1, "not text in UTF-8");
}

static void a_key_must_be_a_text(void **state) {
    (void)state;
    expect_fault("? [a]\n: 1\n", 1, "a key must be a text");
    expect_fault("{a: 1}: 2\n", 1, "a key must be a text");
}

static void a_fault_leaves_the_documents_before_it(void **state) {
    (void)state;
    struct fixture fixture;
    assert_int_equal(read_text(&fixture, "a: 1\n---\nb: 2\n---\nc: 3\nd: [\n"), ERROR_INVALID);
    assert_non_null(node_find(fixture.trees->root, "a"));
    assert_non_null(node_find(fixture.trees->next->root, "b"));
    assert_null(fixture.trees->next->next);
    dispose(&fixture);
}

static void a_path_names_items_by_their_name(void **state) {
    (void)state;
    struct fixture fixture;
    assert_int_equal(read_text(&fixture, "spec: {l: [{name: in, m: {x: 1}}, {y: 2}, 3]}\n"), OK);
    struct pool *pool = &fixture.memory->pool;
    const struct node *list = node_find(node_find(fixture.trees->root, "spec"), "l");
    const struct node *x = node_find(node_find(node_item(list, 0), "m"), "x");
    assert_string_equal(node_path(pool, x, NULL).at, "spec.l[in].m.x");
    assert_string_equal(node_path(pool, node_item(list, 0), "z").at, "spec.l[in].z");
    assert_string_equal(node_path(pool, node_item(list, 1), NULL).at, "spec.l[1]");
    assert_string_equal(node_path(pool, node_item(list, 2), NULL).at, "spec.l[2]");
    assert_string_equal(node_path(pool, fixture.trees->root, "kind").at, "kind");
    assert_string_equal(node_path(pool, fixture.trees->root, NULL).at, "");
    dispose(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_field_knows_its_line),
        cmocka_unit_test(json_is_read_as_yaml),
        cmocka_unit_test(json_with_tabs_is_read),
        cmocka_unit_test(a_byte_order_mark_is_skipped),
        cmocka_unit_test(nothing_and_comments_are_no_document),
        cmocka_unit_test(null_is_as_if_it_were_not_there),
        cmocka_unit_test(duplicate_keys_are_refused),
        cmocka_unit_test(aliases_and_anchors_are_refused),
        cmocka_unit_test(tags_are_refused),
        cmocka_unit_test(nul_is_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(fields_of_one_object_are_bounded),
        cmocka_unit_test(json_surrogate_pairs_get_a_clear_answer),
        cmocka_unit_test(bytes_that_are_not_utf8_are_refused),
        cmocka_unit_test(a_key_must_be_a_text),
        cmocka_unit_test(a_fault_leaves_the_documents_before_it),
        cmocka_unit_test(a_path_names_items_by_their_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
