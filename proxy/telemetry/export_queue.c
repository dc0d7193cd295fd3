// A ring of bytes, and beside it how many records they are. See export_queue.h.
#include "telemetry/export_queue.h"

#include "base/check.h"

#include <string.h>

#define RECORD_BYTES_USUAL 512
#define VARINT_BYTES_MAX 5 // of a length that is below EXPORT_RECORD_MAX, however padded

static size_t ring_size(uint32_t records_max) {
    size_t size = (size_t)EXPORT_RECORD_MAX * 4;
    while (size < (size_t)records_max * RECORD_BYTES_USUAL)
        size *= 2;
    return size;
}

void export_queue_init(struct export_queue *queue, uint32_t records_max, uint32_t batch, struct mailbox *home, void (*on_note)(struct note *note),
                       void *user) {
    CHECK(batch > 0 && batch <= records_max);
    *queue = (struct export_queue){.records_max = records_max, .batch = batch, .home = home, .user = user};
    line_ring_init(&queue->ring, ring_size(records_max), EXPORT_RECORD_MAX);
    note_init(&queue->note, on_note);
}

void export_queue_dispose(struct export_queue *queue) {
    mailbox_withdraw_note(queue->home, &queue->note);
    line_ring_dispose(&queue->ring);
}

static char *room_below(struct export_queue *queue, uint64_t records_max, size_t bytes_max) {
    const uint64_t records = queue->added - atomic_load_explicit(&queue->taken, memory_order_acquire);
    const uint64_t bytes = queue->ring.added - atomic_load_explicit(&queue->ring.taken, memory_order_acquire);
    char *room = records >= records_max || bytes > bytes_max ? NULL : line_ring_room(&queue->ring);
    if (room == NULL)
        metric_add(&queue->dropped, 1);
    return room;
}

char *export_queue_room(struct export_queue *queue) {
    return room_below(queue, queue->records_max, queue->ring.size);
}

char *export_queue_spare_room(struct export_queue *queue) {
    const uint32_t records_kept = queue->records_max == 1 ? 0 : (queue->records_max + EXPORT_RESERVE_SHARE - 1) / EXPORT_RESERVE_SHARE;
    const size_t bytes_kept = queue->ring.line_max + queue->ring.size / EXPORT_RESERVE_SHARE; // the ring asks for room for the longest itself
    return room_below(queue, queue->records_max - records_kept, queue->ring.size - bytes_kept);
}

void export_queue_add(struct export_queue *queue, size_t length) {
    CHECK(length >= 2);
    line_ring_add(&queue->ring, length);
    queue->added++;
    metric_add(&queue->queued, 1);
}

static bool is_short(const struct export_queue *queue, size_t waiting) {
    return waiting >= queue->ring.size / 2;
}

void export_queue_publish(struct export_queue *queue) {
    const size_t waiting = line_ring_publish(&queue->ring); // before the count: whoever sees that sees these bytes
    const bool has_become_short = is_short(queue, waiting) && !queue->told_of_room;
    atomic_store_explicit(&queue->published, queue->added, memory_order_release);
    queue->told_of_room = is_short(queue, waiting);
    if (queue->added - queue->told < atomic_load_explicit(&queue->batch, memory_order_relaxed) && !has_become_short)
        return;
    queue->told = queue->added;
    mailbox_leave_note(queue->home, &queue->note);
}

void export_queue_let_go(struct export_queue *queue) {
    export_queue_publish(queue);
    atomic_fetch_add_explicit(&queue->let_gos, 1, memory_order_release);
    mailbox_leave_note(queue->home, &queue->note);
}

void export_queue_give(struct export_queue *queue) {
    queue->gives++;
}

void export_queue_set_batch(struct export_queue *queue, uint32_t batch) {
    CHECK(batch > 0 && batch <= queue->records_max);
    atomic_store_explicit(&queue->batch, batch, memory_order_relaxed);
}

bool export_queue_is_free(const struct export_queue *queue) {
    return atomic_load_explicit(&queue->let_gos, memory_order_acquire) == queue->gives;
}

void export_queue_release(struct export_queue *queue) {
    CHECK(export_queue_is_free(queue) && export_queue_waiting(queue) == 0);
    line_ring_release(&queue->ring);
}

uint64_t export_queue_waiting(const struct export_queue *queue) {
    return atomic_load_explicit(&queue->published, memory_order_acquire) - atomic_load_explicit(&queue->taken, memory_order_relaxed);
}

bool export_queue_is_short_of_room(const struct export_queue *queue) {
    return is_short(queue, line_ring_waiting(&queue->ring));
}

// The length of the record that begins at `from`; 0: not all of it is there.
static size_t record_length(const char *from, size_t size) {
    size_t content = 0;
    for (size_t at = 1; at < size; at++) {
        CHECK(at <= VARINT_BYTES_MAX); // our own encoders write them
        const unsigned char byte = (unsigned char)from[at];
        content |= (size_t)(byte & 0x7F) << (7 * (at - 1));
        if ((byte & 0x80) != 0)
            continue;
        const size_t length = at + 1 + content;
        CHECK(length <= EXPORT_RECORD_MAX);
        return length <= size ? length : 0;
    }
    return 0;
}

size_t export_queue_take(struct export_queue *queue, uint32_t records_most, char *to, size_t size, uint32_t *records) {
    CHECK(size >= EXPORT_RECORD_MAX);
    const uint64_t waiting = export_queue_waiting(queue);
    const uint32_t most = waiting < records_most ? (uint32_t)waiting : records_most;
    struct iovec pieces[2];
    size_t copied = 0;
    size_t taken = 0;
    const int count = line_ring_front(&queue->ring, size, pieces);
    for (int i = 0; i < count; i++) {
        memcpy(to + copied, pieces[i].iov_base, pieces[i].iov_len);
        copied += pieces[i].iov_len;
    }
    for (*records = 0; *records < most; ++*records) {
        const size_t length = record_length(to + taken, copied - taken);
        if (length == 0)
            break;
        taken += length;
    }
    line_ring_take(&queue->ring, taken);
    // Behind the bytes: whoever sees that there is place for a record may find no room for its bytes, never the other way.
    atomic_store_explicit(&queue->taken, atomic_load_explicit(&queue->taken, memory_order_relaxed) + *records, memory_order_release);
    return taken;
}
