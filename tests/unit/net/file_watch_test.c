// A watch says when to look: after each kind of change of what is watched, also once that was replaced or removed, and not for what was said not to matter.
#include "net/file_watch.h"

#include "base/check.h"
#include "net/loop.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

// Only turns a hang into a failure.
#define PATIENCE (60 * NS_PER_S)

struct drive {
    struct loop loop;
    struct file_watch *watch;
    char folder[64];
    unsigned looks;
    bool only_yaml;
};

static struct drive drive;

static void on_look(void *owner) {
    struct drive *driven = owner;
    driven->looks++;
}

static bool matters(void *owner, const char *name) {
    struct drive *driven = owner;
    return !driven->only_yaml || bytes_ends_with(bytes_from_text(name), BYTES(".yaml"));
}

// Paths are taken as below the test's own folder.
static const char *at(const char *name) {
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", drive.folder, name);
    return path;
}

static int begin(void **state) {
    (void)state;
    drive = (struct drive){.folder = "/tmp/file_watch_test.XXXXXX"};
    assert_non_null(mkdtemp(drive.folder));
    loop_init(&drive.loop, NULL);
    return 0;
}

static void watch(nanoseconds poll_interval) {
    const struct file_watch_options options = {.poll_interval = poll_interval, .look = on_look, .matters = matters, .owner = &drive};
    drive.watch = file_watch_create(&drive.loop, &options);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place) {
    (void)status, (void)type, (void)place;
    return remove(path);
}

static int end(void **state) {
    (void)state;
    file_watch_close(drive.watch);
    loop_dispose(&drive.loop);
    return nftw(drive.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void write_file(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), strlen(text));
    close(file);
}

static void turn(void) {
    uv_run(&drive.loop.uv, UV_RUN_NOWAIT);
}

// Until it was said at least once more; then none is due any more.
static void assert_told(void) {
    unsigned before = drive.looks;
    nanoseconds deadline = clock_monotonic_ns() + PATIENCE;
    while (drive.looks == before) {
        assert_true(clock_monotonic_ns() < deadline);
        turn();
    }
    turn();
    turn();
}

// The system has told what it had to tell as soon as the call that changed the file returns: some turns bring it.
static void assert_not_told(void) {
    unsigned before = drive.looks;
    for (int i = 0; i < 10; i++)
        turn();
    assert_int_equal(drive.looks, before);
}

static void what_happens_in_a_folder_is_told(void **state) {
    (void)state;
    const char *paths[] = {drive.folder};
    watch(3600 * NS_PER_S);
    (void)file_watch_set(drive.watch, paths, 1);
    assert_not_told();
    write_file(at("new"), "1");
    assert_told();
    write_file(at("new"), "2");
    assert_told();
    assert_int_equal(rename(at("new"), at("old")), 0);
    assert_told();
    assert_int_equal(unlink(at("old")), 0);
    assert_told();
    assert_int_equal(mkdir(at("inner"), 0700), 0);
    assert_told();
    assert_not_told();
}

static void many_changes_at_once_are_told_once(void **state) {
    (void)state;
    const char *paths[] = {drive.folder};
    watch(3600 * NS_PER_S);
    (void)file_watch_set(drive.watch, paths, 1);
    for (char name[] = "a"; name[0] <= 'z'; name[0]++)
        write_file(at(name), "x");
    assert_told();
    assert_int_equal(drive.looks, 1);
    assert_not_told();
}

static void a_swapped_symlink_is_told(void **state) {
    (void)state;
    const char *paths[] = {drive.folder};
    watch(3600 * NS_PER_S);
    assert_int_equal(symlink("one", at("..data")), 0);
    (void)file_watch_set(drive.watch, paths, 1);
    assert_int_equal(symlink("two", at("..data_new")), 0);
    assert_told();
    assert_int_equal(rename(at("..data_new"), at("..data")), 0);
    assert_told();
}

static void writes_that_do_not_matter_are_not_told(void **state) {
    (void)state;
    const char *paths[] = {drive.folder};
    drive.only_yaml = true;
    write_file(at("access.log"), "");
    write_file(at("a.yaml"), "");
    watch(3600 * NS_PER_S);
    (void)file_watch_set(drive.watch, paths, 1);
    write_file(at("access.log"), "a line");
    assert_not_told();
    write_file(at("a.yaml"), "a document");
    assert_told();
    assert_int_equal(unlink(at("access.log")), 0); // what goes may have mattered
    assert_told();
}

static void a_file_is_watched_whatever_its_name(void **state) {
    (void)state;
    char path[128];
    const char *paths[] = {path};
    drive.only_yaml = true;
    snprintf(path, sizeof(path), "%s", at("target"));
    write_file(path, "1");
    watch(3600 * NS_PER_S);
    (void)file_watch_set(drive.watch, paths, 1);
    write_file(path, "2");
    assert_told();
}

static void a_file_that_was_replaced_is_watched_on(void **state) {
    (void)state;
    char path[128];
    const char *paths[] = {path};
    snprintf(path, sizeof(path), "%s", at("file"));
    write_file(path, "1");
    watch(3600 * NS_PER_S);
    (void)file_watch_set(drive.watch, paths, 1);
    for (int i = 0; i < 3; i++) {
        write_file(at("other"), "2");
        assert_int_equal(rename(at("other"), path), 0);
        assert_told();
        write_file(path, "3");
        assert_told();
    }
}

static void a_folder_that_was_replaced_is_watched_on(void **state) {
    (void)state;
    char inner[128];
    const char *paths[] = {drive.folder, inner};
    snprintf(inner, sizeof(inner), "%s", at("inner"));
    assert_int_equal(mkdir(inner, 0700), 0);
    watch(3600 * NS_PER_S);
    (void)file_watch_set(drive.watch, paths, 2);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rmdir(inner), 0);
        assert_told();
        assert_int_equal(mkdir(inner, 0700), 0);
        assert_told();
        write_file(at("inner/a"), "1");
        assert_told();
        assert_int_equal(unlink(at("inner/a")), 0);
        assert_told();
    }
}

static void what_is_not_there_yet_is_found_by_looking(void **state) {
    (void)state;
    char inner[128];
    const char *paths[] = {inner};
    snprintf(inner, sizeof(inner), "%s", at("later/inner"));
    watch(5 * NS_PER_MS);
    (void)file_watch_set(drive.watch, paths, 1);
    assert_told(); // nothing tells but the clock
    assert_int_equal(mkdir(at("later"), 0700), 0);
    assert_told();
}

static void what_is_not_in_the_set_any_more_is_not_told(void **state) {
    (void)state;
    char one[128], two[128];
    const char *paths[] = {one, two};
    snprintf(one, sizeof(one), "%s", at("one"));
    snprintf(two, sizeof(two), "%s", at("two"));
    assert_int_equal(mkdir(one, 0700), 0);
    assert_int_equal(mkdir(two, 0700), 0);
    watch(3600 * NS_PER_S);
    assert_true(file_watch_set(drive.watch, paths, 2));
    assert_false(file_watch_set(drive.watch, paths + 1, 1));
    write_file(at("one/a"), "1");
    assert_not_told();
    write_file(at("two/a"), "1");
    assert_told();
    (void)file_watch_set(drive.watch, paths, 0);
    write_file(at("two/a"), "2");
    assert_not_told();
}

static void a_closed_watch_says_nothing_more(void **state) {
    (void)state;
    const char *paths[] = {drive.folder};
    watch(3600 * NS_PER_S);
    (void)file_watch_set(drive.watch, paths, 1);
    write_file(at("a"), "1");
    file_watch_close(drive.watch); // before the loop has read what the system tells
    assert_not_told();
    watch(3600 * NS_PER_S); // for the end of the test
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_happens_in_a_folder_is_told),
        TEST(many_changes_at_once_are_told_once),
        TEST(a_swapped_symlink_is_told),
        TEST(writes_that_do_not_matter_are_not_told),
        TEST(a_file_is_watched_whatever_its_name),
        TEST(a_file_that_was_replaced_is_watched_on),
        TEST(a_folder_that_was_replaced_is_watched_on),
        TEST(what_is_not_there_yet_is_found_by_looking),
        TEST(what_is_not_in_the_set_any_more_is_not_told),
        TEST(a_closed_watch_says_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
