// What the main thread tells of changes. See audit.h.
#include "app/audit.h"

#include "net/tls.h"

void audit_init(struct audit *audit, struct loop *loop, uint32_t worker_count) {
    *audit = (struct audit){.worker_count = worker_count};
    const struct audit_losses losses = {&audit->full, &audit->nowhere, &audit->rate};
    audit_writer_init(&audit->own, loop, losses, worker_count, &audit->records);
}

void audit_follow(struct audit *audit, const struct snapshot *before, const struct snapshot *fresh) {
    const struct audit_log_config *config = &fresh->proxy.telemetry.audit_log;
    const struct bytes open = before == NULL ? BYTES_NONE : before->proxy.telemetry.audit_log.path;
    const bool is_wanted = config->path.len > 0; // as a file
    audit->tells_changes = config->changes;
    if (is_wanted && audit->lines == NULL)
        audit->lines = line_writer_create(audit->worker_count + 1, AUDIT_RING_BYTES, AUDIT_LOG_LINE_MAX, "audit_log_failed");
    if (is_wanted && !bytes_equal(open, config->path))
        line_writer_open(audit->lines, config->path.at);
    audit_writer_follow(&audit->own, config, audit->lines);
}

void audit_send_by(struct audit *audit, struct export_queue *records) {
    if (audit->records != NULL)
        export_queue_publish(audit->records); // what was added to one that goes
    audit->records = records;
}

void audit_reopen(struct audit *audit) {
    if (audit->lines != NULL)
        line_writer_reopen(audit->lines);
}

void audit_count(const struct audit *audit, struct worker_metrics *metrics) {
    metric_add(&metrics->audit_dropped, metric_read(&audit->full));
    metric_add(&metrics->audit_nowhere, metric_read(&audit->nowhere));
    for (uint32_t i = 0; audit->lines != NULL && i <= audit->worker_count; i++) {
        const struct line_counters *lines = line_writer_counters(audit->lines, i);
        metric_add(&metrics->audit_written, metric_read(&lines->written));
        metric_add(&metrics->audit_failed, metric_read(&lines->failed));
    }
}

static void add(struct audit *audit, struct audit_record *record) {
    record->wall = loop_wall(audit->own.loop);
    if (audit->tells_changes)
        audit_writer_add(&audit->own, record);
}

void audit_process(struct audit *audit, const char *result) {
    add(audit, &(struct audit_record){.event = AUDIT_PROCESS, .fields[AUDIT_FIELD_RESULT] = bytes_from_text(result)});
    if (audit->records != NULL)
        export_queue_publish(audit->records); // the process may end before its loop turns again
}

void audit_admin(struct audit *audit, const struct admin_change *change) {
    char status[AUDIT_NUMBER_MAX], uid[AUDIT_NUMBER_MAX], pid[AUDIT_NUMBER_MAX];
    const bool is_done = change->status < 400; // also where whoever asked has not waited for the answer
    add(audit, &(struct audit_record){
                   .event = AUDIT_ADMIN,
                   .fields =
                       {
                           [AUDIT_FIELD_RESULT] = is_done ? BYTES("done") : BYTES("refused"),
                           [AUDIT_FIELD_STATUS] = change->status != 0 ? audit_number(change->status, status) : BYTES_NONE,
                           [AUDIT_FIELD_PAGE] = change->page,
                           [AUDIT_FIELD_ARGUMENTS] = change->arguments,
                           [AUDIT_FIELD_LISTENER] = BYTES("admin"),
                           [AUDIT_FIELD_PEER] = change->peer,
                           [AUDIT_FIELD_UID] = change->has_process ? audit_number(change->uid, uid) : BYTES_NONE,
                           [AUDIT_FIELD_PID] = change->has_process ? audit_number(change->pid, pid) : BYTES_NONE,
                       },
               });
}

void audit_configuration(struct audit *audit, const struct documents *documents) {
    char generation[AUDIT_NUMBER_MAX], errors[AUDIT_NUMBER_MAX];
    const bool is_good = documents->errors.count == 0;
    add(audit, &(struct audit_record){
                   .event = AUDIT_CONFIGURATION,
                   .fields =
                       {
                           [AUDIT_FIELD_RESULT] = is_good ? BYTES("accepted") : BYTES("refused"),
                           [AUDIT_FIELD_CAUSE] = bytes_from_text(documents->cause),
                           [AUDIT_FIELD_GENERATION] = audit_number(documents->generation, generation),
                           [AUDIT_FIELD_REASON] = is_good ? BYTES_NONE : bytes_from_text(documents->errors.lines[0]),
                           [AUDIT_FIELD_ERRORS] = is_good ? BYTES_NONE : audit_number(documents->errors.count, errors),
                       },
               });
}

void audit_identity(struct audit *audit, const struct credentials *credentials) {
    char generation[AUDIT_NUMBER_MAX];
    add(audit, &(struct audit_record){
                   .event = AUDIT_CERTIFICATE,
                   .fields =
                       {
                           [AUDIT_FIELD_RESULT] = BYTES("loaded"),
                           [AUDIT_FIELD_GENERATION] = audit_number(credentials_generation(credentials), generation),
                           [AUDIT_FIELD_SUBJECT] = credentials_id(credentials)->text,
                           [AUDIT_FIELD_SERIAL] = bytes_from_text(credentials_serial(credentials)),
                       },
               });
}

void audit_gateway_certificates(struct audit *audit, struct bytes socket) {
    add(audit,
        &(struct audit_record){.event = AUDIT_CERTIFICATE, .fields = {[AUDIT_FIELD_RESULT] = BYTES("loaded"), [AUDIT_FIELD_SUBJECT] = socket}});
}

void audit_close(struct audit *audit, nanoseconds patience) {
    audit_writer_dispose(&audit->own);
    if (audit->lines != NULL)
        line_writer_destroy(audit->lines, patience);
    audit->lines = NULL;
}
