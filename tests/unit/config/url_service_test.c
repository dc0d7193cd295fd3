// URLs of documents: which are taken, and what becomes of them.
#include "config/url_service.h"

#include "config/memory.h"

#include "load_text.h"

static struct config_memory *memory;

static int begin(void **state) {
    (void)state;
    memory = config_memory_create();
    return 0;
}

static int end(void **state) {
    (void)state;
    config_memory_destroy(memory);
    return 0;
}

static void a_url_is_scheme_authority_and_path(void **state) {
    (void)state;
    static const struct {
        const char *text, *authority, *path;
        bool is_https;
    } cases[] = {
        {"https://id.example/jwks", "id.example", "/jwks", true},
        {"http://127.0.0.1:8181/v1/data/mesh/allow", "127.0.0.1:8181", "/v1/data/mesh/allow", false},
        {"https://[::1]:8443/a?b=c", "[::1]:8443", "/a?b=c", true},
        {"http://id.example", "id.example", "/", false},
        {"http://id.example/a/../b", "id.example", "/b", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct service_url url;
        const char *wrong;
        assert_true(url_parse(bytes_from_text(cases[i].text), &memory->pool, &url, &wrong));
        assert_int_equal(url.is_https, cases[i].is_https);
        assert_bytes_equal(url.authority, cases[i].authority);
        assert_bytes_equal(url.path, cases[i].path);
    }
}

static void what_cannot_be_asked_is_no_url(void **state) {
    (void)state;
    static const char *const cases[] = {
        "",
        "id.example/jwks",
        "ftp://id.example/",
        "http://",
        "http:///jwks",
        "https://user@id.example/",
        "http://id.example:0/",
        "http://id.example:99999/",
        "http://id.example/a b",
        "http://id.example/a#b",
        "http://id.example/%0",
        "http://id.example/../a",
        "http://*.example/",
        "HTTP://id.example/",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct service_url url;
        const char *wrong = NULL;
        assert_false(url_parse(bytes_from_text(cases[i]), &memory->pool, &url, &wrong));
        assert_non_null(wrong);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_url_is_scheme_authority_and_path, begin, end),
        cmocka_unit_test_setup_teardown(what_cannot_be_asked_is_no_url, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
