// Each connection records what its transport and codec tell and is advanced by one task on the wake list; only connection_advance decides.
#include "rpc/connection.h"

#include "base/check.h"
#include "base/limits.h"
#include "http/h1_codec.h"
#include "http/headers.h"
#include "net/loop.h"
#include "net/tcp.h"
#include "rpc/reply.h"

#include <stdlib.h>
#include <sys/socket.h>

// In the order of the traffic.
enum connection_state {
    CONNECTION_IDLE,      // no byte of a request has come
    CONNECTION_RECEIVING, // a request is on its way
    CONNECTION_HANDLING,  // the handler has it
    CONNECTION_OPEN,      // the reply is on its way, and the handler has more of it
    CONNECTION_REPLYING,  // the reply is on its way
    CONNECTION_LINGERING, // our side is ended; what comes is dropped until the client ends too
    CONNECTION_CLOSED,    // waits for the transport's `closed`
};

struct connection {
    struct rpc_request request; // first: the handler's view
    struct list link;           // of the server, the one that has been quiet longest first
    struct rpc_server *server;
    struct ucred process; // at the other end of a Unix socket; pid 0: not known
    struct transport *transport;
    struct codec *codec;
    struct codec_stream stream;
    struct pool pool; // of the current request
    bool has_pool;
    enum connection_state state;

    // Recorded by callbacks.
    struct buffer input; // not yet fed to the codec
    struct buffer body;  // of the request, then of the reply
    bool head_received;
    bool request_complete;
    bool input_ended; // the client's FIN
    bool broken;
    bool expired;
    bool drained;
    enum error failure; // of the request
    size_t unconsumed;

    bool input_end_fed;
    bool last; // nothing follows this reply
    struct reply reply;
    nanoseconds replied; // when it began; of an open one when it ended
    bool was_opened;     // it is of no stated length
    bool is_open;        // and the handler has more of it
    bool is_hurried;     // and has little more: the client has a deadline again
    bool is_ending;      // the handler has ended it, and is to be told when it is out
    bool is_full;        // more than half of its room was taken, and `writable` has not come since
    struct task advance;
    struct task release;
    struct timer deadline;
};

static const struct codec_limits limits = {
    .headers = 100,
    .header_bytes = 16384,
    .url_bytes = 8192,
    .streams = 1,
};

static void set_state(struct connection *connection, enum connection_state state) {
    static const unsigned char from[] = {
        [CONNECTION_IDLE] = 1 << CONNECTION_REPLYING,
        [CONNECTION_RECEIVING] = 1 << CONNECTION_IDLE | 1 << CONNECTION_REPLYING,
        [CONNECTION_HANDLING] = 1 << CONNECTION_RECEIVING,
        [CONNECTION_OPEN] = 1 << CONNECTION_HANDLING,
        [CONNECTION_REPLYING] = 1 << CONNECTION_RECEIVING | 1 << CONNECTION_HANDLING | 1 << CONNECTION_OPEN,
        [CONNECTION_LINGERING] = 1 << CONNECTION_IDLE | 1 << CONNECTION_RECEIVING | 1 << CONNECTION_REPLYING,
        [CONNECTION_CLOSED] = 0xff & ~(1 << CONNECTION_CLOSED),
    };
    CHECK(from[state] & 1 << connection->state);
    connection->state = state;
}

static void set_deadline(struct connection *connection, nanoseconds after) {
    connection->expired = false;
    loop_timer_start(connection->server->loop, &connection->deadline, after);
}

// ---- what the codec and the transport tell

static struct codec_stream *on_begin(void *owner) {
    struct connection *connection = owner;
    CHECK(!connection->has_pool);
    pool_init(&connection->pool, &connection->server->loop->pools);
    connection->has_pool = true;
    connection->stream = (struct codec_stream){.pool = &connection->pool};
    return &connection->stream;
}

static void on_head(void *owner, struct codec_stream *stream, bool end) {
    struct connection *connection = owner;
    connection->head_received = true;
    connection->request_complete = end;
    if (stream->head.content_length > RPC_BODY_MAX)
        connection->failure = ERROR_BODY_TOO_LARGE;
}

// Copied: by reference a body in small pieces would pin a block for each of them.
static void on_body(void *owner, struct codec_stream *stream, struct block *block, struct bytes piece) {
    struct connection *connection = owner;
    (void)stream;
    (void)block;
    connection->unconsumed += piece.len;
    if (connection->failure != OK)
        return;
    if (connection->body.length + piece.len > RPC_BODY_MAX)
        connection->failure = ERROR_BODY_TOO_LARGE;
    else
        buffer_append(&connection->body, piece);
}

static void on_end(void *owner, struct codec_stream *stream) {
    struct connection *connection = owner;
    (void)stream;
    connection->request_complete = true;
}

static void on_failed(void *owner, struct codec_stream *stream, enum error error) {
    struct connection *connection = owner;
    (void)stream;
    connection->failure = error;
}

static void on_writable(void *owner, struct codec_stream *stream) {
    struct connection *connection = owner;
    (void)stream;
    loop_wake(connection->server->loop, &connection->advance);
}

static const struct codec_handler codec_handler = {
    .begin = on_begin,
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .failed = on_failed,
    .writable = on_writable,
};

static void on_ready(void *user, enum error error) {
    (void)user;
    (void)error; // only for connections that we make
}

static void on_bytes(void *user, struct block *block, struct bytes in) {
    struct connection *connection = user;
    (void)block;
    buffer_append(&connection->input, in); // copied, for the same reason
    if (connection->input.length > RPC_BODY_MAX)
        connection->transport->ops->read_stop(connection->transport);
    loop_wake(connection->server->loop, &connection->advance);
}

static void on_ended(void *user, enum error error) {
    struct connection *connection = user;
    if (error == ERROR_CONNECTION_CLOSED)
        connection->input_ended = true;
    else
        connection->broken = true;
    loop_wake(connection->server->loop, &connection->advance);
}

static void on_drained(void *user) {
    struct connection *connection = user;
    connection->drained = true;
    loop_wake(connection->server->loop, &connection->advance);
}

static void on_closed(void *user) {
    struct connection *connection = user;
    connection->transport = NULL;
    loop_defer(connection->server->loop, &connection->release);
}

static const struct transport_handler transport_handler = {
    .ready = on_ready,
    .bytes = on_bytes,
    .ended = on_ended,
    .drained = on_drained,
    .closed = on_closed,
};

static void on_deadline(struct timer *timer) {
    struct connection *connection = CONTAINER_OF(timer, struct connection, deadline);
    connection->expired = true;
    loop_wake(connection->server->loop, &connection->advance);
}

// ---- ends

static void connection_release(struct task *task) {
    struct connection *connection = CONTAINER_OF(task, struct connection, release);
    struct rpc_server *server = connection->server;
    free(connection);
    rpc_server_connection_gone(server);
}

static void forget_request(struct connection *connection) {
    buffer_clear(&connection->body);
    if (connection->has_pool)
        pool_dispose(&connection->pool);
    connection->has_pool = false;
    connection->head_received = false;
    connection->request_complete = false;
    connection->failure = OK;
    connection->reply.status = 0;
    connection->was_opened = connection->is_open = connection->is_hurried = connection->is_full = false;
}

static void tell_ended(struct connection *connection) {
    struct rpc_server *server = connection->server;
    if (!connection->is_ending)
        return;
    connection->is_ending = false;
    server->handler->ended(server->owner, &connection->request);
}

static void connection_close(struct connection *connection, bool reset) {
    struct rpc_server *server = connection->server;
    bool handling = connection->is_open || (connection->state == CONNECTION_HANDLING && connection->reply.status == 0);
    set_state(connection, CONNECTION_CLOSED);
    if (handling)
        server->handler->cancelled(server->owner, &connection->request);
    tell_ended(connection);
    loop_timer_stop(server->loop, &connection->deadline);
    task_cancel(&connection->advance);
    list_remove(&connection->link);
    connection->codec->ops->dispose(connection->codec);
    connection->codec = NULL;
    buffer_clear(&connection->input);
    forget_request(connection);
    connection->transport->ops->close(connection->transport, reset);
}

static void linger(struct connection *connection) {
    set_state(connection, CONNECTION_LINGERING);
    set_deadline(connection, RPC_LINGER_TIMEOUT);
    connection->transport->ops->shutdown(connection->transport);
}

// ---- replying

static enum error send_reply_head(struct connection *connection) {
    struct codec *codec = connection->codec;
    struct head head;
    reply_fill_head(&connection->reply, &connection->pool, connection->was_opened ? -1 : (int64_t)connection->body.length, &head);
    if (connection->last)
        codec->ops->signal(codec, CODEC_DRAIN);
    if (connection->stream.method == METHOD_HEAD)
        buffer_clear(&connection->body);
    return codec->ops->send_head(codec, &connection->stream, &head, !connection->was_opened && buffer_is_empty(&connection->body));
}

// The reply's status, type and, unless it goes on, body are set.
static size_t unread_of(const struct connection *connection) {
    return connection->state == CONNECTION_REPLYING ? connection->body.length + connection->transport->out.length : 0;
}

// Makes room for what `newest` is to be told, by those that take theirs longest.
static void bound_unread(const struct connection *newest) {
    const struct rpc_server *server = newest->server;
    size_t unread = 0;
    LIST_EACH(&server->connections, node, following)
        unread += unread_of(LIST_ENTRY(node, struct connection, link));
    while (unread > RPC_UNREAD_MAX) {
        struct connection *oldest = NULL;
        LIST_EACH(&server->connections, node, following) {
            struct connection *connection = LIST_ENTRY(node, struct connection, link);
            if (connection != newest && unread_of(connection) > 0 && (oldest == NULL || connection->replied < oldest->replied))
                oldest = connection;
        }
        if (oldest == NULL)
            return;
        unread -= unread_of(oldest);
        connection_close(oldest, true);
    }
}

static void begin_reply(struct connection *connection) {
    if (connection->stream.received != PROGRESS_ENDED || connection->server->closing || connection->input_ended)
        connection->last = true;
    set_state(connection, connection->was_opened ? CONNECTION_OPEN : CONNECTION_REPLYING);
    connection->replied = connection->server->loop->now;
    bound_unread(connection);
    if (connection->was_opened && !connection->is_hurried)
        loop_timer_stop(connection->server->loop, &connection->deadline);
    else
        set_deadline(connection, RPC_REQUEST_TIMEOUT);
    if (send_reply_head(connection) != OK)
        connection->broken = true;
}

static void reply_with_error(struct connection *connection, enum error error) {
    buffer_clear(&connection->body);
    if (!connection->has_pool || connection->stream.codec == NULL || connection->stream.sent != PROGRESS_HEAD) {
        linger(connection); // there is nothing to reply to: at most part of a head came
        return;
    }
    fields_init(&connection->reply.fields, &connection->pool);
    reply_set_error(&connection->reply, error, &connection->body);
    connection->last = true;
    begin_reply(connection);
}

static void finish_reply(struct connection *connection) {
    struct codec *codec = connection->codec;
    bool reusable = codec_stream_is_done(&connection->stream) && !codec->close_when_flushed && !connection->last;
    tell_ended(connection);
    if (!reusable) {
        if (connection->stream.codec != NULL)
            codec->ops->reset(codec, &connection->stream, ERROR_CANCELLED);
        linger(connection);
        return;
    }
    forget_request(connection);
    set_state(connection, CONNECTION_IDLE);
    set_deadline(connection, RPC_IDLE_TIMEOUT);
    list_remove(&connection->link);
    list_push_back(&connection->server->connections, &connection->link);
}

// Whoever is told that a reply has ended may close the server: nothing of it waits in the transport then. Others do not wait for that.
static bool is_out(const struct connection *connection) {
    return !connection->broken && (!connection->is_ending || buffer_is_empty(&connection->transport->out));
}

// True when the reply is out of our hands.
static bool send_reply(struct connection *connection) {
    struct codec *codec = connection->codec;
    struct transport *transport = connection->transport;
    const bool goes_on = connection->state == CONNECTION_OPEN;
    const size_t before = connection->body.length;
    while (!connection->broken && transport->out.length < LIMIT_OUTPUT_BYTES / 2) {
        if (connection->stream.sent != PROGRESS_ENDED)
            codec->ops->send_body(codec, &connection->stream, &connection->body, !goes_on, NULL);
        connection->broken = codec->ops->produce(codec) != OK;
        transport->ops->flush(transport);
        if (connection->stream.sent == PROGRESS_ENDED)
            return is_out(connection);
        if (goes_on && buffer_is_empty(&connection->body))
            return false; // until more is written
        if (before - connection->body.length >= RPC_TURN_BYTES) {
            loop_wake(connection->server->loop, &connection->advance);
            return false;
        }
    }
    return false; // until drained
}

// What was written goes on; the rest of a reply that has ended meanwhile is sent as that of any other.
static void send_open_reply(struct connection *connection) {
    struct rpc_server *server = connection->server;
    if (connection->drained && connection->is_hurried)
        set_deadline(connection, RPC_REQUEST_TIMEOUT);
    connection->drained = false;
    (void)send_reply(connection);
    if (connection->is_full && connection->body.length <= RPC_OPEN_REPLY_MAX / 2) {
        connection->is_full = false;
        if (connection->is_open)
            server->handler->writable(server->owner, &connection->request);
    }
    if (connection->is_open)
        return;
    set_state(connection, CONNECTION_REPLYING);
    connection->replied = server->loop->now;
    set_deadline(connection, RPC_REQUEST_TIMEOUT);
}

// ---- receiving

static void continue_if_expected(struct connection *connection) {
    struct codec_stream *stream = &connection->stream;
    if (!connection->head_received || !stream->head.expect_continue || connection->request_complete || connection->failure != OK)
        return;
    stream->head.expect_continue = false;
    struct head head;
    head_init(&head, &connection->pool);
    head.version = HTTP_1_1;
    head.status = 100;
    if (connection->codec->ops->send_head(connection->codec, stream, &head, false) != OK)
        connection->broken = true;
}

// Feeds one piece of input, or its end. False when nothing is left that the codec can take now.
static bool feed_some(struct connection *connection) {
    struct codec *codec = connection->codec;
    struct buffer *input = &connection->input;
    bool end = buffer_is_empty(input);
    if (end && (!connection->input_ended || connection->input_end_fed))
        return false;
    struct block *block = end ? NULL : input->segments[input->head].block;
    struct bytes piece = buffer_front(input);
    size_t used = 0;
    enum error error = codec->ops->feed(codec, block, piece, &used);
    buffer_consume(input, used);
    connection->input_end_fed = end;
    if (connection->unconsumed > 0 && connection->stream.codec != NULL)
        codec->ops->consumed(codec, &connection->stream, connection->unconsumed);
    connection->unconsumed = 0;
    if (error != OK && connection->failure == OK)
        connection->failure = error;
    continue_if_expected(connection);
    return !end && used == piece.len;
}

static struct bytes flatten(struct buffer *buffer, struct pool *pool) {
    size_t length = buffer->length;
    char *text = pool_alloc(pool, length + 1);
    char *at = text;
    while (!buffer_is_empty(buffer)) {
        struct bytes front = buffer_front(buffer);
        memcpy(at, front.at, front.len);
        at += front.len;
        buffer_consume(buffer, front.len);
    }
    text[length] = '\0';
    return bytes_from(text, length);
}

static void hand_over(struct connection *connection) {
    struct rpc_server *server = connection->server;
    const struct head *head = &connection->stream.head;
    size_t path_length = bytes_find(head->path, '?');
    size_t query_start = path_length < head->path.len ? path_length + 1 : path_length;
    connection->request = (struct rpc_request){
        .method = head->method,
        .path = bytes_from(head->path.at, path_length),
        .query = bytes_from(head->path.at + query_start, head->path.len - query_start),
        .authority = head->authority,
        .fields = &head->fields,
        .body = flatten(&connection->body, &connection->pool),
        .peer = &connection->transport->peer,
        .uid = connection->process.uid,
        .pid = (uint32_t)connection->process.pid,
        .pool = &connection->pool,
    };
    fields_init(&connection->reply.fields, &connection->pool);
    set_state(connection, CONNECTION_HANDLING);
    set_deadline(connection, RPC_REQUEST_TIMEOUT);
    server->counters.requests++;
    server->handler->request(server->owner, &connection->request);
}

static void wait_for_request(struct connection *connection) {
    if (!buffer_is_empty(&connection->input)) {
        set_state(connection, CONNECTION_RECEIVING);
        set_deadline(connection, RPC_REQUEST_TIMEOUT);
    } else if (connection->input_ended) {
        linger(connection);
    } else {
        if (!timer_is_running(&connection->deadline)) // just accepted: no timer is started in callbacks, which come before the clock is read
            set_deadline(connection, RPC_REQUEST_TIMEOUT);
        connection->transport->ops->read_start(connection->transport);
    }
}

static void receive(struct connection *connection) {
    while (connection->failure == OK && !connection->request_complete && !connection->broken)
        if (!feed_some(connection))
            break;
    if (connection->transport->out.length > 0)
        connection->transport->ops->flush(connection->transport);
    if (connection->failure != OK)
        reply_with_error(connection, connection->failure);
    else if (connection->request_complete)
        hand_over(connection);
    else if (connection->input_ended)
        linger(connection);
    else
        connection->transport->ops->read_start(connection->transport);
}

// ---- the one place that decides

static void expire(struct connection *connection) {
    connection->expired = false;
    switch (connection->state) {
    case CONNECTION_RECEIVING:
        reply_with_error(connection, ERROR_HEADER_TIMEOUT);
        break;
    case CONNECTION_HANDLING:
        if (connection->reply.status != 0)
            break; // it was answered in this very turn
        connection->server->handler->cancelled(connection->server->owner, &connection->request);
        reply_with_error(connection, ERROR_REQUEST_TIMEOUT);
        break;
    case CONNECTION_IDLE:
    case CONNECTION_OPEN:
    case CONNECTION_REPLYING:
    case CONNECTION_LINGERING:
    case CONNECTION_CLOSED:
        connection_close(connection, connection->state != CONNECTION_IDLE);
        break;
    }
}

// One step; false when the connection waits for something.
static bool step(struct connection *connection) {
    enum connection_state before = connection->state;
    if (connection->broken) {
        connection_close(connection, false);
        return false;
    }
    if (connection->expired) {
        expire(connection);
        return connection->state != CONNECTION_CLOSED;
    }
    switch (connection->state) {
    case CONNECTION_IDLE:
        wait_for_request(connection);
        break;
    case CONNECTION_RECEIVING:
        receive(connection);
        break;
    case CONNECTION_HANDLING:
        if (connection->reply.status != 0)
            begin_reply(connection);
        break;
    case CONNECTION_OPEN:
        if (connection->is_open && connection->input_ended)
            connection_close(connection, false); // who waits for more of an answer keeps its side open
        else
            send_open_reply(connection);
        break;
    case CONNECTION_REPLYING:
        if (connection->drained)
            set_deadline(connection, RPC_REQUEST_TIMEOUT); // the client takes it, if slowly
        connection->drained = false;
        if (send_reply(connection))
            finish_reply(connection);
        break;
    case CONNECTION_LINGERING:
        buffer_clear(&connection->input);
        if (connection->input_ended && buffer_is_empty(&connection->transport->out))
            connection_close(connection, false);
        else if (!connection->input_ended)
            connection->transport->ops->read_start(connection->transport);
        break;
    case CONNECTION_CLOSED:
        break;
    }
    return connection->state != CONNECTION_CLOSED && (connection->state != before || connection->broken);
}

static void connection_advance(struct task *task) {
    struct connection *connection = CONTAINER_OF(task, struct connection, advance);
    while (step(connection))
        continue;
}

enum error rpc_connection_open(struct rpc_server *server, int socket) {
    struct connection *connection = alloc_zeroed_or_abort(1, sizeof(*connection));
    socklen_t length = sizeof connection->process;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &connection->process, &length) != 0)
        connection->process.pid = 0;
    enum error error = tcp_adopt(server->loop, socket, &transport_handler, connection, &connection->transport);
    if (error != OK) {
        free(connection);
        return error;
    }
    connection->server = server;
    connection->state = CONNECTION_IDLE;
    connection->codec = h1_codec_create(CODEC_SERVER, &limits, &codec_handler, connection, &connection->transport->out);
    connection->codec->scheme = BYTES("http");
    list_init(&connection->link);
    buffer_init(&connection->input, &server->loop->blocks);
    buffer_init(&connection->body, &server->loop->blocks);
    task_init(&connection->advance, connection_advance);
    task_init(&connection->release, connection_release);
    timer_init(&connection->deadline, on_deadline);
    list_push_back(&server->connections, &connection->link);
    loop_wake(server->loop, &connection->advance);
    return OK;
}

static bool is_quiet(const struct connection *connection) {
    return connection->state == CONNECTION_IDLE && buffer_is_empty(&connection->input);
}

// Who sends a request drop by drop holds a place as long as who sends nothing: a request that comes whole is received in the turn in which it comes.
static bool is_slow(const struct connection *connection) {
    return connection->state == CONNECTION_RECEIVING || connection->state == CONNECTION_LINGERING;
}

// Any progress renews its deadline, and so it may take for ever.
static bool takes_long(const struct connection *connection) {
    return connection->state == CONNECTION_REPLYING && connection->server->loop->now - connection->replied >= RPC_REPLY_PATIENCE;
}

static bool close_first(struct rpc_server *server, bool (*may_go)(const struct connection *connection)) {
    LIST_EACH(&server->connections, node, following) {
        struct connection *connection = LIST_ENTRY(node, struct connection, link);
        if (may_go(connection)) {
            connection_close(connection, connection->state == CONNECTION_REPLYING);
            return true;
        }
    }
    return false;
}

bool rpc_connection_close_quietest(struct rpc_server *server) {
    return close_first(server, is_quiet);
}

bool rpc_connection_make_room(struct rpc_server *server) {
    return close_first(server, is_quiet) || close_first(server, is_slow) || close_first(server, takes_long);
}

void rpc_connection_close_all(struct rpc_server *server) {
    while (!list_is_empty(&server->connections))
        connection_close(LIST_ENTRY(list_first(&server->connections), struct connection, link), false);
}

void rpc_reply_field(struct rpc_request *request, struct bytes name, struct bytes value) {
    struct connection *connection = CONTAINER_OF(request, struct connection, request);
    CHECK(connection->state == CONNECTION_HANDLING && connection->reply.status == 0);
    CHECK(is_field_value(value));
    fields_add(&connection->reply.fields, name, pool_copy(&connection->pool, value));
}

void rpc_reply(struct rpc_request *request, uint16_t status, struct bytes content_type, struct buffer *body) {
    struct connection *connection = CONTAINER_OF(request, struct connection, request);
    CHECK(connection->state == CONNECTION_HANDLING && connection->reply.status == 0);
    CHECK(status >= 200 && status <= 599);
    connection->reply.status = status;
    connection->reply.type = content_type;
    buffer_move(&connection->body, body, SIZE_MAX);
    loop_wake(connection->server->loop, &connection->advance);
}

void rpc_reply_open(struct rpc_request *request, uint16_t status, struct bytes content_type) {
    struct connection *connection = CONTAINER_OF(request, struct connection, request);
    CHECK(connection->state == CONNECTION_HANDLING && connection->reply.status == 0);
    CHECK(status >= 200 && status <= 599 && request->method != METHOD_HEAD);
    connection->reply.status = status;
    connection->reply.type = content_type;
    connection->was_opened = connection->is_open = true;
    loop_wake(connection->server->loop, &connection->advance);
}

size_t rpc_reply_room(struct rpc_request *request) {
    struct connection *connection = CONTAINER_OF(request, struct connection, request);
    CHECK(connection->is_open && connection->body.length <= RPC_OPEN_REPLY_MAX);
    return RPC_OPEN_REPLY_MAX - connection->body.length;
}

void rpc_reply_write(struct rpc_request *request, struct bytes piece) {
    struct connection *connection = CONTAINER_OF(request, struct connection, request);
    CHECK(piece.len <= rpc_reply_room(request));
    buffer_append(&connection->body, piece);
    connection->is_full |= connection->body.length > RPC_OPEN_REPLY_MAX / 2;
    loop_wake(connection->server->loop, &connection->advance);
}

void rpc_reply_hurry(struct rpc_request *request) {
    struct connection *connection = CONTAINER_OF(request, struct connection, request);
    CHECK(connection->is_open);
    connection->is_hurried = true;
    if (connection->state == CONNECTION_OPEN)
        set_deadline(connection, RPC_REQUEST_TIMEOUT);
}

void rpc_reply_end(struct rpc_request *request) {
    struct connection *connection = CONTAINER_OF(request, struct connection, request);
    CHECK(connection->is_open);
    connection->is_open = false;
    connection->is_ending = true;
    loop_wake(connection->server->loop, &connection->advance);
}
