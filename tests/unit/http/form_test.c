// Names and values of forms: what is decoded, what stands for itself, and what is not copied.
#include "http/form.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void escapes_and_plus_are_decoded(void **state) {
    (void)state;
    static const struct {
        struct bytes text, decoded;
    } cases[] = {
        {BYTES(""), BYTES("")},         {BYTES("a"), BYTES("a")},     {BYTES("a+b"), BYTES("a b")},
        {BYTES("%41%62"), BYTES("Ab")}, {BYTES("%2B"), BYTES("+")},   {BYTES("%c3%A9"), BYTES("\xc3\xa9")},
        {BYTES("%00"), BYTES("\0")},    {BYTES("%"), BYTES("%")},     {BYTES("%4"), BYTES("%4")},
        {BYTES("%4g+"), BYTES("%4g ")}, {BYTES("%%41"), BYTES("%A")}, {BYTES("100%+x"), BYTES("100% x")},
        {BYTES("%2541"), BYTES("%41")},
    };
    struct pool_source source;
    struct pool pool;
    pool_source_init(&source, 1);
    pool_init(&pool, &source);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (!bytes_equal(form_decode(cases[i].text, &pool), cases[i].decoded))
            fail_msg("%.*s is decoded otherwise", BYTES_FORMAT(cases[i].text));
    pool_dispose(&pool);
    pool_source_dispose(&source);
}

static void plain_text_is_not_copied(void **state) {
    (void)state;
    struct bytes text = BYTES("plain-text_~");
    assert_ptr_equal(form_decode(text, NULL).at, text.at);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_and_plus_are_decoded),
        cmocka_unit_test(plain_text_is_not_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
