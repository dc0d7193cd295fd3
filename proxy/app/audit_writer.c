// Lines of the audit log on their way into this thread's ring: see audit_writer.h.
#include "app/audit_writer.h"

#include "telemetry/log_record.h"

static void publish(struct task *task) {
    struct audit_writer *writer = CONTAINER_OF(task, struct audit_writer, publish);
    if (writer->lines != NULL)
        line_writer_publish(writer->lines, writer->source);
    if (*writer->records != NULL)
        export_queue_publish(*writer->records);
}

void audit_writer_init(struct audit_writer *writer, struct loop *loop, struct metric_cell *dropped, uint32_t source,
                       struct export_queue *const *records) {
    *writer = (struct audit_writer){.loop = loop, .dropped = dropped, .source = source, .records = records};
    task_init(&writer->publish, publish);
}

void audit_writer_follow(struct audit_writer *writer, const struct audit_log_config *config, struct line_writer *lines) {
    publish(&writer->publish); // what was written before
    writer->is_kept = config->is_kept;
    writer->lines = config->is_kept && config->format == AUDIT_FORMAT_JSON ? lines : NULL;
}

// A queue counts itself what finds no room in it; where there is none nothing is sent.
static bool send_record(struct audit_writer *writer, const struct audit_record *record) {
    char *room = *writer->records == NULL ? NULL : export_queue_room(*writer->records);
    if (room != NULL)
        export_queue_add(*writer->records, log_record_of_audit(record, room));
    return room != NULL;
}

// False: there is no room.
static bool add(struct audit_writer *writer, const struct audit_record *record) {
    if (writer->lines == NULL)
        return send_record(writer, record);
    struct line_ring *ring = line_writer_ring(writer->lines, writer->source);
    char *line = line_ring_room(ring);
    if (line != NULL)
        line_ring_add(ring, audit_log_format(record, line, AUDIT_LOG_LINE_MAX));
    return line != NULL;
}

// What is missing stands where it is missing. False: there is no room for that either.
static bool tell_lost(struct audit_writer *writer, nanoseconds wall) {
    char digits[AUDIT_NUMBER_MAX];
    const struct audit_record lost = {.wall = wall, .event = AUDIT_LOST, .fields[AUDIT_FIELD_LINES] = audit_number(writer->lost, digits)};
    return writer->lost == 0 || add(writer, &lost);
}

void audit_writer_add(struct audit_writer *writer, const struct audit_record *record) {
    if (!writer->is_kept)
        return;
    const bool told = tell_lost(writer, record->wall);
    writer->lost = told ? 0 : writer->lost;
    if (!told || !add(writer, record)) {
        writer->lost++;
        metric_add(writer->dropped, 1);
    }
    loop_flush(writer->loop, &writer->publish);
}

void audit_writer_add_request(void *user, const struct access_record *request) {
    char status[AUDIT_NUMBER_MAX];
    const struct audit_record record = audit_of_request(request, status);
    audit_writer_add(user, &record);
}

void audit_writer_dispose(struct audit_writer *writer) {
    task_cancel(&writer->publish);
    publish(&writer->publish);
}
