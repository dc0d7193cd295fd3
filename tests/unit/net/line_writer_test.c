// Lines of several threads into one file: none mixed, none lost but where it is counted, nobody held up by a file that takes nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "net/line_writer.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#define RING ((size_t)16384)
#define LINE_MAX_BYTES 512
#define SOURCES 3
#define PATIENCE NS_PER_S

static struct line_writer *writer;
static char folder[] = "/tmp/outrigger-line-writer-XXXXXX";
static char path[64];

static int set_up(void **state) {
    (void)state;
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log", folder);
    writer = line_writer_create(SOURCES, RING, LINE_MAX_BYTES, "access_log_failed");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char other[80];
    snprintf(other, sizeof other, "%s.1", path);
    unlink(path);
    unlink(other);
    assert_int_equal(rmdir(folder), 0);
    return 0;
}

static bool add(uint32_t source, const char *line) {
    struct line_ring *ring = line_writer_ring(writer, source);
    char *room = line_ring_room(ring);
    if (room == NULL)
        return false;
    memcpy(room, line, strlen(line));
    line_ring_add(ring, strlen(line));
    line_writer_publish(writer, source);
    return true;
}

static void await_lines(uint32_t source, uint64_t written, uint64_t failed) {
    const struct line_counters *counters = line_writer_counters(writer, source);
    while (metric_read(&counters->written) < written || metric_read(&counters->failed) < failed)
        sched_yield();
    assert_int_equal(metric_read(&counters->written), written);
    assert_int_equal(metric_read(&counters->failed), failed);
}

static const char *content(const char *name) {
    static char text[1 << 20];
    int file = open(name, O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    ssize_t length = read(file, text, sizeof text - 1);
    assert_true(length >= 0);
    close(file);
    text[length] = '\0';
    return text;
}

static void what_was_added_is_written_before_it_ends(void **state) {
    (void)state;
    line_writer_open(writer, path);
    assert_true(add(0, "first\n") && add(1, "second\n"));
    line_writer_destroy(writer, PATIENCE);
    assert_string_equal(content(path), "first\nsecond\n");
}

static void a_sleeping_writer_is_woken(void **state) {
    (void)state;
    line_writer_open(writer, path);
    for (uint64_t line = 1; line <= 5; line++) { // each finds it napping or asleep
        assert_true(add(2, "line\n"));
        await_lines(2, line, 0);
    }
    line_writer_destroy(writer, PATIENCE);
}

static void *write_many(void *argument) {
    const uint32_t *source = argument;
    char line[LINE_MAX_BYTES];
    for (unsigned number = 0; number < 2000;) {
        snprintf(line, sizeof line, "%u %0*u\n", *source, 1 + (int)(number % 200), number);
        if (add(*source, line))
            number++;
        else
            sched_yield();
    }
    return NULL;
}

static void lines_of_several_threads_stay_whole(void **state) {
    (void)state;
    static const uint32_t numbers[SOURCES] = {0, 1, 2};
    pthread_t threads[SOURCES];
    line_writer_open(writer, path);
    for (uint32_t i = 0; i < SOURCES; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, (void *)(uintptr_t)&numbers[i]), 0);
    for (uint32_t i = 0; i < SOURCES; i++)
        pthread_join(threads[i], NULL);
    line_writer_destroy(writer, 20 * PATIENCE);
    unsigned expected[SOURCES] = {0};
    FILE *file = fopen(path, "re");
    char line[LINE_MAX_BYTES];
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned source, number;
        assert_int_equal(sscanf(line, "%u %u", &source, &number), 2);
        assert_true(source < SOURCES);
        assert_int_equal(number, expected[source]++);
    }
    fclose(file);
    for (uint32_t i = 0; i < SOURCES; i++)
        assert_int_equal(expected[i], 2000);
}

static void a_file_that_was_renamed_is_opened_anew_on_demand(void **state) {
    (void)state;
    char other[80];
    snprintf(other, sizeof other, "%s.1", path);
    line_writer_open(writer, path);
    assert_true(add(0, "before\n"));
    await_lines(0, 1, 0);
    assert_int_equal(rename(path, other), 0);
    line_writer_reopen(writer);
    while (access(path, F_OK) != 0)
        sched_yield();
    assert_true(add(0, "after\n"));
    line_writer_destroy(writer, PATIENCE);
    assert_string_equal(content(other), "before\n");
    assert_string_equal(content(path), "after\n");
}

static void a_file_that_was_renamed_is_noticed(void **state) {
    (void)state;
    char other[80];
    snprintf(other, sizeof other, "%s.1", path);
    line_writer_open(writer, path);
    assert_true(add(0, "before\n"));
    await_lines(0, 1, 0);
    assert_int_equal(rename(path, other), 0);
    for (uint64_t line = 2; access(path, F_OK) != 0; line++) {
        assert_true(add(0, "x\n"));
        await_lines(0, line, 0);
    }
    line_writer_destroy(writer, PATIENCE);
}

static void a_file_that_was_removed_is_made_anew_before_the_next_line(void **state) {
    (void)state;
    line_writer_open(writer, path);
    assert_true(add(0, "one\n"));
    await_lines(0, 1, 0);
    assert_int_equal(unlink(path), 0);
    assert_true(add(0, "two\n"));
    await_lines(0, 2, 0);
    assert_string_equal(content(path), "two\n");
    line_writer_destroy(writer, PATIENCE);
}

static void lines_are_lost_while_a_removed_file_cannot_be_made_anew(void **state) {
    (void)state;
    line_writer_open(writer, path);
    assert_true(add(0, "one\n"));
    await_lines(0, 1, 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
    assert_true(add(0, "two\n"));
    await_lines(0, 1, 1);
    assert_int_equal(mkdir(folder, 0700), 0);
    line_writer_reopen(writer);
    assert_true(add(0, "three\n"));
    await_lines(0, 2, 1);
    assert_string_equal(content(path), "three\n");
    line_writer_destroy(writer, PATIENCE);
}

static void no_file_loses_lines_and_counts_them(void **state) {
    (void)state;
    line_writer_open(writer, "/proc/nowhere/log");
    assert_true(add(0, "one\n") && add(0, "two\n"));
    await_lines(0, 0, 2);
    line_writer_open(writer, path);
    while (access(path, F_OK) != 0)
        sched_yield();
    assert_true(add(0, "three\n"));
    await_lines(0, 1, 2);
    line_writer_destroy(writer, PATIENCE);
    assert_string_equal(content(path), "three\n");
}

static void a_pipe_that_nobody_reads_holds_nobody_up_and_loses_whole_lines(void **state) {
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    int pipe = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    fcntl(pipe, F_SETPIPE_SZ, PIPE_BUF);
    line_writer_open(writer, path);
    char line[LINE_MAX_BYTES];
    uint64_t added = 0, refused = 0;
    while (refused < 100) { // until pipe and ring are full, and beyond
        snprintf(line, sizeof line, "%0300llu\n", (unsigned long long)added);
        if (add(0, line))
            added++;
        else
            refused++;
    }
    assert_true(added * 301 >= RING - LINE_MAX_BYTES);
    // The reader comes back: all that was taken comes, in order.
    for (uint64_t expected = 0; expected < added;) {
        char text[PIPE_BUF];
        struct pollfd poll_pipe = {.fd = pipe, .events = POLLIN};
        poll(&poll_pipe, 1, -1);
        ssize_t length = read(pipe, text, sizeof text);
        assert_true(length > 0 && length % 301 == 0);
        for (ssize_t at = 0; at < length; at += 301)
            assert_int_equal(strtoull(text + at, NULL, 10), expected++);
    }
    await_lines(0, added, 0);
    line_writer_destroy(writer, PATIENCE);
    close(pipe);
}

static void it_ends_though_the_pipe_is_full(void **state) {
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    int pipe = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    line_writer_open(writer, path);
    char line[LINE_MAX_BYTES];
    memset(line, 'x', 400);
    strcpy(line + 400, "\n");
    for (int refused = 0; refused < 100;)
        refused += !add(0, line);
    line_writer_destroy(writer, NS_PER_MS);
    close(pipe);
}

static unsigned count_threads(void) {
    DIR *tasks = opendir("/proc/self/task");
    unsigned count = 0;
    for (const struct dirent *task; (task = readdir(tasks)) != NULL;)
        count += task->d_name[0] != '.';
    closedir(tasks);
    return count;
}

// A standard stream that is somebody else's pipe: opening it by its path is denied, writing to it is not.
static void a_pipe_of_another_user_is_written_to_as_it_is(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(fchmod(ends[1], 0), 0);
    int before = dup(STDERR_FILENO);
    assert_true(before >= 0);
    line_writer_destroy(writer, PATIENCE);
    const unsigned others = count_threads(); // a sanitizer may have one of its own
    setfsuid(65534);                         // root may open everything; threads inherit it
    writer = line_writer_create(SOURCES, RING, LINE_MAX_BYTES, "access_log_failed");
    setfsuid(geteuid());
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    line_writer_open(writer, "/dev/stderr");
    bool added = add(0, "first\n") && add(1, "second\n");
    char text[64] = "";
    for (size_t length = 0; strchr(text, 's') == NULL || strstr(text, "second\n") == NULL || strstr(text, "first\n") == NULL;) {
        struct pollfd reader = {.fd = ends[0], .events = POLLIN};
        ssize_t got = poll(&reader, 1, 10000) == 1 ? read(ends[0], text + length, sizeof text - 1 - length) : 0;
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    bool blocks = (fcntl(ends[1], F_GETFL) & O_NONBLOCK) == 0;
    char many[LINE_MAX_BYTES] = "";
    memset(many, 'x', sizeof many - 2);
    many[sizeof many - 2] = '\n';
    for (int refused = 0; refused < 100;)
        refused += !add(0, many);
    line_writer_destroy(writer, 0);
    unsigned threads = count_threads();
    dup2(before, STDERR_FILENO);
    close(before), close(ends[0]), close(ends[1]);
    assert_true(added);
    assert_true(blocks);
    assert_int_equal(threads, others); // the writer's does not hang in a write
    assert_non_null(strstr(text, "first\n"));
    assert_non_null(strstr(text, "second\n"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_added_is_written_before_it_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_sleeping_writer_is_woken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_of_several_threads_stay_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_was_renamed_is_opened_anew_on_demand, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_was_renamed_is_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_was_removed_is_made_anew_before_the_next_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_are_lost_while_a_removed_file_cannot_be_made_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_file_loses_lines_and_counts_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pipe_that_nobody_reads_holds_nobody_up_and_loses_whole_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_ends_though_the_pipe_is_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pipe_of_another_user_is_written_to_as_it_is, set_up, tear_down),
    };
    signal(SIGPIPE, SIG_IGN); // as the program does: a writer that is no longer waited for may still write
    return cmocka_run_group_tests(tests, NULL, NULL);
}
