// See fake_transport.h. One task per transport tells what is due, in the order in which a socket would: made, room to write, bytes, the end.
#include "support/fake_transport.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/poison.h"
#include "base/pool.h"

#include <stdlib.h>

// A socket's buffer, more or less.
#define WINDOW 65536

// Pieces of one read.
#define GROUP_MAX 4

struct fake {
    struct transport transport; // first: the user's view
    struct fake_peer *peer;
    struct task release;
};

static struct fake_peer *peer_of(struct transport *transport) {
    return CONTAINER_OF(transport, struct fake, transport)->peer;
}

static size_t queue_length(const struct fake_bytes *queue) {
    return queue->end - queue->begin;
}

static void queue_append(struct fake_bytes *queue, struct bytes text) {
    if (queue->capacity - queue->end < text.len) {
        size_t length = queue_length(queue);
        size_t capacity = (length + text.len) * 2;
        char *bytes = alloc_or_abort(capacity);
        if (length > 0)
            memcpy(bytes, queue->bytes + queue->begin, length);
        free(queue->bytes);
        *queue = (struct fake_bytes){bytes, 0, length, capacity};
    }
    if (text.len > 0)
        memcpy(queue->bytes + queue->end, text.at, text.len);
    queue->end += text.len;
}

static bool is_writable(const struct fake_peer *peer);

// Whether the event task has something to tell.
static bool has_event(const struct fake_peer *peer) {
    if (peer->closed || peer->ready_failed)
        return false;
    if (peer->connecting)
        return peer->ready_due;
    if (peer->waiting_to_write && peer->broken == OK && is_writable(peer))
        return true;
    bool unread = queue_length(&peer->incoming) > 0;
    if (peer->broken != OK && !peer->break_told)
        return peer->reading || !unread || !peer->transport->reset_after_bytes;
    return peer->reading && (unread || (peer->end_due && !peer->end_told)) && !peer->break_told;
}

static void wake_if_due(struct fake_peer *peer) {
    if (has_event(peer))
        loop_wake(peer->loop, &peer->event);
}

static void break_connection(struct fake_peer *peer) {
    if (peer->closed || peer->broken != OK)
        return;
    peer->broken = ERROR_CONNECTION_RESET;
    wake_if_due(peer);
}

// Output.

// What the far end takes at the moment.
static size_t room_of(const struct fake_peer *peer) {
    if (peer->joined == NULL)
        return peer->accepts;
    if (peer->joined->closed)
        return SIZE_MAX; // as a socket does: lost, and answered by a reset
    size_t unread = queue_length(&peer->joined->incoming);
    return unread < peer->options.window ? peer->options.window - unread : 0;
}

static bool is_writable(const struct fake_peer *peer) {
    return room_of(peer) > 0;
}

static void deliver_output(struct fake_peer *peer, struct bytes text) {
    transport_count_out(peer->transport, text.len);
    struct fake_peer *joined = peer->joined;
    if (joined == NULL) {
        queue_append(&peer->sent, text);
        if (peer->accepts != SIZE_MAX)
            peer->accepts -= text.len;
    } else if (joined->closed) {
        break_connection(peer);
    } else {
        queue_append(&joined->incoming, text);
        wake_if_due(joined);
    }
}

static void shut_down_now(struct fake_peer *peer) {
    peer->shutdown_wanted = false;
    peer->shut_down = true;
    if (peer->joined == NULL || peer->joined->closed)
        return;
    peer->joined->end_due = true;
    wake_if_due(peer->joined);
}

static void write_some(struct fake_peer *peer) {
    struct buffer *out = &peer->transport->out;
    size_t max = room_of(peer);
    if (peer->joined != NULL && peer->options.piece_max > 0 && max > 1 && rng_below(&peer->rng, 4) == 0)
        max = 1 + rng_below(&peer->rng, (uint32_t)(max < WINDOW ? max : WINDOW));
    while (max > 0 && !buffer_is_empty(out)) {
        struct bytes front = buffer_front(out);
        if (front.len > max)
            front.len = max;
        deliver_output(peer, front);
        buffer_consume(out, front.len);
        max -= front.len;
    }
    peer->waiting_to_write = !buffer_is_empty(out);
    if (!peer->waiting_to_write && peer->shutdown_wanted)
        shut_down_now(peer);
}

// Input: the pieces of one read.

static void drop_block(struct fake_peer *peer) {
    if (peer->block == NULL)
        return;
    block_unref(peer->block);
    peer->block = NULL;
}

static size_t piece_length(struct fake_peer *peer) {
    uint32_t max = peer->options.piece_max;
    if (max == 0)
        return BLOCK_CAPACITY;
    return 1 + rng_below(&peer->rng, 1 + rng_below(&peer->rng, max)); // small ones more often than large ones
}

// A block to put the next piece in: at times behind the last one.
static struct block *block_for(struct fake_peer *peer, size_t length) {
    bool behind = peer->options.piece_max > 0 && rng_below(&peer->rng, 2) == 0;
    if (peer->block == NULL || !behind || block_room(peer->block) < length) {
        drop_block(peer);
        peer->block = block_get(&peer->loop->blocks);
    }
    return peer->block;
}

static void deliver_piece(struct fake_peer *peer) {
    size_t length = piece_length(peer);
    if (length > BLOCK_CAPACITY)
        length = BLOCK_CAPACITY;
    if (length > queue_length(&peer->incoming))
        length = queue_length(&peer->incoming);
    struct block *block = block_for(peer, length);
    char *at = block->bytes + block->filled;
    memory_unpoison(at, length);
    memcpy(at, peer->incoming.bytes + peer->incoming.begin, length);
    peer->incoming.begin += length;
    block->filled += (uint32_t)length;
    memory_poison(block->bytes + block->filled, block_room(block));
    transport_count_in(peer->transport, length);
    peer->calls.bytes++;
    peer->transport->handler->bytes(peer->transport->user, block, bytes_from(at, length));
}

static void read_some(struct fake_peer *peer) {
    // What a socket gives at once is handed over whole, even when the user calls read_stop within.
    uint32_t pieces = peer->options.piece_max > 0 ? 1 + rng_below(&peer->rng, GROUP_MAX) : GROUP_MAX;
    for (; pieces > 0 && queue_length(&peer->incoming) > 0 && !peer->closed; pieces--)
        deliver_piece(peer);
    drop_block(peer);
    if (peer->joined != NULL)
        wake_if_due(peer->joined); // there is room again
}

static void tell_ended(struct fake_peer *peer, enum error error) {
    peer->calls.ended++;
    peer->transport->handler->ended(peer->transport->user, error);
}

static void tell_end_if_due(struct fake_peer *peer) {
    bool unread = queue_length(&peer->incoming) > 0;
    if (peer->end_due && !peer->end_told && !unread && peer->reading && !peer->break_told) {
        peer->end_told = true;
        tell_ended(peer, ERROR_CONNECTION_CLOSED);
    }
    if (peer->closed || peer->broken == OK || peer->break_told)
        return;
    if (unread && (peer->reading || peer->transport->reset_after_bytes))
        return; // later
    peer->break_told = true;
    peer->incoming.begin = peer->incoming.end;
    buffer_clear(&peer->transport->out);
    tell_ended(peer, peer->broken);
}

static void tell_ready(struct fake_peer *peer) {
    peer->connecting = false;
    peer->ready_due = false;
    peer->ready_failed = peer->ready_error != OK;
    peer->calls.ready++;
    peer->transport->handler->ready(peer->transport->user, peer->ready_error);
}

static void run_event(struct task *task) {
    struct fake_peer *peer = CONTAINER_OF(task, struct fake_peer, event);
    CHECK(!peer->closed);
    if (peer->options.late_max > 0 && rng_below(&peer->rng, peer->options.late_max + 1) != 0) {
        loop_wake(peer->loop, task);
        return;
    }
    if (peer->connecting) {
        if (peer->ready_due)
            tell_ready(peer);
        wake_if_due(peer);
        return;
    }
    if (peer->waiting_to_write && peer->broken == OK && is_writable(peer)) {
        write_some(peer);
        if (peer->transport->out.length < LIMIT_OUTPUT_BYTES / 2 && peer->broken == OK) {
            peer->calls.drained++;
            peer->transport->handler->drained(peer->transport->user);
        }
    }
    if (!peer->closed && peer->reading && !peer->break_told)
        read_some(peer);
    if (!peer->closed)
        tell_end_if_due(peer);
    wake_if_due(peer);
}

// The transport's own functions.

static void fake_read_start(struct transport *transport) {
    struct fake_peer *peer = peer_of(transport);
    CHECK(!peer->ready_failed);
    peer->reading = true;
    wake_if_due(peer);
}

static void fake_read_stop(struct transport *transport) {
    peer_of(transport)->reading = false;
}

static void fake_flush(struct transport *transport) {
    struct fake_peer *peer = peer_of(transport);
    CHECK(!peer->ready_failed);
    CHECK(!peer->shut_down || buffer_is_empty(&transport->out));
    if (buffer_is_empty(&transport->out))
        return;
    peer->flushes++;
    if (peer->connecting || peer->waiting_to_write || peer->broken != OK || peer->closed)
        return;
    write_some(peer);
    wake_if_due(peer);
}

static void fake_shutdown(struct transport *transport) {
    struct fake_peer *peer = peer_of(transport);
    CHECK(!peer->ready_failed);
    if (peer->shut_down || peer->broken != OK || peer->closed)
        return;
    peer->shutdown_wanted = true;
    if (buffer_is_empty(&transport->out) && !peer->connecting)
        shut_down_now(peer);
}

static void release(struct task *task) {
    struct fake *fake = CONTAINER_OF(task, struct fake, release);
    struct fake_peer *peer = fake->peer;
    peer->calls.closed++;
    fake->transport.handler->closed(fake->transport.user);
    buffer_dispose(&fake->transport.out);
    peer->transport = NULL;
    free(fake);
}

static void fake_close(struct transport *transport, bool reset) {
    struct fake_peer *peer = peer_of(transport);
    if (peer->closed)
        return;
    peer->closed = true;
    peer->closed_reset = reset;
    peer->reading = false;
    task_cancel(&peer->event);
    buffer_clear(&transport->out);
    loop_defer(peer->loop, &CONTAINER_OF(transport, struct fake, transport)->release);
    struct fake_peer *joined = peer->joined;
    if (joined == NULL || joined->closed)
        return;
    if (reset || queue_length(&peer->incoming) > 0) {
        if (reset)
            joined->incoming.begin = joined->incoming.end;
        break_connection(joined);
    } else {
        joined->end_due = true;
    }
    wake_if_due(joined);
}

static const struct transport_ops fake_ops = {
    .read_start = fake_read_start,
    .read_stop = fake_read_stop,
    .flush = fake_flush,
    .shutdown = fake_shutdown,
    .close = fake_close,
};

struct fake_peer *fake_peer_create(struct loop *loop, const struct fake_options *options, const struct transport_handler *handler, void *user) {
    struct fake_peer *peer = alloc_zeroed_or_abort(1, sizeof(*peer));
    if (options != NULL)
        peer->options = *options;
    if (peer->options.window == 0)
        peer->options.window = WINDOW;
    rng_init(&peer->rng, peer->options.seed);
    task_init(&peer->event, run_event);
    peer->loop = loop;
    peer->connecting = peer->options.connecting;
    peer->accepts = SIZE_MAX;

    struct fake *fake = alloc_zeroed_or_abort(1, sizeof(*fake));
    fake->peer = peer;
    fake->transport = (struct transport){.ops = &fake_ops, .handler = handler, .user = user, .loop = loop};
    fake->transport.peer.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(40000), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    fake->transport.local.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(80), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    buffer_init(&fake->transport.out, &loop->blocks);
    task_init(&fake->release, release);
    peer->transport = &fake->transport;
    return peer;
}

void fake_pair_create(struct loop *loop, const struct fake_options *options, const struct transport_handler *const handlers[2], void *const users[2],
                      struct fake_peer *peers[2]) {
    CHECK(options == NULL || !options->connecting);
    for (int i = 0; i < 2; i++)
        peers[i] = fake_peer_create(loop, options, handlers[i], users[i]);
    rng_init(&peers[1]->rng, ~peers[1]->options.seed); // not both in step
    peers[0]->joined = peers[1];
    peers[1]->joined = peers[0];
}

void fake_peer_destroy(struct fake_peer *peer) {
    CHECK(peer->closed && peer->transport == NULL);
    if (peer->joined != NULL)
        peer->joined->joined = NULL;
    CHECK(peer->block == NULL);
    free(peer->incoming.bytes);
    free(peer->sent.bytes);
    free(peer);
}

void fake_peer_connected(struct fake_peer *peer, enum error error) {
    CHECK(peer->connecting && !peer->ready_due);
    peer->ready_due = true;
    peer->ready_error = error;
    wake_if_due(peer);
}

void fake_peer_send(struct fake_peer *peer, struct bytes text) {
    CHECK(peer->joined == NULL);
    if (peer->broken != OK || peer->closed)
        return; // the test's peer may not have noticed
    CHECK(!peer->end_due);
    queue_append(&peer->incoming, text);
    wake_if_due(peer);
}

void fake_peer_end(struct fake_peer *peer) {
    CHECK(peer->joined == NULL);
    peer->end_due = true;
    wake_if_due(peer);
}

void fake_peer_reset(struct fake_peer *peer, bool keep_unread) {
    if (!keep_unread)
        peer->incoming.begin = peer->incoming.end;
    break_connection(peer);
    if (peer->joined != NULL && !peer->joined->closed)
        break_connection(peer->joined);
}

void fake_peer_accept(struct fake_peer *peer, size_t count) {
    CHECK(peer->joined == NULL);
    peer->accepts = count;
    wake_if_due(peer);
}

struct bytes fake_peer_sent(const struct fake_peer *peer) {
    CHECK(peer->joined == NULL);
    return bytes_from(peer->sent.bytes + peer->sent.begin, queue_length(&peer->sent));
}

void fake_peer_forget_sent(struct fake_peer *peer) {
    peer->sent.begin = peer->sent.end;
}

size_t fake_peer_unread(const struct fake_peer *peer) {
    return queue_length(&peer->incoming);
}
