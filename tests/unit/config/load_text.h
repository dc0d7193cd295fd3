// What the tests of config/ share: loads a text as one file "t.yaml", with a Proxy before it where the text has none, and looks at what came of it.
#ifndef TESTS_CONFIG_LOAD_TEXT_H
#define TESTS_CONFIG_LOAD_TEXT_H

#include "config/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define API "apiVersion: outrigger.dev/v1alpha1\n"
// 6 lines, namespace default.
#define OUTBOUND_PROXY                              \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n" \
        "  listeners: [{name: outbound, role: Outbound, address: '127.0.0.1:15001'}]\n---\n"
// A plain ServiceEntry; `more` is further fields of spec, each as "  field: value\n".
#define PLAIN_ENTRY(name, more)                                                                                           \
    API "kind: ServiceEntry\nmetadata: {name: " name "}\nspec:\n  hosts: [" name "]\n  ports: [{name: http, port: 80}]\n" \
        "  tls: {mode: None}\n  endpoints: [{address: '10.0.0.1:8000'}]\n" more "---\n"
#define POLICY(name, more) API "kind: TrafficPolicy\nmetadata: {name: " name "}\nspec:\n" more "---\n"

struct loaded {
    struct snapshot *snapshot;
    struct config_errors errors;
    struct config_errors warnings;
};

static inline void load_text(struct loaded *loaded, const char *text) {
    config_errors_init(&loaded->errors);
    config_errors_init(&loaded->warnings);
    enum error error = config_load_text("t.yaml", bytes_from_text(text), &loaded->snapshot, &loaded->errors, &loaded->warnings);
    assert_int_equal(error == OK, loaded->errors.count == 0);
    assert_int_equal(error == OK, loaded->snapshot != NULL);
}

static inline void loaded_dispose(struct loaded *loaded) {
    if (loaded->snapshot != NULL)
        snapshot_unref(loaded->snapshot);
    config_errors_dispose(&loaded->errors);
    config_errors_dispose(&loaded->warnings);
}

static inline void print_lines(const struct config_errors *errors) {
    for (uint32_t i = 0; i < errors->count; i++)
        print_message("  %s\n", errors->lines[i]);
}

static inline bool has_line(const struct config_errors *errors, const char *part) {
    for (uint32_t i = 0; i < errors->count; i++)
        if (strstr(errors->lines[i], part) != NULL)
            return true;
    return false;
}

// Loads, and expects exactly one error, which contains `part`.
static inline void expect_error(const char *text, const char *part) {
    struct loaded loaded;
    load_text(&loaded, text);
    if (loaded.errors.count != 1 || !has_line(&loaded.errors, part)) {
        print_message("expected one error with: %s\n", part);
        print_lines(&loaded.errors);
        fail();
    }
    loaded_dispose(&loaded);
}

static inline void expect_warning(const char *text, const char *part) {
    struct loaded loaded;
    load_text(&loaded, text);
    print_lines(&loaded.errors);
    assert_int_equal(loaded.errors.count, 0);
    if (!has_line(&loaded.warnings, part)) {
        print_message("expected a warning with: %s\n", part);
        print_lines(&loaded.warnings);
        fail();
    }
    loaded_dispose(&loaded);
}

// Loads what must be good.
static inline struct snapshot *expect_good(struct loaded *loaded, const char *text) {
    load_text(loaded, text);
    print_lines(&loaded->errors);
    assert_int_equal(loaded->errors.count, 0);
    return loaded->snapshot;
}

// Loads what must be good, and no matter of doubt.
static inline void expect_no_warning(const char *text) {
    struct loaded loaded;
    expect_good(&loaded, text);
    print_lines(&loaded.warnings);
    assert_int_equal(loaded.warnings.count, 0);
    loaded_dispose(&loaded);
}

static inline const struct service_config *find_key(const struct snapshot *snapshot, const char *key) {
    for (uint32_t i = 0; i < snapshot->service_count; i++)
        if (bytes_equal(snapshot->services[i]->key, bytes_from_text(key)))
            return snapshot->services[i];
    return NULL;
}

static inline void assert_bytes_equal(struct bytes text, const char *expected) {
    char copy[512];
    assert_true(text.len < sizeof(copy));
    if (text.len > 0)
        memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    assert_string_equal(copy, expected);
}

#endif
