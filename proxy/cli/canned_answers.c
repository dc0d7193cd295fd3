// A transport that reads nothing of what it is given: whose request it is its connection knows, and what the answer is stands in the log. See canned_answers.h.
#include "cli/canned_answers.h"

#include "base/check.h"
#include "cli/simulation.h"
#include "stream/attempt.h"
#include "upstream/upstream_conn.h"

#include <stdio.h>
#include <stdlib.h>

struct canned {
    struct transport transport;
    struct task ready, release;
    struct timer timer;           // until the answer's head, or its end
    const struct logged *request; // that is being answered; NULL: none
    bool is_answered;             // the head is out, the body is not
};

// A copy that a mirror makes is answered like this, at once.
static const struct logged anything = {.answer = LOGGED_ANSWERED, .status = 200};

static struct canned *canned_of(struct transport *transport) {
    return CONTAINER_OF(transport, struct canned, transport);
}

static void on_ready(struct task *task) {
    struct canned *canned = CONTAINER_OF(task, struct canned, ready);
    canned->transport.handler->ready(canned->transport.user, OK);
}

static void give(struct canned *canned, const char *text) {
    struct transport *transport = &canned->transport;
    struct block *block = block_get(&transport->loop->blocks);
    const size_t length = strlen(text);
    CHECK(length <= BLOCK_CAPACITY);
    memcpy(block->bytes, text, length);
    block->filled = (uint32_t)length;
    transport_count_in(transport, length);
    transport->handler->bytes(transport->user, block, bytes_from(block->bytes, length));
    block_unref(block);
}

static bool has_no_body(const struct logged *request, unsigned status) {
    return status == 204 || status == 304 || bytes_equal(request->method, BYTES("HEAD"));
}

static void answer_head(struct canned *canned) {
    const struct logged *request = canned->request;
    const unsigned status = request->answer != LOGGED_UNKNOWN && request->status >= 200 ? request->status : 200;
    const nanoseconds rest = request->took > request->head ? request->took - request->head : 0;
    const bool is_in_parts = request->head > 0 && rest > 0 && !has_no_body(request, status);
    char text[128];
    (void)snprintf(text, sizeof text, "HTTP/1.1 %u Logged\r\n%s\r\n", status,
                   status == 204 || status == 304 ? ""
                   : is_in_parts                  ? "content-length: 1\r\n"
                                                  : "content-length: 0\r\n");
    canned->is_answered = is_in_parts;
    if (is_in_parts)
        loop_timer_start(canned->transport.loop, &canned->timer, rest);
    else
        canned->request = NULL;
    give(canned, text);
}

static void on_timer(struct timer *timer) {
    struct canned *canned = CONTAINER_OF(timer, struct canned, timer);
    if (canned->request->answer == LOGGED_BROKEN) {
        canned->request = NULL;
        canned->transport.handler->ended(canned->transport.user, ERROR_CONNECTION_RESET);
    } else if (canned->is_answered) {
        canned->is_answered = false;
        canned->request = NULL;
        give(canned, "x");
    } else
        answer_head(canned);
}

// Of HTTP/1: a connection has one stream at a time.
static const struct logged *request_on(const struct canned *canned) {
    const struct upstream_conn *conn = canned->transport.user;
    if (list_is_empty(&conn->streams))
        return NULL;
    struct upstream_stream *up = LIST_ENTRY(conn->streams.next, struct upstream_stream, link);
    const struct logged *request = simulation_sent(CONTAINER_OF(up, struct attempt, up)->stream);
    return request == NULL ? &anything : request;
}

static nanoseconds until_first(const struct logged *request) {
    const bool is_in_parts = request->answer == LOGGED_ANSWERED && request->head > 0 && request->head < request->took;
    return is_in_parts && !has_no_body(request, request->status) ? request->head : request->took;
}

static void flush(struct transport *transport) {
    struct canned *canned = canned_of(transport);
    if (buffer_is_empty(&transport->out))
        return;
    if (canned->request == NULL)
        canned->request = request_on(canned);
    if (canned->request != NULL && !timer_is_running(&canned->timer))
        loop_timer_start(transport->loop, &canned->timer, until_first(canned->request));
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
