// The audit log of one thread: each event is told, or counted as lost once and told to be so, in files and in OTLP.
#include "agent/audit_writer.h"

#include "support/check_loop.h"
#include "telemetry/proto/logs.pb-c.h"

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

#define RING ((size_t)16384)
#define QUEUE 16

struct world {
    struct check_loop check;
    struct metric_cell full, nowhere, rate;
    struct audit_writer writer;
    struct mailbox home;
    struct export_queue queue;
    struct export_queue *records; // what the writer looks at
    struct line_writer *lines;
    char path[64];
    char told[64 * 1024]; // "event lines;" of what was told
};

static void on_wake(void *argument) {
    (void)argument;
}

static void on_note(struct note *note) {
    (void)note;
}

static void begin(struct world *world, enum audit_format format) {
    *world = (struct world){.path = "/tmp/outrigger-audit-XXXXXX"};
    check_loop_init(&world->check);
    mailbox_init(&world->home, 4, on_wake, NULL);
    export_queue_init(&world->queue, QUEUE, QUEUE, &world->home, on_note, NULL);
    const struct audit_losses losses = {&world->full, &world->nowhere, &world->rate};
    audit_writer_init(&world->writer, &world->check.loop, losses, 0, &world->records);
    if (format == AUDIT_FORMAT_JSON) {
        close(mkstemp(world->path));
        world->lines = line_writer_create(1, RING, AUDIT_LOG_LINE_MAX, "audit_log_failed");
        line_writer_open(world->lines, world->path);
    } else {
        world->records = &world->queue;
    }
    audit_writer_follow(&world->writer, &(struct audit_log_config){.is_kept = true, .format = format}, world->lines);
}

static void end(struct world *world) {
    if (world->lines != NULL) {
        line_writer_destroy(world->lines, NS_PER_S);
        unlink(world->path);
    }
    export_queue_dispose(&world->queue);
    mailbox_dispose(&world->home);
    check_loop_dispose(&world->check);
}

static void add(struct world *world, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        audit_writer_add(&world->writer, &(struct audit_record){.event = AUDIT_PROCESS, .fields[AUDIT_FIELD_RESULT] = BYTES("ready")});
}

static void refuse_connections(struct world *world, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        audit_writer_add_connection(&world->writer, &(struct access_record){.end = ERROR_TLS_FAILED, .listener = BYTES("in")});
}

// All that waits, as "process;denied;lost 3;".
static const char *taken(struct world *world) {
    static char joined[QUEUE * EXPORT_RECORD_MAX];
    uint32_t records;
    check_loop_settle(&world->check);
    const size_t length = export_queue_take(&world->queue, QUEUE, joined, sizeof joined, &records);
    Otlp__ScopeLogs *logs = otlp__scope_logs__unpack(NULL, length, (const uint8_t *)joined);
    assert_non_null(logs);
    world->told[0] = '\0';
    for (size_t i = 0; i < logs->n_log_records; i++) {
        const Otlp__LogRecord *record = logs->log_records[i];
        const bool is_lost = strcmp(record->event_name, "outrigger.audit.lost") == 0;
        const size_t used = strlen(world->told);
        snprintf(world->told + used, sizeof world->told - used, is_lost ? "%s %lld;" : "%s;", record->event_name + strlen("outrigger.audit."),
                 is_lost ? (long long)record->attributes[0]->value->int_value : 0);
    }
    otlp__scope_logs__free_unpacked(logs, NULL);
    return world->told;
}

static const char *content(struct world *world) {
    int file = open(world->path, O_RDONLY | O_CLOEXEC);
    const ssize_t length = read(file, world->told, sizeof world->told - 1);
    assert_true(file >= 0 && length >= 0);
    close(file);
    world->told[length] = '\0';
    return world->told;
}

static void what_finds_no_room_is_told_once_there_is_some_and_counted_by_the_queue(void **state) {
    (void)state;
    struct world world;
    begin(&world, AUDIT_FORMAT_OTLP);
    add(&world, QUEUE + 3);
    assert_int_equal(metric_read(&world.queue.dropped), 3);
    assert_non_null(strstr(taken(&world), "process;process;"));
    add(&world, 1);
    assert_string_equal(taken(&world), "lost 3;process;");
    add(&world, 1);
    assert_string_equal(taken(&world), "process;");
    assert_int_equal(metric_read(&world.full) + metric_read(&world.nowhere), 0);
    audit_writer_dispose(&world.writer);
    assert_string_equal(taken(&world), "");
    end(&world);
}

static void what_is_sent_nowhere_is_counted_and_told_where_it_goes_somewhere(void **state) {
    (void)state;
    struct world world;
    begin(&world, AUDIT_FORMAT_OTLP);
    world.records = NULL;
    add(&world, 2);
    assert_int_equal(metric_read(&world.nowhere), 2);
    world.records = &world.queue;
    add(&world, 1);
    assert_string_equal(taken(&world), "lost 2;process;");
    audit_writer_dispose(&world.writer);
    end(&world);
}

static void the_last_line_tells_what_was_lost_before_the_end(void **state) {
    (void)state;
    struct world world;
    begin(&world, AUDIT_FORMAT_OTLP);
    add(&world, QUEUE + 2);
    (void)taken(&world);
    audit_writer_dispose(&world.writer);
    assert_string_equal(taken(&world), "lost 2;");
    end(&world);
}

static void refused_connections_are_bounded_in_each_second(void **state) {
    (void)state;
    struct world world;
    begin(&world, AUDIT_FORMAT_JSON);
    check_loop_pass(&world.check, NS_PER_S);
    for (unsigned i = 0; i < AUDIT_CONNECTIONS_PER_SECOND / 10; i++) {
        refuse_connections(&world, 10);
        check_loop_settle(&world.check); // what is added is published
        while (metric_read(&line_writer_counters(world.lines, 0)->written) < 10 * (i + 1))
            sched_yield();
    }
    refuse_connections(&world, 5);
    assert_int_equal(metric_read(&world.rate), 5);
    check_loop_pass(&world.check, NS_PER_S);
    refuse_connections(&world, 1);
    assert_int_equal(metric_read(&world.rate), 5);
    audit_writer_dispose(&world.writer);
    line_writer_destroy(world.lines, NS_PER_S);
    world.lines = NULL;
    assert_non_null(strstr(content(&world), "\"event\":\"lost\",\"lines\":5}\n{"));
    assert_non_null(strstr(world.told, "\"event\":\"denied\",\"listener\":\"in\",\"end\":\"tls_failed\"}\n"));
    unlink(world.path);
    end(&world);
}

// What is not published yet nobody takes: the ring is full for sure.
static void lines_that_a_file_has_no_room_for_are_told_in_it(void **state) {
    (void)state;
    struct world world;
    begin(&world, AUDIT_FORMAT_JSON);
    unsigned added = 0;
    for (; metric_read(&world.full) == 0; added++)
        add(&world, 1);
    add(&world, 6);
    assert_int_equal(metric_read(&world.full), 7);
    check_loop_settle(&world.check);
    while (metric_read(&line_writer_counters(world.lines, 0)->written) < added - 1)
        sched_yield();
    audit_writer_follow(&world.writer, &(struct audit_log_config){.is_kept = false}, NULL);
    add(&world, 1);
    line_writer_destroy(world.lines, NS_PER_S);
    world.lines = NULL;
    const char *const last = strstr(content(&world), "\"event\":\"lost\",\"lines\":7}\n");
    assert_non_null(last);
    assert_string_equal(last, "\"event\":\"lost\",\"lines\":7}\n");
    unlink(world.path);
    audit_writer_dispose(&world.writer);
    end(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_finds_no_room_is_told_once_there_is_some_and_counted_by_the_queue),
        cmocka_unit_test(what_is_sent_nowhere_is_counted_and_told_where_it_goes_somewhere),
        cmocka_unit_test(the_last_line_tells_what_was_lost_before_the_end),
        cmocka_unit_test(refused_connections_are_bounded_in_each_second),
        cmocka_unit_test(lines_that_a_file_has_no_room_for_are_told_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
