// When files are loaded: a set that is not whole yet is tried again, one that stays of no use is refused once, and no change is lost, whenever in a try it comes. On a
// virtual clock, where only the look every few seconds sees a change.
#include "identity/watched_files.h"

#include "support/check_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define LOOK (5 * NS_PER_S)

enum change { NO_CHANGE, BEFORE_CONFIRM, AFTER_CONFIRM };

struct fixture {
    struct check_loop check;
    struct watched_files *files;
    char folder[64], paths[2][96];
    unsigned version; // how much longer the second file has become
    // what `load` does
    enum error answer;
    enum change change; // that comes in the middle of the next try
    // what it saw
    unsigned tries, loads, refusals, looks;
    unsigned loaded_version;
    char reason[WATCHED_FILES_REASON_SIZE];
};

static void change_files(struct fixture *f) {
    FILE *file = fopen(f->paths[1], "a");
    assert_non_null(file);
    fputc('x', file);
    assert_int_equal(fclose(file), 0);
    f->version++;
}

static enum error load(void *owner, char *reason, size_t reason_size) {
    struct fixture *f = owner;
    const unsigned version = f->version;
    const enum change change = f->change;
    f->tries++;
    f->change = NO_CHANGE;
    if (change == BEFORE_CONFIRM)
        change_files(f);
    enum error error = watched_files_confirm(f->files, reason, reason_size);
    if (change == AFTER_CONFIRM)
        change_files(f);
    snprintf(f->reason, sizeof f->reason, "%s", reason);
    if (error == OK && f->answer != OK) {
        snprintf(reason, reason_size, "try %u", f->tries);
        error = f->answer;
    }
    if (error != OK)
        return error;
    f->loads++;
    f->loaded_version = version;
    return OK;
}

static void refuse(void *owner, const char *reason) {
    struct fixture *f = owner;
    f->refusals++;
    snprintf(f->reason, sizeof f->reason, "%s", reason);
}

static void looked(void *owner) {
    struct fixture *f = owner;
    f->looks++;
}

static void begin(struct fixture *f, enum error answer) {
    *f = (struct fixture){.answer = answer};
    snprintf(f->folder, sizeof f->folder, "/tmp/outrigger-watched-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    for (int i = 0; i < 2; i++)
        snprintf(f->paths[i], sizeof f->paths[i], "%s/%d", f->folder, i);
    change_files(f);
    check_loop_init(&f->check);
    const char *const paths[] = {f->paths[0], f->paths[1]};
    const struct watched_files_options options = {.paths = paths, .count = 2, .load = load, .refuse = refuse, .looked = looked, .owner = f};
    f->files = watched_files_create(&f->check.loop, &options);
    assert_true(watched_files_are_settling(f->files));
    assert_int_equal(f->tries, 0);
}

static void end(struct fixture *f) {
    watched_files_close(f->files);
    check_loop_dispose(&f->check);
    unlink(f->paths[1]);
    assert_int_equal(rmdir(f->folder), 0);
}

static void a_set_is_loaded_once_and_again_when_it_has_changed(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, OK);
    check_loop_pass(&f.check, NS_PER_MS);
    assert_int_equal(f.loads, 1);
    assert_false(watched_files_are_settling(f.files));
    check_loop_pass(&f.check, 4 * LOOK);
    assert_int_equal(f.tries, 1);
    assert_true(f.looks >= 3);
    change_files(&f);
    check_loop_pass(&f.check, 2 * LOOK);
    assert_int_equal(f.loads, 2);
    assert_int_equal(f.loaded_version, f.version);
    assert_int_equal(f.refusals, 0);
    end(&f);
}

static void a_change_in_the_middle_of_a_try_is_not_lost(void **state) {
    (void)state;
    for (enum change change = BEFORE_CONFIRM; change <= AFTER_CONFIRM; change++) {
        struct fixture f;
        begin(&f, OK);
        f.change = change;
        check_loop_pass(&f.check, NS_PER_MS);
        assert_int_equal(f.tries, 1);
        assert_int_equal(f.loads, change == BEFORE_CONFIRM ? 0 : 1);
        assert_string_equal(f.reason, change == BEFORE_CONFIRM ? "the files change while they are read" : "");
        check_loop_pass(&f.check, 2 * LOOK);
        assert_int_equal(f.loaded_version, f.version);
        assert_int_equal(f.tries, 2);
        assert_int_equal(f.refusals, 0);
        end(&f);
    }
}

// Neither is it where nothing but a look after the refusal would try again.
static void a_change_in_the_try_that_is_refused_is_not_lost(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, ERROR_INVALID);
    check_loop_pass(&f.check, 3 * NS_PER_S);
    assert_int_equal(f.refusals, 1);
    f.change = AFTER_CONFIRM;
    watched_files_look(f.files);
    assert_int_equal(f.change, NO_CHANGE);
    assert_false(watched_files_are_settling(f.files));
    f.answer = OK;
    watched_files_look(f.files);
    assert_true(watched_files_are_settling(f.files));
    check_loop_pass(&f.check, NS_PER_S);
    assert_int_equal(f.loaded_version, f.version);
    end(&f);
}

static void a_set_that_stays_of_no_use_is_refused_once_and_tried_with_each_look(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, ERROR_INVALID);
    check_loop_pass(&f.check, NS_PER_S);
    assert_true(watched_files_are_settling(f.files));
    assert_int_equal(f.refusals, 0);
    check_loop_pass(&f.check, 2 * NS_PER_S);
    assert_false(watched_files_are_settling(f.files));
    assert_int_equal(f.refusals, 1);
    char last[16];
    snprintf(last, sizeof last, "try %u", f.tries);
    assert_string_equal(f.reason, last);
    unsigned tries = f.tries;
    watched_files_look(f.files);
    assert_int_equal(f.tries, tries + 1);
    check_loop_pass(&f.check, 4 * LOOK);
    assert_true(f.tries > tries + 2);
    assert_int_equal(f.refusals, 1);
    change_files(&f); // another set: what is wrong with it is told again
    check_loop_pass(&f.check, 2 * LOOK);
    assert_int_equal(f.refusals, 2);
    f.answer = OK; // what was wrong is over
    check_loop_pass(&f.check, 2 * LOOK);
    assert_int_equal(f.loads, 1);
    end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_is_loaded_once_and_again_when_it_has_changed),
        cmocka_unit_test(a_change_in_the_middle_of_a_try_is_not_lost),
        cmocka_unit_test(a_change_in_the_try_that_is_refused_is_not_lost),
        cmocka_unit_test(a_set_that_stays_of_no_use_is_refused_once_and_tried_with_each_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
