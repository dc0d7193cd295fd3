// What was changed from one set of documents to the next: by kind, namespace and name, not by files, comments or order.
#include "config/document_changes.h"

#include "load_text.h"

#include <stdio.h>

static struct document_changes changes;

// "1 0 0 +ServiceEntry/default/a" from the one text to the other; `before` NULL: there was nothing.
static const char *between(const char *before, const char *fresh) {
    static char said[512];
    struct loaded old, now;
    if (before != NULL)
        expect_good(&old, before);
    expect_good(&now, fresh);
    document_changes_find(before == NULL ? NULL : old.snapshot, now.snapshot, &changes);
    snprintf(said, sizeof said, "%u %u %u %.*s", changes.added, changes.changed, changes.removed, (int)changes.names_length, changes.names);
    loaded_dispose(&now);
    if (before != NULL)
        loaded_dispose(&old);
    return said;
}

static void each_document_is_told_by_its_name(void **state) {
    (void)state;
    assert_string_equal(between(NULL, OUTBOUND_PROXY PLAIN_ENTRY("a", "")), "2 0 0 +Proxy/default/p +ServiceEntry/default/a");
    assert_string_equal(between(OUTBOUND_PROXY PLAIN_ENTRY("a", ""), OUTBOUND_PROXY PLAIN_ENTRY("a", "")), "0 0 0 ");
    assert_string_equal(between(OUTBOUND_PROXY PLAIN_ENTRY("a", "") PLAIN_ENTRY("b", "") PLAIN_ENTRY("c", ""),
                                OUTBOUND_PROXY PLAIN_ENTRY("a", "") PLAIN_ENTRY("b", "  exportTo: [Mesh]\n") PLAIN_ENTRY("d", "")),
                        "1 1 1 ~ServiceEntry/default/b +ServiceEntry/default/d -ServiceEntry/default/c");
}

static void neither_order_nor_comments_are_a_change(void **state) {
    (void)state;
    (void)between(NULL, OUTBOUND_PROXY PLAIN_ENTRY("a", "") PLAIN_ENTRY("b", ""));
    const uint64_t fingerprint = changes.fingerprint;
    assert_string_equal(
        between(OUTBOUND_PROXY PLAIN_ENTRY("a", "") PLAIN_ENTRY("b", ""), "# a comment\n" PLAIN_ENTRY("b", "") PLAIN_ENTRY("a", "") OUTBOUND_PROXY),
        "0 0 0 ");
    assert_true(changes.fingerprint == fingerprint);
    (void)between(NULL, OUTBOUND_PROXY PLAIN_ENTRY("a", "") PLAIN_ENTRY("b", "  exportTo: [Mesh]\n"));
    assert_true(changes.fingerprint != fingerprint);
    (void)between(NULL, OUTBOUND_PROXY PLAIN_ENTRY("a", ""));
    assert_true(changes.fingerprint != fingerprint);
}

static void of_many_the_first_are_named(void **state) {
    (void)state;
    static char text[64 * 1024];
    size_t length = (size_t)snprintf(text, sizeof text, "%s", OUTBOUND_PROXY);
    for (unsigned i = 0; i < 100; i++)
        length += (size_t)snprintf(text + length, sizeof text - length,
                                   API "kind: ServiceEntry\nmetadata: {name: a-name-of-some-length-%03u}\nspec: {hosts: [h%u], ports: [{name: m, "
                                       "port: 80}], tls: {mode: None}, endpoints: [{address: '127.0.0.1:%u'}]}\n---\n",
                                   i, i, i + 1);
    const char *const said = between(OUTBOUND_PROXY, text);
    assert_non_null(strstr(said, "100 0 0 +ServiceEntry/default/a-name-of-some-length-000 +ServiceEntry/default/a-name-of-some-length-001 "));
    assert_true(changes.names_length <= DOCUMENT_CHANGES_NAMES_MAX);
    assert_string_equal(said + strlen(said) - 7, "006 ...");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_document_is_told_by_its_name),
        cmocka_unit_test(neither_order_nor_comments_are_a_change),
        cmocka_unit_test(of_many_the_first_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
