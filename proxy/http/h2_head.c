// Header blocks that are received become heads and trailers: field by field as nghttp2 decodes them, then whole, after the limits and the checks of
// RFC 9113 section 8 that nghttp2 leaves to us.
//
// A request over a limit is delivered as `failed` with the stream still open, so that it gets the answer that names the limit; what is malformed is
// reset (RFC 9113 section 8.1.1). nghttp2 itself resets most of that: h2_receive.c hears of it when the stream closes.
#include "http/h2_private.h"
#include "http/h2_window.h"

#include "base/check.h"
#include "http/canonical.h"

// One field of a header block; its text is nghttp2's.
struct received_field {
    struct bytes name;
    struct bytes value;
    bool never_indexed;
};

// Lives as long as the stream.
static struct bytes keep(const struct codec_stream *stream, struct bytes text) {
    char *copy = pool_alloc(stream->pool, text.len);
    if (text.len > 0)
        memcpy(copy, text.at, text.len);
    return bytes_from(copy, text.len);
}

// --- header blocks: one field after the other ---

static void receive_method(struct codec_stream *stream, struct bytes value) {
    struct head *head = &stream->head;
    head->method = method_from_text(value);
    head->method_text = head->method == METHOD_OTHER ? keep(stream, value) : method_text(head->method);
}

static void receive_scheme(struct codec_stream *stream, struct bytes value) {
    // Others stay empty and are refused.
    if (bytes_equal_nocase(value, BYTES("https")))
        stream->head.scheme = BYTES("https");
    else if (bytes_equal_nocase(value, BYTES("http")))
        stream->head.scheme = BYTES("http");
}

static void receive_status(struct codec_stream *stream, struct bytes value) {
    uint64_t status = 0;
    // Three digits, as nghttp2 has checked; what they may say is checked with the whole head.
    if (bytes_to_u64(value, 999, &status))
        stream->head.status = (uint16_t)status;
}

static void receive_pseudo_field(struct h2_codec *codec, const struct received_field *field) {
    struct h2_receiving *receiving = &codec->receiving;
    struct codec_stream *stream = receiving->stream;
    if (bytes_equal(field->name, BYTES(":status"))) {
        receive_status(stream, field->value);
    } else if (bytes_equal(field->name, BYTES(":path"))) {
        const bool is_long = field->value.len > codec->base.limits.url_bytes;
        receiving->refusal = is_long ? ERROR_URI_TOO_LONG : receiving->refusal;
        stream->head.path = keep(stream, is_long ? bytes_from(field->value.at, codec->base.limits.url_bytes) : field->value); // for logs
    } else if (bytes_equal(field->name, BYTES(":method"))) {
        receive_method(stream, field->value);
    } else if (bytes_equal(field->name, BYTES(":scheme"))) {
        receive_scheme(stream, field->value);
    } else if (bytes_equal(field->name, BYTES(":authority"))) {
        stream->head.authority = keep(stream, field->value);
    } else if (bytes_equal(field->name, BYTES(":protocol"))) {
        stream->head.protocol = keep(stream, field->value);
    }
}

// Fields that are acted upon and are not in the list. True when it was one.
static bool receive_framing_field(struct h2_receiving *receiving, enum field_id id, struct bytes value) {
    struct codec_stream *stream = receiving->stream;
    struct head *head = &stream->head;
    uint64_t length;
    switch (id) {
    case FIELD_HOST:
        receiving->has_host = true;
        receiving->host = keep(stream, value);
        return true;
    case FIELD_CONTENT_LENGTH:
        if (bytes_to_u64(value, INT64_MAX, &length))
            head->content_length = (int64_t)length;
        return true;
    case FIELD_TE:
        head->te_trailers = true; // nghttp2 lets nothing else pass
        return true;
    case FIELD_EXPECT: // RFC 9110 section 10.1.1: no other expectation is known
        head->expect_continue = bytes_equal_nocase(value, BYTES("100-continue"));
        if (!head->expect_continue)
            receiving->refusal = ERROR_EXPECTATION;
        return true;
    default:
        return false;
    }
}

// The value, and a name that is not known, in the stream's pool.
static void add_field(struct h2_codec *codec, enum field_id id, const struct received_field *received) {
    struct h2_receiving *receiving = &codec->receiving;
    struct bytes name = codec->memory->lower_names[id];
    if (name.len == 0)
        name = keep(receiving->stream, received->name);
    struct field *field = fields_add_as(receiving->fields, id, name, keep(receiving->stream, received->value));
    field->never_indexed = received->never_indexed;
}

static void receive_field(struct h2_codec *codec, const struct received_field *field) {
    struct h2_receiving *receiving = &codec->receiving;
    enum field_id id = field_id_of(field->name);
    // A cookie in crumbs is one field (RFC 9113 section 8.2.3); each crumb counts in bytes.
    if (id != FIELD_COOKIE || receiving->crumbs++ == 0)
        receiving->count++;
    if (receiving->count > codec->base.limits.headers) {
        receiving->refusal = ERROR_HEADERS_TOO_LARGE;
        return;
    }
    if (receiving->trailers ? !field_may_trail(id) : receive_framing_field(receiving, id, field->value))
        return;
    add_field(codec, id, field);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len, const uint8_t *value,
                     size_t value_len, uint8_t flags, void *user) {
    (void)session;
    (void)frame;
    struct h2_codec *codec = user;
    struct h2_receiving *receiving = &codec->receiving;
    if (codec->failure != OK)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (receiving->stream == NULL || receiving->refusal != OK)
        return 0;
    const struct received_field field = {h2_text(name, name_len), h2_text(value, value_len), (flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0};
    // At most 64 KiB each, as nghttp2 has it: no overflow before the limit ends it.
    receiving->bytes += (uint32_t)(field.name.len + field.value.len + 32);
    if (receiving->bytes > codec->base.limits.header_bytes && !bytes_equal(field.name, BYTES(":path")))
        receiving->refusal = ERROR_HEADERS_TOO_LARGE;
    else if (field.name.at[0] == ':')
        receive_pseudo_field(codec, &field);
    else
        receive_field(codec, &field);
    return 0;
}

// Values with controls or blanks at their ends would be dropped in silence, and the request go on without what a policy may ask for.
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name, nghttp2_rcbuf *value, uint8_t flags,
                             void *user) {
    (void)session;
    (void)frame;
    (void)name;
    (void)value;
    (void)flags;
    (void)user;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

// --- header blocks: begin and end ---

static void begin_fields(struct h2_codec *codec, struct codec_stream *stream) {
    struct h2_receiving *receiving = &codec->receiving;
    *receiving = (struct h2_receiving){.stream = stream};
    codec->barren_frames = 0;
    if (stream->received == PROGRESS_BODY) {
        receiving->trailers = true;
        receiving->fields = &stream->trailers;
        fields_init(&stream->trailers, stream->pool);
        return;
    }
    head_init(&stream->head, stream->pool);
    stream->head.version = HTTP_2;
    receiving->fields = &stream->head.fields;
}

static int begin_request(struct h2_codec *codec, int32_t id) {
    struct codec_stream *stream = NULL;
    if (codec->base.out->length <= H2_UNREAD_MAX)
        stream = codec->base.handler->begin(codec->base.owner);
    if (stream == NULL) {
        (void)nghttp2_submit_rst_stream(codec->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
        // The block is decoded, for HPACK's sake, and nothing more is heard of it.
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    h2_stream_begin(codec, stream, id);
    CHECK(nghttp2_session_set_stream_user_data(codec->session, id, stream) == 0);
    begin_fields(codec, stream);
    return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    (void)session;
    struct h2_codec *codec = user;
    codec->receiving.stream = NULL;
    if (codec->failure != OK)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        return begin_request(codec, frame->hd.stream_id);
    struct codec_stream *stream = h2_stream_of(codec, frame->hd.stream_id);
    if (stream != NULL && stream->received < PROGRESS_ENDED)
        begin_fields(codec, stream);
    return 0;
}

static void join_cookie_crumbs(struct h2_receiving *receiving) {
    struct fields *fields = receiving->fields;
    size_t length = 0;
    FIELDS_EACH(fields, field) {
        if (field->id == FIELD_COOKIE)
            length += field->value.len + 2;
    }
    char *joined = pool_alloc(receiving->stream->pool, length);
    char *at = joined;
    FIELDS_EACH(fields, field) {
        if (field->id != FIELD_COOKIE)
            continue;
        if (at != joined) {
            *at++ = ';';
            *at++ = ' ';
        }
        if (field->value.len > 0)
            memcpy(at, field->value.at, field->value.len);
        at += field->value.len;
    }
    fields_set_known(fields, FIELD_COOKIE, bytes_from(joined, (size_t)(at - joined)));
}

// The request gets an answer that names the error; its body, if any, is not wanted. What of its head was received stays, for logs.
static void refuse(struct h2_codec *codec, struct codec_stream *stream, enum error error) {
    CHECK(stream->sent == PROGRESS_HEAD);
    stream->received = PROGRESS_BROKEN;
    codec->base.handler->failed(codec->base.owner, stream, error);
}

// One host, told twice, is told once; two are an attempt to have one checked and the other served.
static bool unite_host(const struct h2_receiving *receiving, struct head *head) {
    if (!receiving->has_host)
        return true;
    if (head->authority.len > 0)
        return bytes_equal_nocase(head->authority, receiving->host);
    head->authority = receiving->host;
    return true;
}

// RFC 8441 section 4; nghttp2 has seen to it that :protocol comes with CONNECT alone. Over HTTP/1 it would be a GET, and such is it to all that follows.
static bool take_extended_connect(struct head *head) {
    if (!bytes_equal_nocase(head->protocol, PROTOCOL_WEBSOCKET))
        return false;
    head->protocol = PROTOCOL_WEBSOCKET;
    head->method = METHOD_GET;
    head->method_text = method_text(METHOD_GET);
    return true;
}

static enum error check_request(struct head *head) {
    if ((head->method == METHOD_CONNECT && !take_extended_connect(head)) || head->method == METHOD_TRACE)
        return ERROR_METHOD_UNKNOWN;
    if (head->protocol.len > 0 && head->content_length >= 0)
        return ERROR_BAD_REQUEST; // a tunnel has no length
    bool asterisk = head->method == METHOD_OPTIONS && bytes_equal(head->path, BYTES("*"));
    if (!asterisk && (head->path.len == 0 || head->path.at[0] != '/'))
        return ERROR_BAD_REQUEST;
    if (bytes_find(head->path, '#') < head->path.len)
        return ERROR_BAD_REQUEST;
    if (head->scheme.len == 0 || !authority_is_valid(head->authority))
        return ERROR_BAD_REQUEST;
    return OK;
}

static void request_complete(struct h2_codec *codec, struct codec_stream *stream, bool end) {
    struct head *head = &stream->head;
    enum error refusal = codec->receiving.refusal;
    if (refusal == OK && !unite_host(&codec->receiving, head)) {
        h2_stream_break(codec, stream, NGHTTP2_PROTOCOL_ERROR, ERROR_BAD_REQUEST);
        return;
    }
    if (refusal == OK)
        refusal = check_request(head);
    stream->method = head->method;
    if (refusal != OK) {
        refuse(codec, stream, refusal);
        return;
    }
    if (head->protocol.len > 0)
        stream->tunnel = TUNNEL_ASKED;
    head->expect_continue = head->expect_continue && !end && stream->tunnel == TUNNEL_NONE; // of no use where no body comes
    stream->received = end ? PROGRESS_ENDED : PROGRESS_BODY;
    codec->base.handler->head(codec->base.owner, stream, end);
}

// Any 2xx takes it (RFC 8441 section 5), which is said as over HTTP/1; another answer is one of a plain request.
static void end_of_asking(struct codec_stream *stream) {
    const bool taken = stream->head.status / 100 == 2;
    stream->tunnel = taken ? TUNNEL_OPEN : TUNNEL_NONE;
    if (taken)
        stream->head.status = 101;
}

static void response_complete(struct h2_codec *codec, struct codec_stream *stream, bool end) {
    const struct head *head = &stream->head;
    bool informational = head->status >= 100 && head->status <= 199;
    if (codec->receiving.refusal != OK || head->status < 100 || head->status > 599 ||
        (informational && ++stream->informational > H2_INFORMATIONAL_MAX)) {
        h2_stream_break(codec, stream, NGHTTP2_PROTOCOL_ERROR, ERROR_RESPONSE_MALFORMED);
        return;
    }
    if (!informational && stream->tunnel == TUNNEL_ASKED)
        end_of_asking(stream);
    if (!informational)
        stream->received = end ? PROGRESS_ENDED : PROGRESS_BODY;
    if (codec_stream_is_done(stream))
        h2_stream_forget(codec, stream);
    codec->base.handler->head(codec->base.owner, stream, end);
}

void h2_message_complete(struct h2_codec *codec, struct codec_stream *stream) {
    stream->received = PROGRESS_ENDED;
    h2_window_end(codec, stream);
    if (codec_stream_is_done(stream))
        h2_stream_forget(codec, stream);
    codec->base.handler->end(codec->base.owner, stream);
}

static void trailers_complete(struct h2_codec *codec, struct codec_stream *stream) {
    const bool server = codec->base.role == CODEC_SERVER;
    if (stream->tunnel != TUNNEL_NONE) // RFC 9113 section 8.5: nothing but DATA there
        h2_stream_break(codec, stream, NGHTTP2_PROTOCOL_ERROR, server ? ERROR_BAD_REQUEST : ERROR_RESPONSE_MALFORMED);
    else if (codec->receiving.refusal == OK)
        h2_message_complete(codec, stream);
    else if (server && stream->sent == PROGRESS_HEAD)
        refuse(codec, stream, codec->receiving.refusal);
    else
        h2_stream_break(codec, stream, NGHTTP2_PROTOCOL_ERROR, server ? codec->receiving.refusal : ERROR_RESPONSE_MALFORMED);
}

void h2_fields_complete(struct h2_codec *codec, bool end) {
    struct h2_receiving *receiving = &codec->receiving;
    struct codec_stream *stream = receiving->stream;
    if (stream == NULL)
        return;
    receiving->stream = NULL;
    CHECK(stream->codec == &codec->base);
    if (receiving->trailers) {
        trailers_complete(codec, stream);
        return;
    }
    if (receiving->refusal == OK && receiving->crumbs > 1) {
        receiving->stream = stream;
        join_cookie_crumbs(receiving);
        receiving->stream = NULL;
    }
    if (codec->base.role == CODEC_SERVER)
        request_complete(codec, stream, end);
    else
        response_complete(codec, stream, end);
}

void h2_set_head_callbacks(nghttp2_session_callbacks *callbacks) {
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(callbacks, on_invalid_header);
}
