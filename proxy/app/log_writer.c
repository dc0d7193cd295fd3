// Lines of the access log on their way into this worker's ring: see log_writer.h.
#include "app/log_writer.h"

#include "base/check.h"
#include "telemetry/log_record.h"

#include <unistd.h>

static void publish(struct task *task) {
    struct log_writer *writer = CONTAINER_OF(task, struct log_writer, publish);
    line_writer_publish(writer->lines, writer->source);
}

void log_writer_init(struct log_writer *writer, struct loop *loop, struct worker_metrics *metrics, struct line_writer *lines, uint32_t source) {
    *writer = (struct log_writer){.loop = loop, .metrics = metrics, .lines = lines, .source = source};
    task_init(&writer->publish, publish);
}

void log_writer_send_by(struct log_writer *writer, struct export_queue *const *records, struct task *publish_records) {
    writer->records = records;
    writer->publish_records = publish_records;
}

void log_writer_apply(struct log_writer *writer, const struct telemetry_config *telemetry) {
    const struct access_log_config *config = &telemetry->access_log;
    struct bytes wrong;
    bytes_drop(&writer->text);
    writer->has_form = config->format == LOG_FORMAT_TEXT;
    writer->is_sent = config->format == LOG_FORMAT_OTLP;
    writer->gives_way = telemetry->audit_log.format == AUDIT_FORMAT_OTLP;
    if (!writer->has_form)
        return;
    writer->text = bytes_keep(config->template);
    bool good = access_template_parse(writer->text, &writer->form, &wrong);
    CHECK(good); // config has tried it
    if (gethostname(writer->host_name, sizeof writer->host_name) == 0)
        writer->form.host_name = bytes_from(writer->host_name, strnlen(writer->host_name, sizeof writer->host_name));
}

// What finds no room the queue counts. There is none as long as nobody has said where records go.
static void send_record(struct log_writer *writer, const struct access_record *record) {
    struct export_queue *queue = *writer->records;
    if (queue == NULL) {
        metric_add(&writer->metrics->log_nowhere, 1);
        return;
    }
    char *room = writer->gives_way ? export_queue_spare_room(queue) : export_queue_room(queue);
    if (room == NULL)
        return;
    export_queue_add(queue, log_record_of_access(record, room));
    loop_flush(writer->loop, writer->publish_records);
}

void log_writer_write(void *user, const struct access_record *record) {
    struct log_writer *writer = user;
    if (writer->is_sent) {
        send_record(writer, record);
        return;
    }
    struct line_ring *ring = line_writer_ring(writer->lines, writer->source);
    char *line = line_ring_room(ring);
    if (line == NULL) {
        metric_add(&writer->metrics->log_dropped, 1);
        return;
    }
    line_ring_add(ring, writer->has_form ? access_log_format_text(&writer->form, record, line, ACCESS_LOG_LINE_MAX)
                                         : access_log_format(record, line, ACCESS_LOG_LINE_MAX));
    loop_flush(writer->loop, &writer->publish);
}

void log_writer_dispose(struct log_writer *writer) {
    task_cancel(&writer->publish);
    publish(&writer->publish);
    bytes_drop(&writer->text);
}
