// The HTTP/2 codec on nghttp2: its life, what the connection does (feed, produce, signals, its end) and which streams are open. What heads mean is in
// h2_head.c and h2_send.c. nghttp2 keeps the frames, HPACK, windows and priorities; it is driven through mem_recv and mem_send only.
//
// nghttp2 calls back from within both. A callback that finds the connection lost sets `failure`; from then on every callback fails, so that parsing ends
// at once; feed sends the GOAWAY and the session is never touched again.
#include "http/h2_codec.h"

#include "base/check.h"
#include "base/pool.h"
#include "http/h2_private.h"
#include "http/h2_window.h"

#include <stdlib.h>

const char h2_client_preface[24] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static struct h2_codec *h2_of(struct codec *base) {
    return CONTAINER_OF(base, struct h2_codec, base);
}

void h2_stream_begin(struct h2_codec *codec, struct codec_stream *stream, int32_t id) {
    CHECK(stream->codec == NULL);
    CHECK(stream->pool != NULL);
    stream->codec = &codec->base;
    stream->id = (uint32_t)id;
    stream->received = PROGRESS_HEAD;
    stream->sent = PROGRESS_HEAD;
    buffer_init(&stream->out, codec->base.out->source);
    list_init(&stream->link);
    list_push_back(&codec->streams, &stream->link);
    h2_window_begin(codec, stream);
    codec->base.streams_open++;
}

void h2_stream_forget(struct h2_codec *codec, struct codec_stream *stream) {
    CHECK(stream->codec == &codec->base);
    CHECK(codec->base.streams_open > 0);
    // It fails where nghttp2 has no such stream (any more).
    (void)nghttp2_session_set_stream_user_data(codec->session, (int32_t)stream->id, NULL);
    h2_window_end(codec, stream);
    list_remove(&stream->link);
    buffer_clear(&stream->out);
    codec->base.streams_open--;
    stream->codec = NULL;
}

void h2_stream_break(struct h2_codec *codec, struct codec_stream *stream, uint32_t code, enum error error) {
    (void)nghttp2_submit_rst_stream(codec->session, NGHTTP2_FLAG_NONE, (int32_t)stream->id, code);
    if (stream->sent == PROGRESS_HEAD)
        codec->closed_early++;
    stream->received = PROGRESS_BROKEN;
    stream->sent = PROGRESS_BROKEN;
    h2_stream_forget(codec, stream);
    codec->base.handler->failed(codec->base.owner, stream, error);
}

void h2_fail(struct h2_codec *codec, enum error error) {
    CHECK(error != OK);
    if (codec->failure == OK)
        codec->failure = error;
    codec->base.refuses_new = true;
}

static uint32_t goaway_code(enum error failure) {
    switch (failure) {
    case ERROR_FLOOD:
        return NGHTTP2_ENHANCE_YOUR_CALM;
    case ERROR_PROTOCOL:
        return NGHTTP2_PROTOCOL_ERROR;
    default: // no memory
        return NGHTTP2_INTERNAL_ERROR;
    }
}

static enum error failure_of(int code) {
    switch (code) {
    case NGHTTP2_ERR_FLOODED:
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
        return ERROR_FLOOD;
    case NGHTTP2_ERR_NOMEM:
        return ERROR_NO_MEMORY;
    case NGHTTP2_ERR_CALLBACK_FAILURE: // ours fail only once `failure` is set
        return ERROR_INTERNAL;
    default:
        return ERROR_PROTOCOL;
    }
}

// Control frames that the peer has not read: counted from a mark in the output, begun anew when that was sent. Only the codec writes into `out`.
static void count_control(struct h2_codec *codec, size_t length) {
    uint64_t sent = codec->written - codec->base.out->length;
    if (sent >= codec->control_mark) {
        codec->control_bytes = 0;
        codec->control_mark = codec->written + length;
    }
    codec->control_bytes += (uint32_t)length;
    if (codec->control_bytes > H2_CONTROL_BYTES_MAX)
        h2_fail(codec, ERROR_FLOOD);
}

static void write_frame(struct h2_codec *codec, struct bytes frame) {
    enum { TYPE = 3 }; // its place in the frame's header; each chunk begins with one, but for the client's magic
    CHECK(frame.len > TYPE);
    if (frame.at[TYPE] != NGHTTP2_HEADERS && frame.at[TYPE] != NGHTTP2_CONTINUATION)
        count_control(codec, frame.len);
    codec->written += frame.len;
    buffer_append(codec->base.out, frame);
}

static ssize_t next_frame(struct h2_codec *codec, struct bytes *frame) {
    const uint8_t *at;
    ssize_t length = nghttp2_session_mem_send(codec->session, &at);
    if (length > 0)
        *frame = h2_text(at, (size_t)length);
    return length;
}

// False when there is nothing (more) to write.
static bool write_next(struct h2_codec *codec) {
    struct bytes frame;
    ssize_t length = next_frame(codec, &frame);
    if (length < 0)
        h2_fail(codec, failure_of((int)length));
    if (length <= 0)
        return false;
    write_frame(codec, frame);
    return codec->failure == OK;
}

void h2_write_head(struct h2_codec *codec, int32_t id) {
    CHECK(!codec->finished);
    codec->hold_bodies = true;
    codec->head_written = 0;
    while (codec->head_written != id && write_next(codec))
        ;
}

static void write_control(struct h2_codec *codec) {
    codec->hold_bodies = true;
    while (write_next(codec))
        ;
}

void h2_write_all(struct h2_codec *codec) {
    codec->hold_bodies = false;
    while (codec->base.out->length < LIMIT_OUTPUT_BYTES && write_next(codec))
        ;
}

// The last that is written: GOAWAY, unless nghttp2 has sent one already. A session that has failed within itself is left as it is.
static void finish(struct h2_codec *codec) {
    CHECK(codec->failure != OK);
    struct bytes frame;
    codec->finished = true;
    if (codec->failure == ERROR_INTERNAL)
        return;
    codec->hold_bodies = true;
    (void)nghttp2_session_terminate_session(codec->session, goaway_code(codec->failure));
    while (next_frame(codec, &frame) > 0)
        buffer_append(codec->base.out, frame);
}

static void update_closing(struct h2_codec *codec) {
    const bool idle = codec->base.streams_open == 0;
    codec->base.close_when_flushed =
        codec->finished ||
        (idle && (codec->peer_closed || (!nghttp2_session_want_read(codec->session) && !nghttp2_session_want_write(codec->session))));
}

// The peer sends nothing more. What it sent in full may still be answered: HTTP/2 knows half-closed streams too.
static void peer_closed(struct h2_codec *codec) {
    codec->peer_closed = true;
    codec->base.refuses_new = true;
    LIST_EACH(&codec->streams, node, following) {
        struct codec_stream *stream = LIST_ENTRY(node, struct codec_stream, link);
        if (stream->received >= PROGRESS_ENDED)
            continue;
        stream->received = PROGRESS_BROKEN;
        stream->sent = PROGRESS_BROKEN;
        h2_stream_forget(codec, stream);
        codec->base.handler->failed(codec->base.owner, stream, codec->base.role == CODEC_CLIENT ? ERROR_UPSTREAM_RESET : ERROR_CLIENT_GONE);
    }
}

static void parse(struct h2_codec *codec, struct block *block, struct bytes in) {
    const void *at = in.at;
    codec->block = block;
    ssize_t parsed = nghttp2_session_mem_recv(codec->session, at, in.len);
    if (parsed < 0)
        h2_fail(codec, failure_of((int)parsed));
    // What nghttp2 has to say to this (resets, acknowledgements) is written now: its writing tells which streams are lost, and a connection error
    // of its own shows as the GOAWAY.
    if (codec->failure == OK && nghttp2_session_get_outbound_queue_size(codec->session) > 0)
        write_control(codec);
    codec->block = NULL;
}

static enum error h2_feed(struct codec *base, struct block *block, struct bytes in, size_t *used) {
    struct h2_codec *codec = h2_of(base);
    CHECK(codec->block == NULL && !codec->producing);
    *used = in.len;
    if (codec->finished)
        return codec->failure;
    if (in.len == 0)
        peer_closed(codec);
    else
        parse(codec, block, in);
    if (codec->failure != OK)
        finish(codec);
    update_closing(codec);
    return codec->failure;
}

static enum error h2_produce(struct codec *base) {
    struct h2_codec *codec = h2_of(base);
    CHECK(codec->block == NULL && !codec->producing);
    if (codec->finished)
        return OK;
    codec->producing = true;
    if (codec->failure == OK)
        h2_write_all(codec);
    codec->producing = false;
    if (codec->failure != OK)
        finish(codec);
    update_closing(codec);
    return codec->failure;
}

static void h2_consumed(struct codec *base, struct codec_stream *stream, size_t count) {
    struct h2_codec *codec = h2_of(base);
    // Once all was received the window is of no more use; the codec may then have forgotten the stream.
    if (codec->finished || stream->codec == NULL || stream->received != PROGRESS_BODY)
        return;
    // Nor where all of it takes half of the first window at most. Not the whole: a sender whose window is used up may wait for another one before it says that
    // this was the end. What padding takes nghttp2 gives back by itself, once that is half a window.
    if (stream->head.content_length >= 0 && stream->head.content_length <= (int64_t)base->limits.stream_window_first / 2)
        return;
    h2_window_open(codec, stream);
    if (nghttp2_session_consume_stream(codec->session, (int32_t)stream->id, count) != 0)
        h2_fail(codec, ERROR_INTERNAL);
    else
        h2_window_consumed(codec, stream, count);
}

static uint32_t reset_code(enum codec_role role, enum codec_tunnel tunnel, enum error error) {
    if (tunnel == TUNNEL_OPEN)
        return NGHTTP2_CANCEL; // what a reset of TCP is (RFC 8441 section 5)
    switch (error) {
    case ERROR_CANCELLED:
    case ERROR_CLIENT_GONE:
        return NGHTTP2_CANCEL;
    case ERROR_REFUSED_STREAM:
    case ERROR_DRAINING:
        return NGHTTP2_REFUSED_STREAM;
    case ERROR_FLOOD:
        return NGHTTP2_ENHANCE_YOUR_CALM;
    case ERROR_BAD_REQUEST:
    case ERROR_FRAMING_INVALID:
    case ERROR_RESPONSE_MALFORMED:
    case ERROR_PROTOCOL:
        return NGHTTP2_PROTOCOL_ERROR;
    case ERROR_INTERNAL:
        return NGHTTP2_INTERNAL_ERROR;
    default:
        // A server whose response cannot go on; a client that waits no longer.
        return role == CODEC_SERVER ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_CANCEL;
    }
}

static void h2_reset(struct codec *base, struct codec_stream *stream, enum error error) {
    struct h2_codec *codec = h2_of(base);
    CHECK(codec->block == NULL && !codec->producing);
    CHECK(stream->codec == base);
    const uint32_t code = reset_code(base->role, stream->tunnel, error);
    if (!codec->finished && nghttp2_submit_rst_stream(codec->session, NGHTTP2_FLAG_NONE, (int32_t)stream->id, code) != 0)
        h2_fail(codec, ERROR_INTERNAL);
    stream->received = PROGRESS_BROKEN;
    stream->sent = PROGRESS_BROKEN;
    h2_stream_forget(codec, stream);
}

static int drain(struct h2_codec *codec) {
    codec->base.refuses_new = true;
    // A client has no notice to give: it just begins nothing more.
    return codec->base.role == CODEC_SERVER ? nghttp2_submit_shutdown_notice(codec->session) : 0;
}

static int ping(struct h2_codec *codec) {
    codec->base.pings_outstanding++;
    return nghttp2_submit_ping(codec->session, NGHTTP2_FLAG_NONE, NULL);
}

static void h2_signal(struct codec *base, enum codec_signal signal) {
    struct h2_codec *codec = h2_of(base);
    if (codec->finished)
        return;
    int result = 0;
    switch (signal) {
    case CODEC_DRAIN:
        result = drain(codec);
        break;
    case CODEC_DRAIN_FINAL:
        base->refuses_new = true;
        result = nghttp2_submit_goaway(codec->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(codec->session), NGHTTP2_NO_ERROR,
                                       NULL, 0);
        break;
    case CODEC_PING:
        result = ping(codec);
        break;
    }
    if (result != 0)
        h2_fail(codec, ERROR_INTERNAL);
}

static void h2_dispose(struct codec *base) {
    struct h2_codec *codec = h2_of(base);
    CHECK(codec->block == NULL && !codec->producing);
    LIST_EACH(&codec->streams, node, following) {
        struct codec_stream *stream = LIST_ENTRY(node, struct codec_stream, link);
        h2_window_end(codec, stream);
        list_remove(&stream->link);
        buffer_clear(&stream->out);
        stream->codec = NULL;
    }
    nghttp2_session_del(codec->session);
    free(codec);
}

static const struct codec_ops h2_ops = {
    .feed = h2_feed,
    .send_head = h2_send_head,
    .send_body = h2_send_body,
    .consumed = h2_consumed,
    .reset = h2_reset,
    .produce = h2_produce,
    .signal = h2_signal,
    .dispose = h2_dispose,
};

static nghttp2_option *options_create(const struct codec_limits *limits) {
    nghttp2_option *option;
    CHECK(nghttp2_option_new(&option) == 0);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1); // a priority that depends on one counts as the default: not worth keeping a hundred of them
    nghttp2_option_set_peer_max_concurrent_streams(option, limits->streams);
    nghttp2_option_set_max_send_header_block_length(option, limits->header_bytes + H2_HEAD_ADDED_BYTES);
    nghttp2_option_set_max_outbound_ack(option, H2_OUTBOUND_ACKS_MAX);
    nghttp2_option_set_max_settings(option, H2_SETTINGS_MAX);
    nghttp2_option_set_max_continuations(option, H2_CONTINUATIONS_MAX);
    nghttp2_option_set_stream_reset_rate_limit(option, H2_RESET_BURST, H2_RESETS_PER_SECOND);
    return option;
}

static void session_create(struct h2_codec *codec) {
    nghttp2_option *option = options_create(&codec->base.limits);
    nghttp2_mem *memory = &codec->memory->allocator;
    int result = codec->base.role == CODEC_SERVER ? nghttp2_session_server_new3(&codec->session, codec->memory->callbacks, codec, option, memory)
                                                  : nghttp2_session_client_new3(&codec->session, codec->memory->callbacks, codec, option, memory);
    CHECK(result == 0); // sizes that we choose: the allocator aborts rather than fail
    nghttp2_option_del(option);
}

static void submit_settings(struct h2_codec *codec) {
    const struct codec_limits *limits = &codec->base.limits;
    const nghttp2_settings_entry server[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits->stream_window_first},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits->header_bytes},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->streams},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
    };
    const nghttp2_settings_entry client[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits->stream_window_first},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits->header_bytes},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    };
    int result = codec->base.role == CODEC_SERVER
                     ? nghttp2_submit_settings(codec->session, NGHTTP2_FLAG_NONE, server, sizeof(server) / sizeof(server[0]))
                     : nghttp2_submit_settings(codec->session, NGHTTP2_FLAG_NONE, client, sizeof(client) / sizeof(client[0]));
    CHECK(result == 0);
    CHECK(nghttp2_session_set_local_window_size(codec->session, NGHTTP2_FLAG_NONE, 0, H2_CONNECTION_WINDOW) == 0);
}

struct codec *h2_codec_create(enum codec_role role, const struct codec_limits *limits, const struct codec_handler *handler, void *owner,
                              struct buffer *out, struct h2_memory *memory) {
    CHECK(limits->stream_window_first >= 1 && limits->stream_window_first <= limits->stream_window);
    CHECK(limits->stream_window <= INT32_MAX && limits->stream_window_max <= INT32_MAX);
    CHECK(limits->streams >= 1);
    struct h2_codec *codec = alloc_zeroed_or_abort(1, sizeof(*codec));
    codec->base = (struct codec){
        .ops = &h2_ops,
        .handler = handler,
        .owner = owner,
        .role = role,
        .version = HTTP_2,
        .out = out,
        .limits = *limits,
        .scheme = BYTES("http"),
        .streams_max = limits->streams < H2_STREAMS_UNTOLD ? limits->streams : H2_STREAMS_UNTOLD, // until the peer's SETTINGS come
    };
    codec->memory = memory;
    list_init(&codec->streams);
    session_create(codec);
    submit_settings(codec);
    return &codec->base;
}
