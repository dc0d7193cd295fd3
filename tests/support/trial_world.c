// What clients, servers and the loop of a trial do, one step at a time: see trial_world.h.
#include "support/trial_world.h"

#include "base/check.h"
#include "support/place_text.h"

#include <arpa/inet.h>
#include <stdio.h>

// --- clients ---

static const struct stream_client *caller(bool is_strange) {
    static union address addresses[2];
    static struct stream_client callers[2];
    for (int i = 0; i < 2; i++) {
        addresses[i].v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(i == 0 ? 0x0a000001 : 0xc0000207)};
        callers[i].address = &addresses[i];
    }
    return &callers[is_strange];
}

struct trial_exchange *trial_open(struct trial_run *run, const struct trial_request *request) {
    static const size_t lengths[] = {10, 900, 40000};
    static const enum http_version versions[] = {HTTP_1_1, HTTP_2};
    CHECK(run->count < TRIAL_EXCHANGES_MAX);
    struct trial_exchange *exchange = &run->exchanges[run->count++];
    *exchange = (struct trial_exchange){.request = request, .number = run->count, .version = run->version};
    exchange->answer_length = lengths[trial_below(run, 3)];
    unsigned count = 0;
    while (count < 4 && request->statuses[count] != 0)
        count++;
    exchange->answer_status = count == 0 ? 200 : request->statuses[trial_below(run, count)];
    client_begin_as(&exchange->client, &run->world, loopback_listener(&run->world, run->trial->listener), caller(request->is_strange),
                    versions[trial_below(run, 2)], NULL, false);
    return exchange;
}

void trial_tell(struct trial_run *run, struct trial_exchange *exchange) {
    struct stream *stream = exchange->client.stream;
    char text[10000];
    const int length = snprintf(text, sizeof text, "%sx-trial: %u\n", exchange->request->text, exchange->number);
    CHECK(length > 0 && (size_t)length < sizeof text);
    struct head *head = pool_alloc_zeroed(&stream->pool, sizeof *head);
    head_from_text(head, &stream->pool, trial_below(run, 2) == 0 ? HTTP_1_1 : HTTP_2, text);
    exchange->told = true;
    exchange->told_at = run->world.env.loop->now;
    exchange->body_ended = !exchange->request->has_body;
    stream_on_head(stream, head, exchange->body_ended);
}

bool trial_is_over(const struct trial_exchange *exchange) {
    return exchange->client.done;
}

bool trial_is_decided(const struct trial_exchange *exchange) {
    return trial_is_over(exchange) || exchange->client.stream->filters.passed || exchange->client.stream->end != OK || exchange->client.status != 0;
}

void trial_send(struct trial_exchange *exchange, bool rest) {
    if (exchange->body_ended || trial_is_over(exchange))
        return;
    const size_t sent = exchange->client.unsent.len;
    if (sent > 0 && !rest)
        return;
    exchange->body_ended = rest;
    client_send(&exchange->client, place_text(sent, rest ? TRIAL_BODY - sent : TRIAL_BODY / 2), rest);
}

bool trial_end_early(struct trial_exchange *exchange) {
    if (!exchange->told || exchange->body_ended || trial_is_over(exchange))
        return false;
    exchange->body_ended = true;
    client_end(&exchange->client, NULL);
    return true;
}

bool trial_fail(struct trial_exchange *exchange, enum error error) {
    if (trial_is_over(exchange))
        return false;
    exchange->hurt = true;
    stream_on_failed(exchange->client.stream, error);
    return true;
}

// --- servers ---

bool trial_each_asked(struct trial_run *run, bool (*each)(struct trial_run *run, struct far_conn *conn, struct owner_stream *asked, void *user),
                      void *user) {
    for (struct far_conn *conn = run->world.far.conns; conn != NULL; conn = conn->next)
        for (struct owner_stream *asked = conn->speaks && !conn->peer->closed ? conn->server.streams : NULL; asked != NULL; asked = asked->next)
            if (asked->stream.codec != NULL && asked->heads > 0 && each(run, conn, asked, user))
                return true;
    return false;
}

struct trial_exchange *trial_exchange_of(struct trial_run *run, const struct owner_stream *asked) {
    const struct field *field = fields_find_name(&asked->stream.head.fields, BYTES("x-trial"));
    uint64_t number;
    if (field == NULL || !bytes_to_u64(field->value, run->count, &number))
        return NULL;
    return &run->exchanges[number - 1];
}

bool trial_is_support(const struct far_conn *conn) {
    return conn->port >= TRIAL_SUPPORT_FIRST && conn->port <= TRIAL_SUPPORT_LAST;
}

// False: it has said all.
static bool say_more(struct far_conn *conn, struct owner_stream *asked, const struct trial_exchange *exchange) {
    if (asked->stream.sent == PROGRESS_HEAD) {
        far_answer(conn, asked, exchange->answer_status, "x-answer: yes\n", NULL, false);
        return true;
    }
    if (asked->stream.sent != PROGRESS_BODY || asked->send_end)
        return false;
    const size_t sent = asked->stream.body_sent + asked->sending.length + asked->stream.out.length;
    const size_t half = exchange->answer_length / 2;
    if (sent < exchange->answer_length) {
        owner_stream_send(asked, place_text(sent, sent < half ? half - sent : exchange->answer_length - sent), false, NULL);
        return true;
    }
    struct fields *trailers = pool_alloc(&asked->pool, sizeof *trailers);
    fields_init(trailers, &asked->pool);
    fields_add(trailers, BYTES("x-sum"), BYTES("1"));
    owner_stream_send(asked, BYTES_NONE, true, exchange->number % 2 == 0 ? trailers : NULL);
    return true;
}

static bool serve_one(struct trial_run *run, struct far_conn *conn, struct owner_stream *asked, void *user) {
    const struct trial_exchange *const *served = user;
    return !trial_is_support(conn) && trial_exchange_of(run, asked) == *served && say_more(conn, asked, *served);
}

bool trial_serve(struct trial_run *run, const struct trial_exchange *exchange) {
    return trial_each_asked(run, serve_one, &exchange);
}

static bool serve_any(struct trial_run *run, struct far_conn *conn, struct owner_stream *asked, void *user) {
    bool *has_moved = user;
    const struct trial_exchange *exchange = trial_exchange_of(run, asked);
    *has_moved |= !trial_is_support(conn) && exchange != NULL && say_more(conn, asked, exchange);
    return false;
}

static bool serve_other(struct trial_run *run, struct far_conn *conn, struct owner_stream *asked, void *user) {
    bool *has_moved = user;
    if (!trial_is_support(conn) || !asked->ended || asked->stream.sent != PROGRESS_HEAD)
        return false;
    struct trial_answer answer = {.status = 200, .fields = "", .body = ""};
    if (run->trial->answer != NULL)
        run->trial->answer(run, asked, &answer);
    if (answer.status == 0)
        return false;
    far_answer(conn, asked, answer.status, answer.fields, answer.body, true);
    *has_moved = true;
    return false;
}

bool trial_serve_support(struct trial_run *run) {
    bool has_moved = false;
    (void)trial_each_asked(run, serve_other, &has_moved);
    return has_moved;
}

bool trial_serve_all(struct trial_run *run) {
    bool has_moved = trial_serve_support(run);
    (void)trial_each_asked(run, serve_any, &has_moved);
    return has_moved;
}

// --- the loop ---

static void note_ends(struct trial_run *run) {
    for (unsigned i = 0; i < run->count; i++)
        if (run->exchanges[i].done_at == 0 && trial_is_over(&run->exchanges[i]))
            run->exchanges[i].done_at = run->world.env.loop->now;
}

void trial_turn(struct trial_run *run) {
    loop_wake(run->world.env.loop, &run->watch);
    fake_upstream_step(&run->world.far);
    note_ends(run);
}

void trial_settle(struct trial_run *run) {
    loopback_settle(&run->world);
    note_ends(run);
}

void trial_wait(struct trial_run *run, nanoseconds most) {
    struct loop *loop = run->world.env.loop;
    trial_turn(run); // what has come has come by now, not by then
    const nanoseconds end = loop->now + most, next = timer_wheel_next(&loop->timers);
    loop_wake(loop, &run->watch);
    loop_turn(loop, next < loop->now ? loop->now : next > end ? end : next);
    note_ends(run);
}

void trial_pass(struct trial_run *run, nanoseconds duration) {
    struct loop *loop = run->world.env.loop;
    const nanoseconds end = loop->now + duration;
    trial_settle(run);
    while (loop->now < end) {
        trial_wait(run, end - loop->now);
        trial_settle(run);
    }
}
