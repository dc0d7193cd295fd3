// See raw_codec.h. Nothing is parsed but the announcement of outrigger-tcp/1.
#include "http/raw_codec.h"

#include "base/check.h"
#include "base/limits.h"
#include "http/headers.h"

#include <stdlib.h>

// The longest name of a refusal that is read; ours are shorter. What is longer is none of ours.
#define REFUSAL_MAX 32

struct raw_codec {
    struct codec codec;
    struct codec_stream *stream; // NULL before it began and once it is over
    enum raw_form form;
    bool was_begun;
    // a client that reads the announcement
    bool is_announced; // it was read to its end
    uint8_t expected;  // bytes of it, the first octet too; 0: nothing came yet
    uint8_t length;
    char text[1 + REFUSAL_MAX];
};

static struct raw_codec *raw_of(struct codec *codec) {
    return CONTAINER_OF(codec, struct raw_codec, codec);
}

static void forget(struct raw_codec *raw) {
    raw->stream->codec = NULL;
    raw->stream = NULL;
    raw->codec.streams_open = 0;
    raw->codec.close_when_flushed = true;
}

static void forget_when_done(struct raw_codec *raw) {
    if (raw->stream != NULL && codec_stream_is_done(raw->stream))
        forget(raw);
}

// --- receiving ---

static void answer(struct raw_codec *raw, struct bytes refusal) {
    struct codec_stream *stream = raw->stream;
    head_init(&stream->head, stream->pool);
    stream->head.version = HTTP_NONE;
    stream->head.opaque = true;
    stream->head.status = refusal.len == 0 ? 200 : 503;
    if (refusal.len > 0)
        fields_add_known(&stream->head.fields, FIELD_OUTRIGGER_REFUSED, pool_copy(stream->pool, refusal));
    stream->received = refusal.len == 0 ? PROGRESS_BODY : PROGRESS_ENDED;
    raw->is_announced = true;
    raw->codec.handler->head(raw->codec.owner, stream, refusal.len > 0);
    forget_when_done(raw);
}

// How much of `in` belongs to the announcement.
static enum error read_announcement(struct raw_codec *raw, struct bytes in, size_t *used) {
    size_t taken = 0;
    if (raw->expected == 0) {
        uint8_t name_length = (uint8_t)in.at[taken++];
        if (name_length > REFUSAL_MAX)
            return ERROR_PROTOCOL;
        raw->expected = name_length + 1;
        raw->length = 1;
    }
    while (raw->length < raw->expected && taken < in.len)
        raw->text[raw->length++] = in.at[taken++];
    *used = taken;
    if (raw->length == raw->expected)
        answer(raw, bytes_from(raw->text + 1, raw->expected - 1));
    return OK;
}

static void feed_end(struct raw_codec *raw) {
    struct codec_stream *stream = raw->stream;
    if (stream == NULL || stream->received >= PROGRESS_ENDED)
        return;
    if (stream->received == PROGRESS_HEAD) { // an end before the announcement
        stream->received = PROGRESS_BROKEN;
        forget(raw);
        raw->codec.handler->failed(raw->codec.owner, stream, ERROR_UPSTREAM_RESET);
        return;
    }
    stream->received = PROGRESS_ENDED;
    forget_when_done(raw);
    raw->codec.handler->end(raw->codec.owner, stream);
}

static enum error feed(struct codec *codec, struct block *block, struct bytes in, size_t *used) {
    struct raw_codec *raw = raw_of(codec);
    *used = in.len;
    if (in.len == 0) {
        feed_end(raw);
        return OK;
    }
    size_t announced = 0;
    if (raw->stream != NULL && !raw->is_announced) {
        enum error error = read_announcement(raw, in, &announced);
        if (error != OK)
            return error;
    }
    struct bytes body = bytes_from(in.at + announced, in.len - announced);
    struct codec_stream *stream = raw->stream;
    if (body.len == 0 || stream == NULL || stream->received != PROGRESS_BODY)
        return OK; // behind its end nobody listens
    stream->body_received += body.len;
    codec->handler->body(codec->owner, stream, block, body);
    return OK;
}

// --- sending ---

static void end_sending(struct raw_codec *raw, struct codec_stream *stream) {
    stream->sent = PROGRESS_ENDED;
    raw->codec.ends_output = true;
    forget_when_done(raw);
}

// Client: the connection is the request.
static void begin_request(struct raw_codec *raw, struct codec_stream *stream) {
    raw->stream = stream;
    raw->was_begun = true;
    raw->codec.streams_open = 1;
    raw->codec.refuses_new = true;
    stream->codec = &raw->codec;
    stream->id = 1;
    stream->method = METHOD_CONNECT;
    stream->sent = PROGRESS_BODY;
}

static void announce(struct raw_codec *raw, const struct head *head) {
    const struct field *refused = fields_find(&head->fields, FIELD_OUTRIGGER_REFUSED);
    struct bytes name = refused == NULL ? BYTES_NONE : refused->value;
    CHECK(name.len <= REFUSAL_MAX);
    char length = (char)name.len;
    buffer_append(raw->codec.out, bytes_from(&length, 1));
    if (name.len > 0)
        buffer_append(raw->codec.out, name);
}

static enum error send_head(struct codec *codec, struct codec_stream *stream, const struct head *head, bool end) {
    struct raw_codec *raw = raw_of(codec);
    if (codec->role == CODEC_CLIENT) {
        if (raw->was_begun)
            return ERROR_FULL;
        begin_request(raw, stream);
    } else {
        CHECK(raw->stream == stream && stream->sent == PROGRESS_HEAD);
        if (raw->form == RAW_ANNOUNCED)
            announce(raw, head);
        stream->sent = PROGRESS_BODY;
    }
    if (end)
        end_sending(raw, stream);
    if (codec->role == CODEC_CLIENT && raw->form == RAW_PLAIN)
        answer(raw, BYTES_NONE);
    return OK;
}

static void send_body(struct codec *codec, struct codec_stream *stream, struct buffer *body, bool end, const struct fields *trailers) {
    struct raw_codec *raw = raw_of(codec);
    (void)trailers;
    CHECK(raw->stream == stream && stream->sent == PROGRESS_BODY);
    const size_t bound = buffer_bound(codec->out, LIMIT_OUTPUT_BYTES);
    size_t room = codec->out->length < bound ? bound - codec->out->length : 0;
    stream->body_sent += buffer_move(codec->out, body, room);
    if (end && buffer_is_empty(body))
        end_sending(raw, stream);
}

// --- the rest of the vtable ---

static void consumed(struct codec *codec, struct codec_stream *stream, size_t count) {
    // There is no window: the owner stops reading.
    (void)codec;
    (void)stream;
    (void)count;
}

// A fatal alert, unrecognized_name (RFC 8446 section 6, RFC 6066 section 3), in the place of a server's first record.
static void send_alert(struct raw_codec *raw) {
    static const char alert[] = {21, 3, 3, 0, 2, 2, 112};
    buffer_append(raw->codec.out, bytes_from(alert, sizeof alert));
    raw->stream->sent = PROGRESS_ENDED;
    forget(raw);
}

static bool takes_alert(const struct raw_codec *raw, enum error error) {
    return raw->form == RAW_TLS && raw->stream->sent == PROGRESS_HEAD && (error == ERROR_HOST_UNKNOWN || error == ERROR_ROUTE_NOT_FOUND);
}

static void reset(struct codec *codec, struct codec_stream *stream, enum error error) {
    struct raw_codec *raw = raw_of(codec);
    if (raw->stream != stream)
        return;
    if (stream->received < PROGRESS_ENDED)
        stream->received = PROGRESS_BROKEN;
    if (takes_alert(raw, error)) {
        send_alert(raw);
        return;
    }
    // A break of the connection says all else.
    if (stream->sent < PROGRESS_ENDED)
        stream->sent = PROGRESS_BROKEN;
    codec->breaks_off = true;
    forget(raw);
}

static enum error produce(struct codec *codec) {
    (void)codec; // sending writes to `out` at once
    return OK;
}

static void signal_peer(struct codec *codec, enum codec_signal signal) {
    struct raw_codec *raw = raw_of(codec);
    if (signal == CODEC_DRAIN && codec->role == CODEC_CLIENT && raw->stream == NULL)
        codec->close_when_flushed = true;
}

static void dispose(struct codec *codec) {
    struct raw_codec *raw = raw_of(codec);
    if (raw->stream != NULL)
        forget(raw);
    free(raw);
}

static const struct codec_ops raw_ops = {
    .feed = feed,
    .send_head = send_head,
    .send_body = send_body,
    .consumed = consumed,
    .reset = reset,
    .produce = produce,
    .signal = signal_peer,
    .dispose = dispose,
};

struct codec *raw_codec_create(enum codec_role role, enum raw_form form, const struct codec_handler *handler, void *owner, struct buffer *out) {
    struct raw_codec *raw = alloc_zeroed_or_abort(1, sizeof *raw);
    raw->codec = (struct codec){
        .ops = &raw_ops,
        .handler = handler,
        .owner = owner,
        .role = role,
        .version = HTTP_NONE,
        .out = out,
        .streams_max = 1,
        .is_tunnel = true,
    };
    raw->form = form;
    raw->is_announced = role == CODEC_SERVER;
    return &raw->codec;
}

void raw_codec_begin(struct codec *codec, struct bytes authority) {
    struct raw_codec *raw = raw_of(codec);
    CHECK(codec->role == CODEC_SERVER && !raw->was_begun);
    struct codec_stream *stream = codec->handler->begin(codec->owner);
    CHECK(stream != NULL && stream->pool != NULL);
    raw->stream = stream;
    raw->was_begun = true;
    codec->streams_open = 1;
    stream->codec = codec;
    stream->id = 1;
    stream->method = METHOD_CONNECT;
    stream->received = PROGRESS_BODY;
    head_init(&stream->head, stream->pool);
    stream->head.version = HTTP_NONE;
    stream->head.opaque = true;
    stream->head.method = METHOD_CONNECT;
    stream->head.method_text = method_text(METHOD_CONNECT);
    stream->head.authority = authority;
    codec->handler->head(codec->owner, stream, false);
}
