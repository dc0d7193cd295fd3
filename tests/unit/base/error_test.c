// The list of errors: every number has a name, and names are unique.
#include "base/error.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void every_error_has_a_name_of_its_own(void **state) {
    (void)state;
    assert_string_equal(error_name(OK), "ok");
    for (int i = -ERROR_COUNT; i < 0; i++) {
        const char *name = error_name((enum error)i);
        assert_non_null(name);
        assert_true(strlen(name) > 0);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
        for (int j = i + 1; j <= 0; j++)
            assert_string_not_equal(name, error_name((enum error)j));
    }
}

static void errors_are_negative(void **state) {
    (void)state;
    assert_int_equal(OK, 0);
    assert_true(ERROR_BAD_REQUEST < 0);
    assert_true(ERROR_IO < 0);
    assert_string_equal(error_name(ERROR_BAD_REQUEST), "bad_request");
    assert_string_equal(error_name(ERROR_IO), "io_error");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_a_name_of_its_own),
        cmocka_unit_test(errors_are_negative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
