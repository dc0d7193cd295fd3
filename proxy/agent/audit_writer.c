// Lines of the audit log on their way into this thread's ring: see audit_writer.h.
#include "agent/audit_writer.h"

#include "telemetry/log_record.h"

static void publish(struct task *task) {
    struct audit_writer *writer = CONTAINER_OF(task, struct audit_writer, publish);
    if (writer->lines != NULL)
        line_writer_publish(writer->lines, writer->source);
    if (*writer->records != NULL)
        export_queue_publish(*writer->records);
}

void audit_writer_init(struct audit_writer *writer, struct loop *loop, struct audit_losses losses, uint32_t source,
                       struct export_queue *const *records) {
    *writer = (struct audit_writer){.loop = loop, .losses = losses, .source = source, .records = records};
    task_init(&writer->publish, publish);
}

// ---- one record; false: it is lost, and was counted

static bool send_record(struct audit_writer *writer, const struct audit_record *record) {
    struct export_queue *queue = *writer->records;
    if (queue == NULL) {
        metric_add(writer->losses.nowhere, 1);
        return false;
    }
    char *room = export_queue_room(queue);
    if (room != NULL)
        export_queue_add(queue, log_record_of_audit(record, room));
    return room != NULL;
}

static bool write_line(struct audit_writer *writer, const struct audit_record *record) {
    struct line_ring *ring = line_writer_ring(writer->lines, writer->source);
    char *line = line_ring_room(ring);
    if (line != NULL)
        line_ring_add(ring, audit_log_format(record, line, AUDIT_LOG_LINE_MAX));
    else
        metric_add(writer->losses.full, 1);
    return line != NULL;
}

static bool add(struct audit_writer *writer, const struct audit_record *record) {
    return writer->lines != NULL ? write_line(writer, record) : send_record(writer, record);
}

// What is missing stands where it is missing.
static bool tell_lost(struct audit_writer *writer, nanoseconds wall) {
    char digits[AUDIT_NUMBER_MAX];
    const struct audit_record lost = {.wall = wall, .event = AUDIT_LOST, .fields[AUDIT_FIELD_LINES] = audit_number(writer->lost, digits)};
    if (writer->lost == 0)
        return true;
    if (!add(writer, &lost))
        return false;
    writer->lost = 0;
    return true;
}

void audit_writer_add(struct audit_writer *writer, const struct audit_record *record) {
    if (!writer->is_kept)
        return;
    if (!tell_lost(writer, record->wall) || !add(writer, record))
        writer->lost++;
    loop_flush(writer->loop, &writer->publish);
}

void audit_writer_add_request(void *user, const struct access_record *request) {
    char status[AUDIT_NUMBER_MAX];
    const struct audit_record record = audit_of_request(request, status);
    audit_writer_add(user, &record);
}

static bool is_beyond_rate(struct audit_writer *writer) {
    const nanoseconds now = writer->loop->now;
    if (now - writer->second_begun >= NS_PER_S) {
        writer->second_begun = now;
        writer->connections = 0;
    }
    return writer->connections++ >= AUDIT_CONNECTIONS_PER_SECOND;
}

void audit_writer_add_connection(void *user, const struct access_record *record) {
    struct audit_writer *writer = user;
    if (!writer->is_kept || !is_beyond_rate(writer)) {
        audit_writer_add_request(writer, record);
        return;
    }
    metric_add(writer->losses.rate, 1);
    writer->lost++;
}

// ---- beginning and end

// Behind this line there may be none.
static void end(struct audit_writer *writer) {
    if (writer->is_kept && !tell_lost(writer, loop_wall(writer->loop)))
        writer->lost++; // this line too
    publish(&writer->publish);
}

void audit_writer_follow(struct audit_writer *writer, const struct audit_log_config *config, struct line_writer *lines) {
    struct line_writer *const next = config->is_kept && config->format == AUDIT_FORMAT_JSON ? lines : NULL;
    if (writer->is_kept != config->is_kept || writer->lines != next)
        end(writer);
    writer->is_kept = config->is_kept;
    writer->lines = next;
}

void audit_writer_dispose(struct audit_writer *writer) {
    task_cancel(&writer->publish);
    end(writer);
}
