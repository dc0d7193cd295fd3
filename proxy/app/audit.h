// The audit log as the main thread has it: opens it as the documents say, and tells what changes this process: commands of the admin listener, documents,
// certificates, an upgrade, its beginning and end. What requests and connections are refused is told by workers, each by a writer of its own
// (agent/audit_writer.h).
#ifndef APP_AUDIT_H
#define APP_AUDIT_H

#include "admin/admin.h"
#include "agent/audit_writer.h"
#include "app/documents.h"

struct credentials;

struct audit {
    struct audit_writer own;
    struct metric_cell full, nowhere, rate; // losses of the own
    uint32_t worker_count;                  // each a source; the main thread is the last one
    struct line_writer *lines;              // NULL: no documents have wanted one yet. Set before workers hear of the documents that do
    bool tells_changes;
    struct export_queue *records; // of the own, where they are sent; NULL: not now
};

void audit_init(struct audit *audit, struct loop *loop, uint32_t worker_count);

// Before workers hear of `fresh`, which is accepted; `cause` as in struct documents. `before` NULL: they are the first.
void audit_follow(struct audit *audit, const char *cause, const struct snapshot *before, const struct snapshot *fresh);

void audit_reopen(struct audit *audit);

// Where records of the main thread go that are sent; NULL: nowhere.
void audit_send_by(struct audit *audit, struct export_queue *records);

// Written and lost lines. What became of them in the file is of all threads, other losses are of the main thread: workers count their own.
void audit_count(const struct audit *audit, struct worker_metrics *metrics);

// `cause` NULL: none.
void audit_process(struct audit *audit, const char *result, const char *cause);
void audit_upgrade(struct audit *audit, const char *result, uint32_t uid, uint32_t pid);
void audit_admin(struct audit *audit, const struct admin_change *change);

// `before` was in force; NULL: none.
void audit_configuration(struct audit *audit, const struct documents *documents, const struct snapshot *before);

void audit_identity(struct audit *audit, const struct credentials *credentials);
void audit_authorities(struct audit *audit, struct bytes files, const struct credentials *credentials);

// Each of its certificates; `credentials` NULL: there are none to show any more.
void audit_gateway(struct audit *audit, struct bytes socket, const struct credentials *credentials);

// `subject`: what they are of, or the files.
void audit_certificate_refused(struct audit *audit, struct bytes subject, const char *reason);

// What is told from now on is lost. Before records that wait are counted for the last time.
void audit_end(struct audit *audit);

// Behind audit_end: the last lines, until `patience` is over.
void audit_close(struct audit *audit, nanoseconds patience);

#endif
