// A broken invariant ends the process and says where; one that holds costs nothing and is evaluated once.
#include "base/check.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static int evaluated;

static int count_up(void) {
    return ++evaluated;
}

static void a_condition_that_holds_is_evaluated_once(void **state) {
    (void)state;
    evaluated = 0;
    CHECK(count_up() == 1);
    assert_int_equal(evaluated, 1);
}

static void a_broken_one_aborts_and_names_condition_and_file(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        int two = 2;
        CHECK(two + two == 5);
        _exit(0);
    }
    close(ends[1]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    char text[512] = "";
    assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
    close(ends[0]);
    assert_non_null(strstr(text, "two + two == 5"));
    assert_non_null(strstr(text, "check_test.c:"));
}

struct owner {
    long before;
    int member;
};

static void container_is_found_from_its_member(void **state) {
    (void)state;
    struct owner owner;
    assert_ptr_equal(CONTAINER_OF(&owner.member, struct owner, member), &owner);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_condition_that_holds_is_evaluated_once),
        cmocka_unit_test(a_broken_one_aborts_and_names_condition_and_file),
        cmocka_unit_test(container_is_found_from_its_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
