// What is to be watched for changes of documents: folders, folders in them, those that paths lie in, and where symlinks lead.
#include "config/load.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];
static struct pool_source chunks;
static struct pool pool;
static const char *const *watched;
static uint32_t watched_count;

static const char *at(const char *name) {
    return pool_format(&pool, "%s/%s", root, name).at;
}

static void make_folder(const char *name) {
    assert_int_equal(mkdir(at(name), 0700), 0);
}

static void make_file(const char *name) {
    int file = open(at(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    close(file);
}

static int begin(void **state) {
    (void)state;
    char made[] = "/tmp/watch_list_test.XXXXXX";
    assert_non_null(mkdtemp(made));
    assert_non_null(realpath(made, root));
    pool_source_init(&chunks, 0);
    pool_init(&pool, &chunks);
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place) {
    (void)status, (void)type, (void)place;
    return remove(path);
}

static int end(void **state) {
    (void)state;
    pool_dispose(&pool);
    pool_source_dispose(&chunks);
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void list(const char *path) {
    config_watch_list(NULL, &path, 1, &pool, &watched, &watched_count);
}

static bool has(const char *path) {
    unsigned found = 0;
    for (uint32_t i = 0; i < watched_count; i++)
        found += strcmp(watched[i], path) == 0;
    assert_true(found <= 1);
    return found == 1;
}

static void a_file_is_seen_by_its_folder(void **state) {
    (void)state;
    make_file("a.yaml");
    list(at("a.yaml"));
    assert_true(has(root));
    assert_int_equal(watched_count, 1);
    list("a.yaml");
    assert_true(has("."));
    list("/a.yaml");
    assert_true(has("/"));
}

static void folders_below_are_watched_but_hidden_ones(void **state) {
    (void)state;
    make_folder("docs");
    make_folder("docs/empty");
    make_folder("docs/more");
    make_folder("docs/more/deep");
    make_folder("docs/.hidden");
    make_file("docs/more/a.yaml");
    list(at("docs"));
    assert_true(has(root) && has(at("docs")) && has(at("docs/empty")) && has(at("docs/more")) && has(at("docs/more/deep")));
    assert_int_equal(watched_count, 5);
    list(at("docs/"));
    assert_true(has(root));
}

static void what_symlinks_lead_to_is_watched(void **state) {
    (void)state;
    make_folder("docs");
    make_folder("docs/..1");
    make_folder("elsewhere");
    make_file("docs/..1/a.yaml");
    make_file("elsewhere/b.txt");
    assert_int_equal(symlink("..1", at("docs/..data")), 0);
    assert_int_equal(symlink("..data/a.yaml", at("docs/a.yaml")), 0);
    assert_int_equal(symlink(at("elsewhere/b.txt"), at("docs/b.yaml")), 0);
    assert_int_equal(symlink(at("elsewhere"), at("docs/linked")), 0);
    list(at("docs"));
    assert_true(has(at("docs")) && has(at("docs/..1/a.yaml")) && has(at("elsewhere/b.txt")) && has(at("docs/linked")));
}

static void what_is_not_there_is_awaited_in_its_folder(void **state) {
    (void)state;
    list(at("later.yaml"));
    assert_true(has(root));
    assert_int_equal(watched_count, 1);
}

static void the_list_is_bounded(void **state) {
    (void)state;
    make_folder("docs");
    for (unsigned i = 0; i < CONFIG_WATCH_MAX + 10; i++)
        make_folder(pool_format(&pool, "docs/%u", i).at);
    list(at("docs"));
    assert_int_equal(watched_count, CONFIG_WATCH_MAX);
    assert_true(has(root) && has(at("docs")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_seen_by_its_folder),
        TEST(folders_below_are_watched_but_hidden_ones),
        TEST(what_symlinks_lead_to_is_watched),
        TEST(what_is_not_there_is_awaited_in_its_folder),
        TEST(the_list_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
