// A transport that reads what it is given only as far as the request's place in the log, and gives the answer that stands there: see canned_answers.h.
#include "cli/canned_answers.h"

#include "base/check.h"
#include "cli/simulation.h"

#include <stdio.h>
#include <stdlib.h>

struct canned {
    struct transport transport;
    struct task ready, release;
    struct timer timer;           // until the answer
    const struct logged *request; // that is being answered; NULL: none
};

static struct canned *canned_of(struct transport *transport) {
    return CONTAINER_OF(transport, struct canned, transport);
}

static struct simulation *simulation_of(const struct canned *canned) {
    return CONTAINER_OF(canned->transport.loop, struct simulation, loop);
}

static void on_ready(struct task *task) {
    struct canned *canned = CONTAINER_OF(task, struct canned, ready);
    canned->transport.handler->ready(canned->transport.user, OK);
}

static void on_timer(struct timer *timer) {
    struct canned *canned = CONTAINER_OF(timer, struct canned, timer);
    const struct logged *request = canned->request;
    struct transport *transport = &canned->transport;
    canned->request = NULL;
    if (request->answer == LOGGED_BROKEN) {
        transport->handler->ended(transport->user, ERROR_CONNECTION_RESET);
        return;
    }
    struct block *block = block_get(&transport->loop->blocks);
    const unsigned status = request->answer == LOGGED_ANSWERED && request->status >= 200 ? request->status : 200;
    const int length = snprintf(block->bytes, BLOCK_CAPACITY, "HTTP/1.1 %u Logged\r\ncontent-length: 0\r\n\r\n", status);
    block->filled = (uint32_t)length;
    transport_count_in(transport, (size_t)length);
    transport->handler->bytes(transport->user, block, bytes_from(block->bytes, (size_t)length));
    block_unref(block);
}

// Of a head that has one.
static bool find_place(struct bytes head, uint64_t *place) {
    const struct bytes name = BYTES("\r\n" CANNED_PLACE ": ");
    for (size_t at = 0; at + name.len < head.len; at++) {
        if (!bytes_equal_nocase(bytes_from(head.at + at, name.len), name))
            continue;
        const struct bytes rest = bytes_from(head.at + at + name.len, head.len - at - name.len);
        return bytes_to_u64(bytes_from(rest.at, bytes_find(rest, '\r')), UINT32_MAX, place);
    }
    return false;
}

static void flush(struct transport *transport) {
    struct canned *canned = canned_of(transport);
    struct simulation *simulation = simulation_of(canned);
    uint64_t place;
    if (buffer_is_empty(&transport->out))
        return;
    if (canned->request == NULL && find_place(buffer_front(&transport->out), &place) && place < simulation->log->count) {
        canned->request = &simulation->log->requests[place];
        if (simulation->sent_at[place] == 0)
            simulation->sent_at[place] = transport->loop->now;
        loop_timer_start(transport->loop, &canned->timer, canned->request->took);
    }
    transport_count_out(transport, transport->out.length);
    buffer_clear(&transport->out);
}

static void nothing(struct transport *transport) {
    (void)transport;
}

static void on_release(struct task *task) {
    struct canned *canned = CONTAINER_OF(task, struct canned, release);
    canned->transport.handler->closed(canned->transport.user);
    buffer_dispose(&canned->transport.out);
    canned->transport.loop->handles--;
    free(canned);
}

static void close_now(struct transport *transport, bool reset) {
    (void)reset;
    struct canned *canned = canned_of(transport);
    task_cancel(&canned->ready);
    loop_timer_stop(transport->loop, &canned->timer);
    buffer_clear(&transport->out);
    loop_defer(transport->loop, &canned->release);
}

static const struct transport_ops canned_ops = {.read_start = nothing, .read_stop = nothing, .flush = flush, .shutdown = nothing, .close = close_now};

enum error canned_connect(struct loop *loop, const struct sockaddr *address, socklen_t length, const struct transport_handler *handler, void *user,
                          struct transport **transport) {
    struct canned *canned = alloc_zeroed_or_abort(1, sizeof *canned);
    CHECK(length >= sizeof canned->transport.peer.v4);
    canned->transport = (struct transport){.ops = &canned_ops, .handler = handler, .user = user, .loop = loop};
    memcpy(&canned->transport.peer.v4, address, sizeof canned->transport.peer.v4);
    buffer_init(&canned->transport.out, &loop->blocks);
    task_init(&canned->ready, on_ready);
    task_init(&canned->release, on_release);
    timer_init(&canned->timer, on_timer);
    loop->handles++;
    loop_wake(loop, &canned->ready);
    *transport = &canned->transport;
    return OK;
}
