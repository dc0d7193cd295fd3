// The life of an HTTP/1 connection: one exchange at a time, what llhttp finds in the bytes told to the owner, and when the connection ends.
// Heads are checked in h1_head.c and written in h1_write.c. Used by whoever owns an HTTP/1 connection, through the vtable of codec.h.
#include "http/h1_codec.h"

#include "base/check.h"
#include "base/pool.h"
#include "http/h1_private.h"
#include "http/headers.h"

#include <stdlib.h>

static void set_input(struct h1_codec *h1, enum h1_input input) {
    switch (input) {
    case INPUT_IDLE:
        CHECK(h1->input != INPUT_DISCARD);
        break;
    case INPUT_HEAD:
        CHECK(h1->input == INPUT_IDLE);
        break;
    case INPUT_BODY:
        CHECK(h1->input == INPUT_HEAD);
        break;
    case INPUT_HELD:
        CHECK(h1->input == INPUT_BODY && h1->codec.role == CODEC_SERVER);
        break;
    case INPUT_TUNNEL:
        CHECK(h1->input == (h1->codec.role == CODEC_SERVER ? INPUT_HELD : INPUT_BODY));
        break;
    case INPUT_DISCARD:
        break;
    }
    h1->input = input;
}

void h1_attach(struct h1_codec *h1, struct codec_stream *stream) {
    CHECK(h1->stream == NULL);
    CHECK(stream->pool != NULL && stream->codec == NULL);
    stream->codec = &h1->codec;
    stream->id = ++h1->exchanges;
    stream->received = PROGRESS_HEAD;
    stream->sent = PROGRESS_HEAD;
    stream->out_left = -1;
    head_init(&stream->head, stream->pool);
    fields_init(&stream->trailers, stream->pool);
    h1->stream = stream;
    h1->codec.streams_open = 1;
    h1->interims = 0;
    h1->chunk_extension_bytes = 0;
}

static void forget(struct h1_codec *h1) {
    h1->stream->codec = NULL;
    h1->stream = NULL;
    h1->codec.streams_open = 0;
}

// No exchange will follow: what was sent is the last.
static void end_connection(struct h1_codec *h1) {
    h1->closing = true;
    h1->codec.refuses_new = true;
    h1->codec.close_when_flushed = true;
    set_input(h1, INPUT_DISCARD);
}

// After each step of either direction.
static void end_exchange_when_done(struct h1_codec *h1) {
    if (!codec_stream_is_done(h1->stream))
        return;
    forget(h1);
    if (h1->closing || h1->codec.refuses_new)
        end_connection(h1);
    else
        set_input(h1, INPUT_IDLE);
}

void h1_tunnel_open(struct h1_codec *h1) {
    CHECK(h1->stream->tunnel == TUNNEL_ASKED && h1->stream->received == PROGRESS_BODY);
    h1->stream->tunnel = TUNNEL_OPEN;
    h1->closing = true;
    h1->codec.refuses_new = true;
    h1->codec.is_tunnel = true;
    set_input(h1, INPUT_TUNNEL);
}

void h1_sending_ended(struct h1_codec *h1) {
    struct codec_stream *stream = h1->stream;
    CHECK(stream->sent == PROGRESS_ENDED);
    if (h1->codec.is_tunnel) {
        h1->codec.ends_output = true;
    } else if (h1->codec.role == CODEC_SERVER && stream->received < PROGRESS_ENDED) {
        // The rest of the request would have to be read and dropped, however long it is.
        stream->received = PROGRESS_BROKEN;
        h1->closing = true;
    }
    end_exchange_when_done(h1);
}

// A request without an end, or one that cannot be passed on. It may have no stream yet: a reply needs one.
static void fail_request(struct h1_codec *h1, enum error error) {
    if (h1->stream == NULL) {
        struct codec_stream *begun = h1->codec.handler->begin(h1->codec.owner);
        CHECK(begun != NULL);
        h1_attach(h1, begun);
    }
    struct codec_stream *stream = h1->stream;
    bool reply_may_follow = stream->sent == PROGRESS_HEAD && error != ERROR_CLIENT_GONE;
    stream->received = PROGRESS_BROKEN;
    h1->closing = true;
    set_input(h1, INPUT_DISCARD);
    if (!reply_may_follow) {
        stream->sent = PROGRESS_BROKEN;
        forget(h1);
        end_connection(h1);
    }
    h1->codec.handler->failed(h1->codec.owner, stream, error);
}

static void fail_response(struct h1_codec *h1, enum error error) {
    struct codec_stream *stream = h1->stream;
    CHECK(stream != NULL);
    stream->received = PROGRESS_BROKEN;
    if (stream->sent < PROGRESS_ENDED)
        stream->sent = PROGRESS_BROKEN;
    forget(h1);
    end_connection(h1);
    h1->codec.handler->failed(h1->codec.owner, stream, error);
}

static void fail(struct h1_codec *h1, enum error error) {
    CHECK(error != OK);
    if (h1->codec.role == CODEC_SERVER && h1->stream != NULL && h1->stream->received == PROGRESS_HEAD && error != ERROR_MEMORY_LIMIT)
        h1_request_refused(h1);
    h1_section_reset(&h1->section);
    if (h1->codec.role == CODEC_SERVER)
        fail_request(h1, error);
    else
        fail_response(h1, error);
}

// ---- What llhttp calls. They return 0, or -1 when `failure` says what is wrong.

static struct h1_codec *h1_of_parser(const llhttp_t *parser) {
    return parser->data;
}

static int refuse(struct h1_codec *h1, enum error error) {
    h1->failure = error;
    return -1;
}

static int on_message_begin(llhttp_t *parser) {
    struct h1_codec *h1 = h1_of_parser(parser);
    if (h1->codec.role == CODEC_SERVER) {
        struct codec_stream *stream = h1->codec.handler->begin(h1->codec.owner);
        CHECK(stream != NULL);
        h1_attach(h1, stream);
    }
    CHECK(h1->stream != NULL);
    h1->protocol_len = 0;
    set_input(h1, INPUT_HEAD);
    return 0;
}

static int on_method(llhttp_t *parser, const char *at, size_t length) {
    struct h1_codec *h1 = h1_of_parser(parser);
    h1->gap_at = at + length;
    h1->gap_bytes = 0;
    return 0;
}

// One space stands in front of the target (RFC 9112 section 3); llhttp lets more pass, and then others may read another target than we do.
static int on_url(llhttp_t *parser, const char *at, size_t length) {
    struct h1_codec *h1 = h1_of_parser(parser);
    if (h1->gap_at != NULL) {
        h1->gap_bytes += (uint32_t)(at - h1->gap_at);
        h1->gap_at = NULL;
        if (h1->gap_bytes != 1)
            return refuse(h1, ERROR_BAD_REQUEST);
    }
    return h1_section_start(h1, at, length, h1->codec.limits.url_bytes) ? 0 : -1;
}

// The reason phrase.
static int on_status(llhttp_t *parser, const char *at, size_t length) {
    struct h1_codec *h1 = h1_of_parser(parser);
    return h1_section_start(h1, at, length, h1->codec.limits.url_bytes) ? 0 : -1;
}

static bool is_part_of_http(const char *at, size_t length, size_t position) {
    static const char name[] = {'H', 'T', 'T', 'P'};
    if (position == 0 && length == sizeof(name))
        return memcmp(at, name, sizeof(name)) == 0; // whole, as nearly always
    return length <= sizeof(name) - position && memcmp(at, name + position, length) == 0;
}

// llhttp takes RTSP and ICE as well.
static int on_protocol(llhttp_t *parser, const char *at, size_t length) {
    struct h1_codec *h1 = h1_of_parser(parser);
    if (!is_part_of_http(at, length, h1->protocol_len))
        return refuse(h1, h1->codec.role == CODEC_SERVER ? ERROR_BAD_REQUEST : ERROR_RESPONSE_MALFORMED);
    h1->protocol_len += (uint8_t)length;
    return 0;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t length) {
    return h1_section_name(h1_of_parser(parser), at, length) ? 0 : -1;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t length) {
    return h1_section_value(h1_of_parser(parser), at, length) ? 0 : -1;
}

static int request_head_complete(struct h1_codec *h1) {
    struct codec_stream *stream = h1->stream;
    bool end = false;
    enum error error = h1_request_head(h1, &end);
    if (error != OK)
        return refuse(h1, error);
    h1_section_reset(&h1->section);
    set_input(h1, INPUT_BODY);
    if (stream->head.protocol.len > 0) {
        stream->tunnel = TUNNEL_ASKED;
        end = false;
    }
    stream->received = end ? PROGRESS_ENDED : PROGRESS_BODY;
    h1->codec.handler->head(h1->codec.owner, stream, end);
    return 0;
}

// Whether it is taken, or refused by any other final head.
static void end_of_asking(struct h1_codec *h1) {
    if (h1->stream->head.status == 101) {
        h1_tunnel_open(h1);
        return;
    }
    h1->stream->tunnel = TUNNEL_NONE;
    h1->stream->out_left = 0; // the request is at its end: nothing can be sent behind it
    h1->codec.refuses_new = true;
}

// Returns 1 where llhttp must look for no body: it reads one after some 1xx.
static int response_head_complete(struct h1_codec *h1) {
    struct codec_stream *stream = h1->stream;
    bool end = false;
    enum error error = h1_response_head(h1, &end);
    if (error != OK)
        return refuse(h1, error);
    h1_section_reset(&h1->section);
    set_input(h1, INPUT_BODY);
    h1->interim = stream->head.status < 200 && stream->head.status != 101;
    if (h1->interim) {
        if (h1->interims++ == H1_INTERIM_MAX)
            return refuse(h1, ERROR_RESPONSE_MALFORMED);
        h1->codec.handler->head(h1->codec.owner, stream, false);
        return 1;
    }
    stream->received = end ? PROGRESS_ENDED : PROGRESS_BODY;
    if (stream->tunnel == TUNNEL_ASKED)
        end_of_asking(h1);
    h1->codec.handler->head(h1->codec.owner, stream, end);
    return end || h1->codec.is_tunnel ? 1 : 0;
}

static int on_headers_complete(llhttp_t *parser) {
    struct h1_codec *h1 = h1_of_parser(parser);
    return h1->codec.role == CODEC_SERVER ? request_head_complete(h1) : response_head_complete(h1);
}

static int on_body(llhttp_t *parser, const char *at, size_t length) {
    struct h1_codec *h1 = h1_of_parser(parser);
    struct codec_stream *stream = h1->stream;
    CHECK(stream != NULL && stream->received == PROGRESS_BODY);
    if (length == 0)
        return 0;
    stream->body_received += length;
    h1->codec.handler->body(h1->codec.owner, stream, h1->block, bytes_from(at, length));
    return 0;
}

static int on_chunk_extension(llhttp_t *parser, const char *at, size_t length) {
    (void)at;
    struct h1_codec *h1 = h1_of_parser(parser);
    h1->chunk_extension_bytes += (uint32_t)length;
    if (h1->chunk_extension_bytes > H1_CHUNK_EXTENSION_BYTES_MAX)
        return refuse(h1, h1->codec.role == CODEC_SERVER ? ERROR_FRAMING_INVALID : ERROR_RESPONSE_MALFORMED);
    return 0;
}

// Also the end of a 1xx, and of a response that ends with its connection.
static void message_complete(struct h1_codec *h1) {
    struct codec_stream *stream = h1->stream;
    if (h1->interim) {
        h1->interim = false;
        set_input(h1, INPUT_IDLE);
        return;
    }
    if (stream->tunnel == TUNNEL_ASKED)
        set_input(h1, INPUT_HELD);
    if (stream->tunnel != TUNNEL_NONE)
        return;
    if (h1->section.began) {
        h1_trailers(h1);
        h1_section_reset(&h1->section);
    }
    bool told = stream->received == PROGRESS_ENDED;
    stream->received = PROGRESS_ENDED;
    if (h1->codec.role == CODEC_SERVER) {
        set_input(h1, INPUT_HELD);
    } else {
        // A response before the end of the request: the server may never read the rest of it.
        if (stream->sent < PROGRESS_ENDED) {
            h1->codec.refuses_new = true;
            set_input(h1, INPUT_DISCARD);
        }
        end_exchange_when_done(h1);
    }
    if (!told)
        h1->codec.handler->end(h1->codec.owner, stream);
}

static int on_message_complete(llhttp_t *parser) {
    message_complete(h1_of_parser(parser));
    return HPE_PAUSED;
}

static const llhttp_settings_t parser_settings = {
    .on_message_begin = on_message_begin,
    .on_protocol = on_protocol,
    .on_method = on_method,
    .on_url = on_url,
    .on_status = on_status,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_chunk_extension_name = on_chunk_extension,
    .on_chunk_extension_value = on_chunk_extension,
    .on_message_complete = on_message_complete,
};

// ---- feed

static bool is_method_char(char c) {
    return is_token(bytes_from(&c, 1));
}

// What llhttp calls an invalid method: a method that it does not know (501), or no request at all (400).
// `first`: its first byte is the wrong one.
static enum error method_error(char wrong, bool first) {
    return is_method_char(wrong) || (wrong == ' ' && !first) ? ERROR_METHOD_UNKNOWN : ERROR_BAD_REQUEST;
}

static enum error request_error(const struct h1_codec *h1, llhttp_errno_t number, bool first) {
    switch (number) {
    case HPE_INVALID_METHOD:
        return method_error(*llhttp_get_error_pos(&h1->parser), first);
    case HPE_INVALID_CONSTANT:
        // llhttp knows the methods of RTSP, and takes them with RTSP only; else it is the protocol that is no HTTP.
        return h1->parser.method >= HTTP_DESCRIBE && h1->parser.method <= HTTP_FLUSH ? ERROR_METHOD_UNKNOWN : ERROR_BAD_REQUEST;
    case HPE_INVALID_VERSION:
    case HPE_PAUSED_H2_UPGRADE:
        return ERROR_VERSION_UNSUPPORTED;
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
    case HPE_INVALID_TRANSFER_ENCODING:
        return ERROR_FRAMING_INVALID;
    default:
        return h1->input == INPUT_BODY ? ERROR_FRAMING_INVALID : ERROR_BAD_REQUEST;
    }
}

static enum error parse_error(const struct h1_codec *h1, llhttp_errno_t number, bool first) {
    if (h1->failure != OK)
        return h1->failure;
    return h1->codec.role == CODEC_SERVER ? request_error(h1, number, first) : ERROR_RESPONSE_MALFORMED;
}

// Gives `in` to llhttp, up to the end of a message. Returns how much was taken.
static size_t parse(struct h1_codec *h1, struct bytes in) {
    llhttp_t *parser = &h1->parser;
    bool idle = h1->input == INPUT_IDLE;
    h1->section.origin = in.at;
    if (h1->gap_at != NULL)
        h1->gap_at = in.at;
    llhttp_errno_t number = llhttp_execute(parser, in.at, in.len);
    if (h1->gap_at != NULL)
        h1->gap_bytes += (uint32_t)(in.at + in.len - h1->gap_at);
    if (number == HPE_PAUSED) {
        size_t used = (size_t)(llhttp_get_error_pos(parser) - in.at);
        CHECK(used <= in.len);
        // Whatever the message left in it (upgrade, close) does not concern the next one.
        llhttp_reset(parser);
        return used;
    }
    if (number != HPE_OK)
        fail(h1, parse_error(h1, number, idle && llhttp_get_error_pos(parser) == in.at));
    else if (h1->section.began && !h1_section_keep(h1, in.at + in.len))
        fail(h1, h1->failure);
    return in.len;
}

static bool is_line_end(char c) {
    return c == '\r' || c == '\n';
}

// The first byte of a message that is none: an empty line before a request is let pass, before a response it is not.
// Returns whether the byte was taken.
static bool take_blank(struct h1_codec *h1, char c) {
    if (!is_line_end(c)) {
        h1->blanks = 0;
        return false;
    }
    if (h1->codec.role == CODEC_CLIENT)
        fail(h1, ERROR_RESPONSE_MALFORMED);
    else if (h1->blanks++ == H1_BLANKS_MAX)
        fail(h1, ERROR_BAD_REQUEST);
    return true;
}

static size_t tunnel_bytes(struct h1_codec *h1, struct bytes in) {
    struct codec_stream *stream = h1->stream;
    CHECK(stream->received == PROGRESS_BODY);
    stream->body_received += in.len;
    h1->codec.handler->body(h1->codec.owner, stream, h1->block, in);
    return in.len;
}

static void tunnel_end(struct h1_codec *h1) {
    struct codec_stream *stream = h1->stream;
    if (stream == NULL || stream->received != PROGRESS_BODY)
        return;
    stream->received = PROGRESS_ENDED;
    end_exchange_when_done(h1);
    h1->codec.handler->end(h1->codec.owner, stream);
}

static void peer_closed_on_server(struct h1_codec *h1) {
    switch (h1->input) {
    case INPUT_IDLE:
        end_connection(h1);
        break;
    case INPUT_HEAD:
    case INPUT_BODY:
        fail(h1, ERROR_CLIENT_GONE);
        break;
    case INPUT_HELD:
        // It may still wait for its response.
        h1->closing = true;
        break;
    case INPUT_TUNNEL:
        tunnel_end(h1);
        break;
    case INPUT_DISCARD:
        break;
    }
}

static void peer_closed_on_client(struct h1_codec *h1) {
    struct codec_stream *stream = h1->stream;
    if (h1->input == INPUT_TUNNEL)
        tunnel_end(h1);
    else if (stream == NULL || stream->received == PROGRESS_ENDED)
        end_connection(h1);
    else if (stream->received == PROGRESS_HEAD)
        fail(h1, ERROR_UPSTREAM_RESET);
    else if (h1->until_close && !h1->section.began)
        message_complete(h1);
    else
        fail(h1, ERROR_RESPONSE_INCOMPLETE);
}

static enum error feed(struct codec *codec, struct block *block, struct bytes in, size_t *used) {
    struct h1_codec *h1 = h1_of(codec);
    *used = 0;
    if (in.len == 0) {
        if (codec->role == CODEC_SERVER)
            peer_closed_on_server(h1);
        else
            peer_closed_on_client(h1);
        return OK;
    }
    h1->block = block;
    while (*used < in.len && h1->input != INPUT_HELD && h1->input != INPUT_DISCARD) {
        if (codec->role == CODEC_CLIENT && h1->stream == NULL) {
            end_connection(h1);
            *used = in.len;
            return ERROR_PROTOCOL;
        }
        struct bytes rest = bytes_from(in.at + *used, in.len - *used);
        if (h1->input == INPUT_TUNNEL)
            *used += tunnel_bytes(h1, rest);
        else if (h1->input == INPUT_IDLE && take_blank(h1, in.at[*used]))
            (*used)++;
        else
            *used += parse(h1, rest);
    }
    h1->block = NULL;
    if (h1->input == INPUT_DISCARD)
        *used = in.len;
    return OK;
}

// ---- the rest of the vtable

static void consumed(struct codec *codec, struct codec_stream *stream, size_t count) {
    // HTTP/1 has no window: the owner stops reading.
    (void)codec;
    (void)stream;
    (void)count;
}

// Somebody went away, or its connection broke; else it is we who end it, and what was sent still arrives.
static bool is_broken(enum error error) {
    return error == ERROR_CANCELLED || error == ERROR_CLIENT_GONE || error == ERROR_RESPONSE_INCOMPLETE || error == ERROR_UPSTREAM_RESET;
}

static void reset(struct codec *codec, struct codec_stream *stream, enum error error) {
    struct h1_codec *h1 = h1_of(codec);
    if (h1->stream != stream)
        return;
    // HTTP/1 has no way to tell why; but in a tunnel what breaks off must not look as if it had ended.
    codec->breaks_off = stream->tunnel == TUNNEL_OPEN && is_broken(error);
    if (stream->received < PROGRESS_ENDED)
        stream->received = PROGRESS_BROKEN;
    if (stream->sent < PROGRESS_ENDED)
        stream->sent = PROGRESS_BROKEN;
    forget(h1);
    h1_section_reset(&h1->section);
    end_connection(h1);
}

static enum error produce(struct codec *codec) {
    (void)codec; // sending writes to `out` at once
    return OK;
}

static void signal_peer(struct codec *codec, enum codec_signal signal) {
    struct h1_codec *h1 = h1_of(codec);
    if (signal != CODEC_DRAIN)
        return;
    if (codec->role == CODEC_SERVER) {
        h1->draining = true;
        return;
    }
    codec->refuses_new = true;
    if (h1->stream == NULL)
        end_connection(h1);
}

static void dispose(struct codec *codec) {
    struct h1_codec *h1 = h1_of(codec);
    if (h1->stream != NULL)
        forget(h1);
    h1_section_reset(&h1->section);
    free(h1);
}

static const struct codec_ops h1_ops = {
    .feed = feed,
    .send_head = h1_send_head,
    .send_body = h1_send_body,
    .consumed = consumed,
    .reset = reset,
    .produce = produce,
    .signal = signal_peer,
    .dispose = dispose,
};

struct codec *h1_codec_create(enum codec_role role, const struct codec_limits *limits, const struct codec_handler *handler, void *owner,
                              struct buffer *out) {
    struct h1_codec *h1 = alloc_zeroed_or_abort(1, sizeof(*h1));
    h1->codec = (struct codec){
        .ops = &h1_ops,
        .handler = handler,
        .owner = owner,
        .role = role,
        .version = HTTP_1_1,
        .out = out,
        .limits = *limits,
        .scheme = BYTES("http"),
        .streams_max = 1,
    };
    // What the limits allow, with the white space, line ends and the rest of the start line, which they do not count. Only long runs of white space exceed it.
    h1->raw_max = limits->url_bytes + limits->header_bytes + 256;
    llhttp_init(&h1->parser, role == CODEC_SERVER ? HTTP_REQUEST : HTTP_RESPONSE, &parser_settings);
    h1->parser.data = h1;
    return &h1->codec;
}
