// Writes heads, bodies and trailers of HTTP/1 into the connection's output: the start line, which fields, and how the body is framed (RFC 9112 sections 3 to 7).
// Bodies are moved, never copied. Part of h1_codec.
#include "http/h1_private.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/pool.h"
#include "http/headers.h"

#include <stdlib.h>

// What a head has besides its target and fields: the start line's rest, a status phrase, framing and connection fields.
#define HEAD_FIXED_BYTES 256

// Writes `text` at `at`, where there is room, and returns what is behind it. Most texts in a head are shorter than it costs to call memcpy.
static inline char *put(char *at, struct bytes text) {
    if (text.len > 16) {
        memcpy(at, text.at, text.len);
    } else if (text.len >= 8) {
        memcpy(at, text.at, 8);
        memcpy(at + text.len - 8, text.at + text.len - 8, 8);
    } else if (text.len >= 4) {
        memcpy(at, text.at, 4);
        memcpy(at + text.len - 4, text.at + text.len - 4, 4);
    } else if (text.len >= 2) {
        memcpy(at, text.at, 2);
        at[text.len - 1] = text.at[text.len - 1];
    } else if (text.len == 1) {
        at[0] = text.at[0];
    }
    return at + text.len;
}

static inline char *put_line_end(char *at) {
    memcpy(at, "\r\n", 2);
    return at + 2;
}

// `text` has room for 20 digits at its end, where they are written.
static struct bytes decimal(char text[20], uint64_t value) {
    char *at = text + 20;
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return bytes_from(at, (size_t)(text + 20 - at));
}

static inline char *put_field(char *at, struct bytes name, struct bytes value, bool title_case) {
    if (title_case)
        h1_title_case(at, name);
    else
        put(at, name);
    at += name.len;
    memcpy(at, ": ", 2);
    return put_line_end(put(at + 2, value));
}

static char *put_content_length(char *at, struct bytes name, uint64_t length) {
    char text[20];
    return put_field(at, name, decimal(text, length), false);
}

// Which bytes of eight are under 0x0e: CR, LF and NUL are, and hardly anything else in a head. Bytes over 0x7f are never taken for them.
static inline uint64_t low_in(uint64_t word) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    return (word - 0x0e * ones) & ~word & 0x80 * ones;
}

static inline uint64_t low_bytes(const char *at) {
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return low_in(word);
}

static bool has_line_end(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] == '\r' || text.at[i] == '\n' || text.at[i] == '\0')
            return true;
    return false;
}

// No CR, LF or NUL: whatever made the text, nothing in it ends a line early (response splitting).
static inline bool is_one_line(struct bytes text) {
    if (text.len < 4)
        return !has_line_end(text);
    if (text.len < 8) {
        uint32_t ends[2];
        memcpy(&ends[0], text.at, 4);
        memcpy(&ends[1], text.at + text.len - 4, 4);
        return low_in((uint64_t)ends[0] << 32 | ends[1]) == 0 || !has_line_end(text);
    }
    uint64_t low = low_bytes(text.at + text.len - 8);
    for (size_t i = 0; i + 8 < text.len; i += 8)
        low |= low_bytes(text.at + i);
    return low == 0 || !has_line_end(text);
}

// Whether all fields can be written, and how much there is to write at most.
static bool measure_fields(const struct fields *fields, size_t *size) {
    FIELDS_EACH(fields, field) {
        // The name of a known field is one.
        bool sound = is_one_line(field->value) && (field->id != FIELD_OTHER || (field->name.len > 0 && is_one_line(field->name)));
        if (!sound)
            return false;
        *size += field->name.len + field->value.len + 4;
    }
    return true;
}

// Room for `size` bytes in the output, or in memory of its own for a head that is larger than a block. NULL: there is no memory.
static char *begin_text(struct buffer *out, size_t size) {
    return size <= BLOCK_CAPACITY ? buffer_reserve(out, size) : try_alloc(size);
}

static void end_text(struct buffer *out, size_t size, char *start, const char *end) {
    size_t written = (size_t)(end - start);
    CHECK(written <= size);
    if (size <= BLOCK_CAPACITY) {
        buffer_commit(out, written);
        return;
    }
    buffer_append(out, bytes_from(start, written));
    free(start);
}

// Fields that are written anew, from what the head says, or belong to another connection.
static bool is_written_apart(enum field_id id) {
    switch (id) {
    case FIELD_CONNECTION:
    case FIELD_EXPECT:
    case FIELD_KEEP_ALIVE:
    case FIELD_PROXY_CONNECTION:
    case FIELD_TE:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_UPGRADE:
        return true;
    default:
        return false;
    }
}

// How the body of the message being written is framed.
struct framing {
    int64_t length; // Content-Length to state; -1: none
    bool chunked;
};

// All fields in their order, Host and Content-Length with the values that count, at their places where they have one. Then the framing.
static char *put_fields(char *at, const struct head *head, struct framing framing, bool request) {
    bool has_length = false;
    FIELDS_EACH(&head->fields, field) {
        if (field->id == FIELD_OTHER) {
            at = put_field(at, field->name, field->value, head->title_case);
            continue;
        }
        // The standard spelling of a known field is its Title-Case, and as long as any other.
        struct bytes name = head->title_case ? field_name(field->id) : field->name;
        if (field->id == FIELD_CONTENT_LENGTH) {
            if (framing.length >= 0 && !has_length)
                at = put_content_length(at, name, (uint64_t)framing.length);
            has_length = true;
        } else if (!is_written_apart(field->id)) {
            at = put_field(at, name, request && field->id == FIELD_HOST ? head->authority : field->value, false);
        }
    }
    if (framing.length >= 0 && !has_length)
        at = put_content_length(at, BYTES("Content-Length"), (uint64_t)framing.length);
    if (framing.chunked)
        at = put(at, BYTES("Transfer-Encoding: chunked\r\n"));
    return at;
}

// ---- server: responses

static char *put_status_line(char *at, const struct head *head) {
    memcpy(at, "HTTP/1.1 ", 9);
    at[9] = (char)('0' + head->status / 100);
    at[10] = (char)('0' + head->status / 10 % 10);
    at[11] = (char)('0' + head->status % 10);
    at[12] = ' ';
    return put_line_end(put(at + 13, head->reason.len > 0 ? head->reason : status_reason(head->status)));
}

static enum error send_interim(struct h1_codec *h1, const struct head *head, size_t size) {
    // HTTP/1.0 knows no 1xx (RFC 9110 section 15.2).
    if (h1->speaks_1_0)
        return OK;
    char *start = begin_text(h1->codec.out, size);
    if (start == NULL)
        return ERROR_NO_MEMORY;
    char *at = put_status_line(start, head);
    at = put_fields(at, head, (struct framing){.length = -1}, false);
    end_text(h1->codec.out, size, start, put_line_end(at));
    return OK;
}

static bool response_is_bodyless(const struct codec_stream *stream, uint16_t status) {
    return stream->method == METHOD_HEAD || status == 204 || status == 304;
}

static struct framing response_framing(struct h1_codec *h1, const struct head *head, bool end) {
    struct framing framing = {.length = head->status == 204 ? -1 : head->content_length};
    if (h1->bodyless || framing.length >= 0)
        return framing;
    if (end)
        framing.length = 0;
    else if (h1->speaks_1_0)
        h1->closing = true; // the end of the connection is the end of the body
    else
        framing.chunked = true;
    return framing;
}

// Whether the rest of the request will not be waited for, as far as the head of the response tells: then the connection ends with it.
static bool leaves_request_unread(const struct codec_stream *stream, const struct head *head, bool end) {
    if (stream->received == PROGRESS_ENDED)
        return false;
    return end || head->status >= 400 || stream->received != PROGRESS_BODY;
}

// What RFC 9110 section 7.8 asks for in an upgrade and its answer.
static char *put_upgrade(char *at, struct bytes protocol) {
    return put_field(put(at, BYTES("Connection: Upgrade\r\n")), BYTES("Upgrade"), protocol, false);
}

static enum error send_switching(struct h1_codec *h1, const struct head *head, size_t size) {
    char *start = begin_text(h1->codec.out, size);
    if (start == NULL)
        return ERROR_NO_MEMORY;
    char *at = put_status_line(start, head);
    at = put_fields(at, head, (struct framing){.length = -1}, false);
    end_text(h1->codec.out, size, start, put_line_end(put_upgrade(at, PROTOCOL_WEBSOCKET)));
    h1->bodyless = false;
    h1_tunnel_open(h1);
    return OK;
}

static enum error send_response(struct h1_codec *h1, struct codec_stream *stream, const struct head *head, bool end, size_t size) {
    h1->bodyless = response_is_bodyless(stream, head->status);
    if (end && !h1->bodyless && head->content_length > 0)
        return ERROR_INTERNAL;
    char *start = begin_text(h1->codec.out, size);
    if (start == NULL)
        return ERROR_NO_MEMORY;
    if (h1->draining || leaves_request_unread(stream, head, end))
        h1->closing = true;
    struct framing framing = response_framing(h1, head, end);
    char *at = put_status_line(start, head);
    at = put_fields(at, head, framing, false);
    if (h1->closing)
        at = put(at, BYTES("Connection: close\r\n"));
    else if (h1->speaks_1_0)
        at = put(at, BYTES("Connection: keep-alive\r\n"));
    end_text(h1->codec.out, size, start, put_line_end(at));
    stream->chunked = framing.chunked;
    stream->out_left = framing.length;
    return OK;
}

// ---- client: requests

// Methods whose requests have a body as a rule state that they have none (RFC 9110 section 8.6).
static bool states_no_body(enum http_method method) {
    return method == METHOD_POST || method == METHOD_PUT || method == METHOD_PATCH;
}

static struct framing request_framing(const struct head *head, bool end) {
    struct framing framing = {.length = head->protocol.len > 0 ? -1 : head->content_length};
    if (head->protocol.len > 0)
        return framing;
    if (framing.length < 0 && !end)
        framing.chunked = true;
    else if (framing.length < 0 && states_no_body(head->method))
        framing.length = 0;
    return framing;
}

static bool is_sendable_request(const struct head *head, bool end) {
    if (head->method == METHOD_CONNECT || (end && head->content_length > 0))
        return false;
    if (head->method == METHOD_OTHER && !is_token(head->method_text))
        return false;
    for (size_t i = 0; i < head->path.len; i++)
        if ((unsigned char)head->path.at[i] <= ' ' || head->path.at[i] == 0x7f)
            return false;
    return head->path.len > 0 && is_one_line(head->authority) && is_one_line(head->protocol);
}

static char *put_request(char *at, const struct head *head, struct framing framing) {
    at = put(at, head->method == METHOD_OTHER ? head->method_text : method_text(head->method));
    *at++ = ' ';
    at = put(at, head->path);
    // A body of unknown length has no form in 1.0.
    const bool upgrades = head->protocol.len > 0;
    bool as_1_0 = head->as_http_1_0 && !framing.chunked && !upgrades;
    at = put(at, as_1_0 ? BYTES(" HTTP/1.0\r\n") : BYTES(" HTTP/1.1\r\n"));
    if (fields_find(&head->fields, FIELD_HOST) == NULL)
        at = put_field(at, BYTES("Host"), head->authority, false);
    at = put_fields(at, head, framing, true);
    if (head->expect_continue && !as_1_0)
        at = put(at, BYTES("Expect: 100-continue\r\n"));
    if (upgrades)
        at = put_upgrade(at, head->protocol);
    else if (head->te_trailers && !as_1_0)
        at = put(at, BYTES("TE: trailers\r\nConnection: TE\r\n"));
    return put_line_end(at);
}

static enum error send_request(struct h1_codec *h1, struct codec_stream *stream, const struct head *head, bool end, size_t size) {
    if (h1->codec.refuses_new || h1->stream != NULL)
        return ERROR_FULL;
    if (!is_sendable_request(head, end))
        return ERROR_INTERNAL;
    size += head->path.len + head->authority.len + head->method_text.len + head->protocol.len;
    char *start = begin_text(h1->codec.out, size);
    if (start == NULL)
        return ERROR_NO_MEMORY;
    h1_attach(h1, stream);
    stream->method = head->method;
    if (head->protocol.len > 0) {
        CHECK(!end);
        stream->tunnel = TUNNEL_ASKED;
    }
    struct framing framing = request_framing(head, end);
    end_text(h1->codec.out, size, start, put_request(start, head, framing));
    stream->chunked = framing.chunked;
    stream->out_left = framing.length;
    return OK;
}

// It was a plain request then, which is complete; what its client has sent behind it is the next.
static void refuse_tunnel(struct codec_stream *stream) {
    stream->tunnel = TUNNEL_NONE;
    stream->received = PROGRESS_ENDED;
}

enum error h1_send_head(struct codec *codec, struct codec_stream *stream, const struct head *head, bool end) {
    struct h1_codec *h1 = h1_of(codec);
    // A Host that stands there gives way to the authority, which may be longer.
    size_t size = HEAD_FIXED_BYTES + head->reason.len + head->authority.len;
    if (!measure_fields(&head->fields, &size) || !is_one_line(head->reason))
        return ERROR_INTERNAL;
    enum error error;
    if (codec->role == CODEC_SERVER) {
        CHECK(h1->stream == stream && stream->codec == codec);
        CHECK(stream->sent == PROGRESS_HEAD);
        bool switching = head->status == 101;
        if (head->status < 100 || head->status > 599 || (switching && stream->tunnel != TUNNEL_ASKED))
            return ERROR_INTERNAL;
        CHECK(!switching || !end);
        if (head->status < 200 && !switching)
            return send_interim(h1, head, size);
        if (stream->tunnel == TUNNEL_ASKED && !switching && stream->received == PROGRESS_BODY)
            refuse_tunnel(stream);
        error = switching ? send_switching(h1, head, size) : send_response(h1, stream, head, end, size);
    } else {
        error = send_request(h1, stream, head, end, size);
    }
    if (error != OK)
        return error;
    h1->title_case = head->title_case;
    stream->sent = end ? PROGRESS_ENDED : PROGRESS_BODY;
    if (end)
        h1_sending_ended(h1);
    return OK;
}

// ---- bodies

static size_t room_in(const struct buffer *out) {
    const size_t bound = buffer_bound(out, LIMIT_OUTPUT_BYTES);
    return out->length < bound ? bound - out->length : 0;
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

// Trailers that cannot be written are left out: the body has gone already.
static void put_last_chunk(struct h1_codec *h1, const struct fields *trailers) {
    struct buffer *out = h1->codec.out;
    size_t size = sizeof("0\r\n\r\n");
    char *start = NULL;
    if (trailers != NULL && trailers->count > 0 && measure_fields(trailers, &size))
        start = begin_text(out, size);
    if (start == NULL) {
        buffer_append(out, BYTES("0\r\n\r\n"));
        return;
    }
    char *at = put(start, BYTES("0\r\n"));
    FIELDS_EACH(trailers, field) {
        if (field_may_trail(field->id))
            at = put_field(at, field->name, field->value, h1->title_case);
    }
    end_text(out, size, start, put_line_end(at));
}

static void send_chunk(struct h1_codec *h1, struct codec_stream *stream, struct buffer *body) {
    size_t length = smaller(room_in(h1->codec.out), body->length);
    if (length == 0)
        return;
    static const char digits[] = "0123456789abcdef";
    char text[18];
    char *at = text + sizeof(text);
    *--at = '\n';
    *--at = '\r';
    for (size_t rest = length; rest > 0; rest >>= 4)
        *--at = digits[rest & 15];
    buffer_append(h1->codec.out, bytes_from(at, (size_t)(text + sizeof(text) - at)));
    stream->body_sent += buffer_move(h1->codec.out, body, length);
    buffer_append(h1->codec.out, BYTES("\r\n"));
}

// A body of a stated length, or one that ends with the connection.
static void send_plain(struct h1_codec *h1, struct codec_stream *stream, struct buffer *body) {
    size_t length = smaller(room_in(h1->codec.out), body->length);
    if (stream->out_left >= 0) {
        if (body->length > (uint64_t)stream->out_left) {
            // More than was stated: the peer would take the rest for the next message.
            length = smaller(length, (size_t)stream->out_left);
            h1->closing = true;
            h1->codec.refuses_new = true;
        }
        stream->out_left -= (int64_t)length;
    }
    stream->body_sent += buffer_move(h1->codec.out, body, length);
    if (stream->out_left == 0)
        buffer_clear(body);
}

void h1_send_body(struct codec *codec, struct codec_stream *stream, struct buffer *body, bool end, const struct fields *trailers) {
    struct h1_codec *h1 = h1_of(codec);
    CHECK(h1->stream == stream && stream->codec == codec);
    CHECK(stream->sent == PROGRESS_BODY && stream->tunnel != TUNNEL_ASKED);
    if (codec->role == CODEC_SERVER && h1->bodyless)
        buffer_clear(body);
    else if (stream->chunked)
        send_chunk(h1, stream, body);
    else
        send_plain(h1, stream, body);
    if (!end || !buffer_is_empty(body))
        return;
    bool short_of_length = stream->out_left > 0 && !(codec->role == CODEC_SERVER && h1->bodyless);
    if (short_of_length) {
        // The peer learns of it by the end of the connection alone.
        h1->closing = true;
        codec->refuses_new = true;
    }
    if (stream->chunked)
        put_last_chunk(h1, trailers);
    stream->sent = PROGRESS_ENDED;
    h1_sending_ended(h1);
}
