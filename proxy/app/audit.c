// What the main thread tells of changes. See audit.h.
#include "app/audit.h"

#include "config/document_changes.h"
#include "net/tls.h"

#include <stdio.h>

void audit_init(struct audit *audit, struct loop *loop, uint32_t worker_count) {
    *audit = (struct audit){.worker_count = worker_count};
    const struct audit_losses losses = {&audit->full, &audit->nowhere, &audit->rate};
    audit_writer_init(&audit->own, loop, losses, worker_count, &audit->records);
}

static void add(struct audit *audit, struct audit_record *record) {
    record->wall = loop_wall(audit->own.loop);
    if (audit->tells_changes)
        audit_writer_add(&audit->own, record);
}

static struct bytes text_of(const char *text) {
    return text == NULL ? BYTES_NONE : bytes_from_text(text);
}

static void add_accepted(struct audit *audit, const char *cause, const struct snapshot *before, const struct snapshot *fresh) {
    char generation[AUDIT_NUMBER_MAX], added[AUDIT_NUMBER_MAX], changed[AUDIT_NUMBER_MAX], removed[AUDIT_NUMBER_MAX], fingerprint[17];
    struct document_changes changes;
    document_changes_find(before, fresh, &changes);
    snprintf(fingerprint, sizeof fingerprint, "%016llx", (unsigned long long)changes.fingerprint);
    add(audit, &(struct audit_record){.event = AUDIT_CONFIGURATION,
                                      .fields = {[AUDIT_FIELD_RESULT] = BYTES("accepted"),
                                                 [AUDIT_FIELD_CAUSE] = text_of(cause),
                                                 [AUDIT_FIELD_GENERATION] = audit_number(fresh->generation, generation),
                                                 [AUDIT_FIELD_ADDED] = audit_number(changes.added, added),
                                                 [AUDIT_FIELD_CHANGED] = audit_number(changes.changed, changed),
                                                 [AUDIT_FIELD_REMOVED] = audit_number(changes.removed, removed),
                                                 [AUDIT_FIELD_DOCUMENTS] = bytes_from(changes.names, changes.names_length),
                                                 [AUDIT_FIELD_FINGERPRINT] = text_of(fingerprint)}});
}

void audit_follow(struct audit *audit, const char *cause, const struct snapshot *before, const struct snapshot *fresh) {
    const struct audit_log_config *config = &fresh->proxy.telemetry.audit_log;
    const struct bytes open = before == NULL ? BYTES_NONE : before->proxy.telemetry.audit_log.path;
    const bool is_wanted = config->path.len > 0; // as a file
    if (audit->tells_changes && !config->changes)
        add_accepted(audit, cause, before, fresh); // who ends it is the last that it tells
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

// ---- the process, and who commands it

void audit_process(struct audit *audit, const char *result, const char *cause) {
    add(audit,
        &(struct audit_record){.event = AUDIT_PROCESS, .fields = {[AUDIT_FIELD_RESULT] = text_of(result), [AUDIT_FIELD_CAUSE] = text_of(cause)}});
    if (audit->records != NULL)
        export_queue_publish(audit->records); // the process may end before its loop turns again
}

void audit_upgrade(struct audit *audit, const char *result, uint32_t uid, uint32_t pid) {
    char uid_digits[AUDIT_NUMBER_MAX], pid_digits[AUDIT_NUMBER_MAX];
    add(audit, &(struct audit_record){.event = AUDIT_UPGRADE,
                                      .fields = {[AUDIT_FIELD_RESULT] = text_of(result),
                                                 [AUDIT_FIELD_UID] = audit_number(uid, uid_digits),
                                                 [AUDIT_FIELD_PID] = audit_number(pid, pid_digits)}});
}

void audit_admin(struct audit *audit, const struct admin_change *change) {
    char status[AUDIT_NUMBER_MAX], uid[AUDIT_NUMBER_MAX], pid[AUDIT_NUMBER_MAX];
    add(audit, &(struct audit_record){
                   .event = AUDIT_ADMIN,
                   .fields =
                       {
                           [AUDIT_FIELD_RESULT] = change->status == 0    ? BYTES("unknown")
                                                  : change->status < 400 ? BYTES("done")
                                                                         : BYTES("refused"),
                           [AUDIT_FIELD_STATUS] = change->status != 0 ? audit_number(change->status, status) : BYTES_NONE,
                           [AUDIT_FIELD_PAGE] = change->page,
                           [AUDIT_FIELD_ARGUMENTS] = change->arguments,
                           [AUDIT_FIELD_LISTENER] = BYTES("admin"),
                           [AUDIT_FIELD_METHOD] = change->method,
                           [AUDIT_FIELD_AUTHORITY] = change->authority,
                           [AUDIT_FIELD_PEER] = change->peer,
                           [AUDIT_FIELD_UID] = change->has_process ? audit_number(change->uid, uid) : BYTES_NONE,
                           [AUDIT_FIELD_PID] = change->has_process ? audit_number(change->pid, pid) : BYTES_NONE,
                       },
               });
}

// ---- documents

static void add_refused(struct audit *audit, const struct documents *documents) {
    char generation[AUDIT_NUMBER_MAX], errors[AUDIT_NUMBER_MAX];
    add(audit, &(struct audit_record){.event = AUDIT_CONFIGURATION,
                                      .fields = {[AUDIT_FIELD_RESULT] = BYTES("refused"),
                                                 [AUDIT_FIELD_CAUSE] = text_of(documents->cause),
                                                 [AUDIT_FIELD_GENERATION] = audit_number(documents->generation, generation),
                                                 [AUDIT_FIELD_REASON] = text_of(documents->errors.lines[0]),
                                                 [AUDIT_FIELD_ERRORS] = audit_number(documents->errors.count, errors)}});
}

void audit_configuration(struct audit *audit, const struct documents *documents, const struct snapshot *before) {
    if (!audit->tells_changes)
        return;
    if (documents->errors.count > 0)
        add_refused(audit, documents);
    else
        add_accepted(audit, documents->cause, before, documents->snapshot);
}

// ---- certificates

static void add_certificate(struct audit *audit, const char *result, struct bytes subject, const char *serial,
                            const struct credentials *credentials) {
    char generation[AUDIT_NUMBER_MAX];
    const struct bytes number = credentials == NULL ? BYTES_NONE : audit_number(credentials_generation(credentials), generation);
    add(audit, &(struct audit_record){.event = AUDIT_CERTIFICATE,
                                      .fields = {[AUDIT_FIELD_RESULT] = text_of(result),
                                                 [AUDIT_FIELD_GENERATION] = number,
                                                 [AUDIT_FIELD_SUBJECT] = subject,
                                                 [AUDIT_FIELD_SERIAL] = text_of(serial)}});
}

void audit_identity(struct audit *audit, const struct credentials *credentials) {
    add_certificate(audit, "loaded", credentials_id(credentials)->text, credentials_serial(credentials), credentials);
}

void audit_authorities(struct audit *audit, struct bytes files, const struct credentials *credentials) {
    add_certificate(audit, "loaded", files, NULL, credentials);
}

void audit_gateway(struct audit *audit, struct bytes socket, const struct credentials *credentials) {
    struct tls_edge_leaf leaf;
    if (credentials == NULL)
        add_certificate(audit, "withdrawn", socket, NULL, NULL);
    for (uint32_t i = 0; credentials != NULL && i < credentials_edge_count(credentials); i++)
        if (credentials_edge_leaf(credentials, i, &leaf))
            add_certificate(audit, "loaded", socket, leaf.serial, credentials);
}

void audit_certificate_refused(struct audit *audit, struct bytes subject, const char *reason) {
    add(audit, &(struct audit_record){
                   .event = AUDIT_CERTIFICATE,
                   .fields = {[AUDIT_FIELD_RESULT] = BYTES("refused"), [AUDIT_FIELD_SUBJECT] = subject, [AUDIT_FIELD_REASON] = text_of(reason)}});
}

void audit_end(struct audit *audit) {
    audit_writer_dispose(&audit->own);
}

void audit_close(struct audit *audit, nanoseconds patience) {
    if (audit->lines != NULL)
        line_writer_destroy(audit->lines, patience);
    audit->lines = NULL;
}
