// What one thread tells (a worker of requests: finished spans, records of its log; the main thread of the audit log) on its way to the exporter on the main thread: a bounded queue of encoded records, with no lock.
// Neither side ever waits: a record that finds no room is dropped and counted.
//
// A record is one field of a protobuf message in its final form: a tag of one byte, its length as a varint (which may be padded), its content. So the records of all workers
// are joined as they are, and nothing is encoded twice.
//
// Owner:      who made it. Between export_queue_init and export_queue_dispose one thread writes and one reads.
// Callbacks:  `on_note` of export_queue_init, on the reader's thread: a full batch more was added since it was last called, or the queue has become half full.
// Memory:     the ring's pages are touched as records go through.
#ifndef TELEMETRY_EXPORT_QUEUE_H
#define TELEMETRY_EXPORT_QUEUE_H

#include "base/line_ring.h"
#include "base/mailbox.h"
#include "base/metric_cell.h"

#include <stdbool.h>

// The longest record, with tag and length. What makes one longer is cut by whoever encodes it.
#define EXPORT_RECORD_MAX 8192

struct export_queue {
    struct line_ring ring;
    uint32_t records_max;   // that wait at a time
    _Atomic uint32_t batch; // the reader's
    struct mailbox *home;   // of the reader's thread
    struct note note;
    void *user;     // the reader's own
    uint32_t gives; // to a writer; the reader's
    // The writer's.
    uint64_t added;             // records
    _Atomic uint32_t let_gos;   // how often it was let go
    uint64_t told;              // `added` when the reader was last told
    bool told_of_room;          // that there is not much left
    struct metric_cell queued;  // records ever added
    struct metric_cell dropped; // for which there was no room
    _Atomic uint64_t published; // records that the reader may see
    _Atomic uint64_t taken;     // records; the reader's
};

// Room for `records_max` records of usual length (some 512 bytes); `batch` is at most as many, and at least 1: export_queue_set_batch.
void export_queue_init(struct export_queue *queue, uint32_t records_max, uint32_t batch, struct mailbox *home, void (*on_note)(struct note *note),
                       void *user);

// The reader's thread, when nobody writes any more. What waits is lost: who counts takes it first.
void export_queue_dispose(struct export_queue *queue);

// --- the writer's thread ---

// Room for EXPORT_RECORD_MAX bytes, in which a record is written in place. NULL: there is none, and the record counts as dropped.
char *export_queue_room(struct export_queue *queue);

// The same for a record that gives way to others in this queue: the last part of the queue, one in so many of its records (of few the last, unless that is
// the only one) and bytes, is kept for theirs.
#define EXPORT_RESERVE_SHARE 8
char *export_queue_spare_room(struct export_queue *queue);

// The record of `length` bytes was written to export_queue_room.
void export_queue_add(struct export_queue *queue, size_t length);

// What was added can be read: once a turn of the loop, however many there are. Tells the reader where a batch is full, or half of the room is taken.
void export_queue_publish(struct export_queue *queue);

// Nothing is written any more. Tells the reader.
void export_queue_let_go(struct export_queue *queue);

// --- the reader's thread ---

// It is about to be given to a writer, who lets it go some time.
void export_queue_give(struct export_queue *queue);

// From how many more records on the reader is told.
void export_queue_set_batch(struct export_queue *queue, uint32_t batch);

// Whoever had it has let it go.
bool export_queue_is_free(const struct export_queue *queue);

// It is free and nothing waits: gives back the memory that records have touched.
void export_queue_release(struct export_queue *queue);

// Records that wait.
uint64_t export_queue_waiting(const struct export_queue *queue);

// Half of its bytes are taken.
bool export_queue_is_short_of_room(const struct export_queue *queue);

// Moves whole records, the oldest first, to `to`: at most `records_most` that are together at most `size` bytes (EXPORT_RECORD_MAX or more, so that there is always progress).
// Returns how many bytes; *records: how many records.
size_t export_queue_take(struct export_queue *queue, uint32_t records_most, char *to, size_t size, uint32_t *records);

#endif
