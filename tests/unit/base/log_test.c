// Log lines: their form, escaping of what a peer sent, levels, the limit per event, and lines of threads that do not mix.
#include "base/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static char last[8192];
static enum log_level last_level;
static unsigned lines;
static nanoseconds time_now;

static void keep(enum log_level level, const char *line) {
    assert_true(strlen(line) < sizeof(last));
    snprintf(last, sizeof(last), "%s", line);
    last_level = level;
    lines++;
}

static nanoseconds test_clock(void) {
    return time_now;
}

static int begin(void **state) {
    (void)state;
    lines = 0;
    last[0] = '\0';
    time_now += 1000 * NS_PER_S;
    log_redirect(keep);
    log_set_clock(test_clock);
    log_set_level(LOG_INFO);
    return 0;
}

static int finish(void **state) {
    (void)state;
    log_redirect(NULL);
    log_set_clock(NULL);
    log_set_level(LOG_INFO);
    return 0;
}

static const char *after_event(void) {
    const char *at = strstr(last, "event=");
    assert_non_null(at);
    return at;
}

static void a_line_has_time_level_event_and_values(void **state) {
    (void)state;
    log_event(LOG_WARN, "endpoint_ejected", "service=%s failures=%d", "courses", 5);
    assert_int_equal(lines, 1);
    assert_int_equal(last_level, LOG_WARN);
    assert_string_equal(after_event(), "event=endpoint_ejected service=courses failures=5");
    assert_memory_equal(last, "time=2", 6);
    assert_non_null(strstr(last, "Z level=warn event="));
    log_event(LOG_INFO, "started", "%s", "");
    assert_string_equal(after_event(), "event=started ");
}

static void lower_levels_are_left_out(void **state) {
    (void)state;
    log_event(LOG_DEBUG, "detail", "a=%d", 1);
    assert_int_equal(lines, 0);
    log_set_level(LOG_DEBUG);
    assert_int_equal(log_get_level(), LOG_DEBUG);
    log_event(LOG_DEBUG, "detail", "a=%d", 1);
    assert_int_equal(lines, 1);
    log_set_level(LOG_ERROR);
    log_event(LOG_WARN, "detail", "a=%d", 1);
    assert_int_equal(lines, 1);
    log_event(LOG_ERROR, "detail", "a=%d", 1);
    assert_int_equal(lines, 2);
}

static void control_characters_cannot_forge_a_line(void **state) {
    (void)state;
    log_event(LOG_INFO, "seen", "path=%s", "/a\nevent=forged\r\t\x1b[2J\x7f");
    assert_int_equal(lines, 1);
    assert_string_equal(after_event(), "event=seen path=/a\\x0aevent=forged\\x0d\\x09\\x1b[2J\\x7f");
    // C1 controls in UTF-8 are escaped, other text outside of ASCII is not.
    log_event(LOG_INFO, "seen", "path=%s",
              "\xc2\x9b"
              "31m \xc3\xa4 \xc2\xa7 \xe2\x82\xac");
    assert_string_equal(after_event(), "event=seen path=\\xc2\\x9b31m \xc3\xa4 \xc2\xa7 \xe2\x82\xac");
    log_event(LOG_INFO, "seen", "path=%s", "\xc2"); // cut off at its end
    assert_string_equal(after_event(), "event=seen path=\xc2");
}

static void long_lines_are_cut_and_say_so(void **state) {
    (void)state;
    char text[5000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    log_event(LOG_INFO, "long", "value=%s", text);
    assert_true(strlen(last) > 1000 && strlen(last) < 4096);
    assert_string_equal(last + strlen(last) - 4, "x...");
    memset(text, '\n', sizeof(text) - 1); // grows fourfold
    log_event(LOG_INFO, "long", "value=%s", text);
    assert_true(strlen(last) < 4096);
    assert_null(strchr(last, '\n'));
}

static void lines_of_one_event_are_limited_and_the_rest_is_counted(void **state) {
    (void)state;
    for (int i = 0; i < LOG_LINES_PER_SECOND + 7; i++) {
        log_event(LOG_INFO, "flooded", "n=%d", i);
        time_now += NS_PER_MS;
    }
    assert_int_equal(lines, LOG_LINES_PER_SECOND);
    log_event(LOG_INFO, "other", "n=%d", 0); // another event is not concerned
    assert_int_equal(lines, LOG_LINES_PER_SECOND + 1);
    time_now += NS_PER_S;
    log_event(LOG_INFO, "flooded", "n=%d", 100);
    assert_string_equal(after_event(), "event=flooded left_out=7 n=100");
    log_event(LOG_INFO, "flooded", "n=%d", 101);
    assert_string_equal(after_event(), "event=flooded n=101");
}

static void the_second_begins_with_its_first_line(void **state) {
    (void)state;
    log_event(LOG_INFO, "steady", "n=%d", 0);
    time_now += NS_PER_S - 1;
    for (int i = 1; i < LOG_LINES_PER_SECOND + 5; i++)
        log_event(LOG_INFO, "steady", "n=%d", i);
    assert_int_equal(lines, LOG_LINES_PER_SECOND);
    time_now += 1;
    log_event(LOG_INFO, "steady", "n=%d", 0);
    assert_int_equal(lines, LOG_LINES_PER_SECOND + 1);
}

static void more_event_names_than_places_still_are_logged(void **state) {
    (void)state;
    static char names[400][32];
    for (int i = 0; i < 400; i++) {
        snprintf(names[i], sizeof(names[i]), "name_%d", i);
        log_event(LOG_INFO, names[i], "n=%d", i);
    }
    assert_int_equal(lines, 400);
}

static void *log_some(void *argument) {
    for (int i = 0; i < 20; i++)
        log_event(LOG_INFO, argument, "a=%s b=%d", "value", i);
    return NULL;
}

static void lines_of_threads_reach_standard_error_whole(void **state) {
    (void)state;
    log_redirect(NULL);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int before = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    static char first[] = "thread_one", second[] = "thread_two";
    pthread_t threads[2];
    assert_int_equal(pthread_create(&threads[0], NULL, log_some, first), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, log_some, second), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    dup2(before, STDERR_FILENO);
    close(before);
    close(ends[1]);

    static char all[16384];
    size_t length = 0;
    ssize_t got;
    while ((got = read(ends[0], all + length, sizeof(all) - 1 - length)) > 0)
        length += (size_t)got;
    close(ends[0]);
    all[length] = '\0';
    unsigned whole = 0;
    for (char *line = strtok(all, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        assert_memory_equal(line, "time=", 5);
        const char *event = strstr(line, "event=thread_");
        assert_non_null(event);
        assert_non_null(strstr(event, " a=value b="));
        whole++;
    }
    assert_int_equal(whole, 40);
}

static void a_full_pipe_loses_lines_and_holds_nobody_up(void **state) {
    (void)state;
    log_redirect(NULL);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_true(fcntl(ends[1], F_SETPIPE_SZ, 4096) >= 4096);
    int before = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    static char value[401];
    memset(value, 'v', sizeof(value) - 1);
    for (int i = 0; i < 40; i++) // would block here
        log_event(LOG_WARN, "full_pipe", "value=%s", value);
    static char all[65536];
    ssize_t length = read(ends[0], all, sizeof(all) - 1);
    log_event(LOG_WARN, "full_pipe", "value=last");
    ssize_t more = read(ends[0], all + length, sizeof(all) - 1 - (size_t)length);
    dup2(before, STDERR_FILENO);
    close(before);
    close(ends[0]);
    close(ends[1]);
    assert_true(length > 0 && more > 0);
    all[length + more] = '\0';
    unsigned whole = 0, left_out = 0;
    for (char *line = strtok(all, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        assert_memory_equal(line, "time=", 5);
        const char *told = strstr(line, "left_out=");
        left_out += told == NULL ? 0 : (unsigned)strtoul(told + 9, NULL, 10);
        whole++;
    }
    assert_true(left_out > 0);
    assert_int_equal(whole + left_out, 41);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void) {
    const struct CMUnitTest tests[] = {
        LOG_TEST(a_line_has_time_level_event_and_values),
        LOG_TEST(lower_levels_are_left_out),
        LOG_TEST(control_characters_cannot_forge_a_line),
        LOG_TEST(long_lines_are_cut_and_say_so),
        LOG_TEST(lines_of_one_event_are_limited_and_the_rest_is_counted),
        LOG_TEST(the_second_begins_with_its_first_line),
        LOG_TEST(more_event_names_than_places_still_are_logged),
        LOG_TEST(lines_of_threads_reach_standard_error_whole),
        LOG_TEST(a_full_pipe_loses_lines_and_holds_nobody_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
