// When load is shed, step by step and back, and where limit and use are read: either version of cgroups, the tightest level above the process, changes while it runs.
#include "base/memory_budget.h"

#include "base/block.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/memory_room.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define LIMIT UINT64_C(1000000)

// --- levels ---

static void levels_are_reached_in_equal_steps_above_the_percentage(void **state) {
    (void)state;
    static const struct {
        uint64_t use;
        enum memory_level level;
    } steps[] = {{0, MEMORY_PLENTY},
                 {799999, MEMORY_PLENTY},
                 {800000, MEMORY_KEEP_NOTHING},
                 {849999, MEMORY_KEEP_NOTHING},
                 {850000, MEMORY_CLOSE_IDLE},
                 {900000, MEMORY_REFUSE_REQUESTS},
                 {949999, MEMORY_REFUSE_REQUESTS},
                 {950000, MEMORY_REFUSE_CONNECTIONS},
                 {2000000, MEMORY_REFUSE_CONNECTIONS}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        assert_int_equal(memory_level_next(MEMORY_PLENTY, steps[i].use, LIMIT, 80), steps[i].level);
}

static void a_look_goes_up_at_once_and_down_one_step(void **state) {
    (void)state;
    for (unsigned level = MEMORY_PLENTY; level <= MEMORY_REFUSE_CONNECTIONS; level++) {
        assert_int_equal(memory_level_next(level, LIMIT, LIMIT, 80), MEMORY_REFUSE_CONNECTIONS);
        assert_int_equal(memory_level_next(level, 0, LIMIT, 80), level > 0 ? level - 1 : 0);
    }
}

static void a_level_is_left_half_a_step_below_where_it_was_reached(void **state) {
    (void)state;
    for (unsigned level = MEMORY_KEEP_NOTHING; level <= MEMORY_REFUSE_CONNECTIONS; level++) {
        uint64_t reached = 800000 + 50000 * (uint64_t)(level - 1);
        assert_int_equal(memory_level_next(level, reached - 1, LIMIT, 80), level);
        assert_int_equal(memory_level_next(level, reached - 25000, LIMIT, 80), level);
        assert_int_equal(memory_level_next(level, reached - 25001, LIMIT, 80), level - 1);
    }
}

static void at_a_hundred_percent_all_steps_are_one(void **state) {
    (void)state;
    enum memory_level level = memory_level_next(MEMORY_PLENTY, LIMIT, LIMIT, 100);
    assert_int_equal(level, MEMORY_REFUSE_CONNECTIONS);
    assert_int_equal(memory_level_next(level, LIMIT - LIMIT / 100, LIMIT, 100), level); // still with a margin
    assert_int_equal(memory_level_next(level, LIMIT - LIMIT / 100 - 1, LIMIT, 100), level - 1);
}

static void without_a_limit_there_is_plenty(void **state) {
    (void)state;
    for (unsigned level = MEMORY_PLENTY; level <= MEMORY_REFUSE_CONNECTIONS; level++)
        assert_int_equal(memory_level_next(level, UINT64_MAX, 0, 80), MEMORY_PLENTY);
}

static void large_limits_do_not_overflow(void **state) {
    (void)state;
    uint64_t limit = UINT64_C(1) << 59;
    assert_int_equal(memory_level_next(MEMORY_PLENTY, limit / 2, limit, 80), MEMORY_PLENTY);
    assert_int_equal(memory_level_next(MEMORY_PLENTY, limit, limit, 80), MEMORY_REFUSE_CONNECTIONS);
}

// --- between looks ---

static void whoever_takes_all_room_each_time_comes_near_the_limit_in_few_looks(void **state) {
    (void)state;
    static const uint64_t limits[] = {4 << 20, 48 << 20, UINT64_C(1) << 40};
    static const uint64_t kept_back[] = {(4 << 20) / 16, 2 << 20, (UINT64_C(1) << 40) / 32};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        for (uint32_t workers = 1; workers <= 4; workers++) {
            const uint64_t limit = limits[i];
            uint64_t use = 0;
            unsigned looks = 0;
            for (int64_t room; (room = memory_room_of(use, limit, workers)) > 0; looks++)
                use += (uint64_t)room * workers;
            const uint64_t most = limit - kept_back[i];
            assert_true(use >= most && use < most + (uint64_t)workers * BLOCK_SIZE);
            assert_true(looks < 200);
        }
    }
}

static void beyond_the_last_part_there_is_no_room(void **state) {
    (void)state;
    const uint64_t limit = 32 << 20;
    const uint64_t most = limit - (2 << 20);
    assert_int_equal(memory_room_of(most - 1, limit, 64), BLOCK_SIZE);
    assert_int_equal(memory_room_of(most, limit, 1), 0);
    assert_int_equal(memory_room_of(2 * limit, limit, 1), 0);
    assert_int_equal(memory_room_of(2 * limit, 0, 1), MEMORY_ROOM_ENDLESS);
}

static void streams_are_let_in_with_what_they_will_want(void **state) {
    (void)state;
    const uint64_t limit = 32 << 20;
    const uint64_t refused_from = limit / 10 * 9;
    assert_int_equal(memory_streams_of(refused_from - 10 * MEMORY_STREAM_BYTES - 1000, limit, 80, 1), 10);
    assert_int_equal(memory_streams_of(refused_from - 10 * MEMORY_STREAM_BYTES - 1000, limit, 80, 3), 3);
    assert_int_equal(memory_streams_of(limit, limit, 80, 1), 0);
    assert_int_equal(memory_streams_of(limit, 0, 80, 4), UINT32_MAX);
    assert_int_equal(memory_streams_of(0, UINT64_C(1) << 59, 80, 1), UINT32_MAX);
}

static void sockets_hold_a_part_of_the_limit(void **state) {
    (void)state;
    assert_int_equal(memory_socket_bytes_of(0), 0);
    assert_int_equal(memory_socket_bytes_of(1), BLOCK_SIZE);
    assert_int_equal(memory_socket_bytes_of(32 << 20), 32768);
    assert_int_equal(memory_socket_bytes_of(UINT64_C(1) << 59), LIMIT_SOCKET_BYTES);
}

// --- files ---

struct world {
    char root[64];
    struct memory_budget budget;
    nanoseconds now;
};

static void write_file(struct world *world, const char *folder, const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s/%s", world->root, folder, name);
    FILE *file = fopen(path, "we");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void make_folder(struct world *world, const char *folder) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", world->root, folder);
    CHECK(mkdir(path, 0700) == 0);
}

static void world_init(struct world *world) {
    *world = (struct world){.root = "/tmp/outrigger-cgroups-XXXXXX", .now = NS_PER_S};
    CHECK(mkdtemp(world->root) != NULL);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static void world_dispose(struct world *world) {
    memory_budget_close(&world->budget);
    CHECK(nftw(world->root, remove_entry, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

static void version_2(struct world *world, const char *folder, const char *limit, const char *use) {
    write_file(world, folder, "memory.max", limit);
    write_file(world, folder, "memory.current", use);
}

static enum memory_level look(struct world *world) {
    world->now += NS_PER_S;
    return memory_budget_check(&world->budget, 80, world->now);
}

static void the_limit_of_version_2_is_read(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    make_folder(&world, "pod");
    version_2(&world, "pod", "1000000\n", "810000\n");
    memory_budget_open(&world.budget, world.root, "0::/pod\n");
    assert_int_equal(look(&world), MEMORY_KEEP_NOTHING);
    assert_int_equal(world.budget.limit, 1000000);
    assert_int_equal(world.budget.use, 810000);
    world_dispose(&world);
}

static void the_limit_of_version_1_is_read(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    make_folder(&world, "memory");
    make_folder(&world, "memory/a");
    write_file(&world, "memory/a", "memory.limit_in_bytes", "1000000\n");
    write_file(&world, "memory/a", "memory.usage_in_bytes", "990000\n");
    write_file(&world, "memory/a", "memory.stat", "cache 5\ninactive_file 1\ntotal_inactive_file 150000\n");
    memory_budget_open(&world.budget, world.root, "9:cpu:/b\n4:memory:/a\n0::/\n");
    assert_int_equal(look(&world), MEMORY_KEEP_NOTHING); // the pages that can be dropped do not count
    assert_int_equal(world.budget.use, 840000);
    world_dispose(&world);
}

static void pages_of_files_that_can_be_dropped_do_not_count(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    version_2(&world, ".", "1000000\n", "990000\n");
    write_file(&world, ".", "memory.stat", "anon 1\nfile 2\ninactive_file 500000\nactive_file 3\n");
    memory_budget_open(&world.budget, world.root, "0::/\n");
    assert_int_equal(look(&world), MEMORY_PLENTY);
    assert_int_equal(world.budget.use, 490000);
    world_dispose(&world);
}

static void the_tightest_limit_above_counts(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    make_folder(&world, "slice");
    make_folder(&world, "slice/unit");
    version_2(&world, "slice", "1000000", "840000");
    version_2(&world, "slice/unit", "2000000", "1000");
    memory_budget_open(&world.budget, world.root, "0::/slice/unit");
    assert_int_equal(look(&world), MEMORY_KEEP_NOTHING);
    assert_int_equal(world.budget.limit, 1000000);
    world_dispose(&world);
}

// Without a namespace of its own a container sees the host's path, and only its own root mounted.
static void of_a_path_that_is_not_there_the_root_is_read(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    version_2(&world, ".", "1000000", "10");
    memory_budget_open(&world.budget, world.root, "0::/kubepods/pod1/abc\n");
    (void)look(&world);
    assert_int_equal(world.budget.limit, 1000000);
    world_dispose(&world);
}

static void a_limit_may_come_change_and_go(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    version_2(&world, ".", "max\n", "900000\n");
    memory_budget_open(&world.budget, world.root, "0::/\n");
    assert_int_equal(look(&world), MEMORY_PLENTY);
    write_file(&world, ".", "memory.max", "1000000\n");
    assert_int_equal(look(&world), MEMORY_REFUSE_REQUESTS);
    write_file(&world, ".", "memory.max", "2000000\n");
    assert_int_equal(look(&world), MEMORY_CLOSE_IDLE);
    write_file(&world, ".", "memory.max", "1000000\n");
    assert_int_equal(look(&world), MEMORY_REFUSE_REQUESTS);
    write_file(&world, ".", "memory.max", "max\n");
    assert_int_equal(look(&world), MEMORY_PLENTY);
    world_dispose(&world);
}

static void version_1_says_a_large_number_for_none(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    make_folder(&world, "memory");
    write_file(&world, "memory", "memory.limit_in_bytes", "9223372036854771712\n");
    write_file(&world, "memory", "memory.usage_in_bytes", "990000\n");
    memory_budget_open(&world.budget, world.root, "4:memory:/\n");
    assert_int_equal(look(&world), MEMORY_PLENTY);
    assert_int_equal(world.budget.limit, 0);
    world_dispose(&world);
}

static void without_cgroups_the_feature_rests(void **state) {
    (void)state;
    static const char *const texts[] = {"", "0::/\n", "4:memory:/x\n0::/y\n", "nonsense", "::::\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct world world;
        world_init(&world);
        memory_budget_open(&world.budget, world.root, texts[i]);
        assert_int_equal(look(&world), MEMORY_PLENTY);
        assert_int_equal(world.budget.limit, 0);
        world_dispose(&world);
    }
}

static void looks_of_several_workers_are_not_closer_than_one(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    version_2(&world, ".", "1000000", "810000");
    memory_budget_open(&world.budget, world.root, "0::/");
    nanoseconds now = NS_PER_S;
    assert_int_equal(memory_budget_check(&world.budget, 80, now), MEMORY_KEEP_NOTHING);
    version_2(&world, ".", "1000000", "860000");
    assert_int_equal(memory_budget_check(&world.budget, 80, now), MEMORY_KEEP_NOTHING);
    assert_int_equal(memory_budget_check(&world.budget, 80, now - 5), MEMORY_KEEP_NOTHING);
    assert_int_equal(memory_budget_check(&world.budget, 80, now + NS_PER_S / 4), MEMORY_CLOSE_IDLE);
    world_dispose(&world);
}

static void whoever_has_taken_much_looks_at_once(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    version_2(&world, ".", "1000000", "10");
    memory_budget_open(&world.budget, world.root, "0::/");
    assert_int_equal(memory_budget_look(&world.budget, 80), MEMORY_PLENTY);
    version_2(&world, ".", "1000000", "960000");
    assert_int_equal(memory_budget_look(&world.budget, 80), MEMORY_REFUSE_CONNECTIONS);
    assert_int_equal(world.budget.use, 960000);
    assert_int_equal(world.budget.use_peak, 960000);
    world_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_are_reached_in_equal_steps_above_the_percentage),
        cmocka_unit_test(a_look_goes_up_at_once_and_down_one_step),
        cmocka_unit_test(a_level_is_left_half_a_step_below_where_it_was_reached),
        cmocka_unit_test(at_a_hundred_percent_all_steps_are_one),
        cmocka_unit_test(without_a_limit_there_is_plenty),
        cmocka_unit_test(large_limits_do_not_overflow),
        cmocka_unit_test(whoever_takes_all_room_each_time_comes_near_the_limit_in_few_looks),
        cmocka_unit_test(beyond_the_last_part_there_is_no_room),
        cmocka_unit_test(streams_are_let_in_with_what_they_will_want),
        cmocka_unit_test(sockets_hold_a_part_of_the_limit),
        cmocka_unit_test(the_limit_of_version_2_is_read),
        cmocka_unit_test(the_limit_of_version_1_is_read),
        cmocka_unit_test(pages_of_files_that_can_be_dropped_do_not_count),
        cmocka_unit_test(the_tightest_limit_above_counts),
        cmocka_unit_test(of_a_path_that_is_not_there_the_root_is_read),
        cmocka_unit_test(a_limit_may_come_change_and_go),
        cmocka_unit_test(version_1_says_a_large_number_for_none),
        cmocka_unit_test(without_cgroups_the_feature_rests),
        cmocka_unit_test(looks_of_several_workers_are_not_closer_than_one),
        cmocka_unit_test(whoever_has_taken_much_looks_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
