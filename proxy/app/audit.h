// The audit log as the main thread has it: opens it as the documents say, and tells what changes this process: commands of the admin listener, documents, certificates, its beginning and end.
// What requests are refused is told by workers, each by a writer of its own (agent/audit_writer.h).
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

// Before workers hear of `fresh`. `before` NULL: they are the first.
void audit_follow(struct audit *audit, const struct snapshot *before, const struct snapshot *fresh);

void audit_reopen(struct audit *audit);

// Where records of the main thread go that are sent; NULL: nowhere.
void audit_send_by(struct audit *audit, struct export_queue *records);

// Written and lost lines of all threads, but those for which there was no room, which workers count themselves.
void audit_count(const struct audit *audit, struct worker_metrics *metrics);

void audit_process(struct audit *audit, const char *result);
void audit_admin(struct audit *audit, const struct admin_change *change);
void audit_configuration(struct audit *audit, const struct documents *documents);
void audit_identity(struct audit *audit, const struct credentials *credentials);
void audit_gateway_certificates(struct audit *audit, struct bytes socket);

// The last lines, until `patience` is over.
void audit_close(struct audit *audit, nanoseconds patience);

#endif
