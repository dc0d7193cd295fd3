// Writes heads, bodies and trailers of HTTP/1 into the connection's output: the start line, which fields, and how the body is framed (RFC 9112 sections 3 to 7).
// Bodies are moved, never copied. Part of h1_codec.
#include "http/h1_private.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/pool.h"
#include "http/headers.h"

// What a head has besides its target and fields: the start line's rest, a status phrase, framing and connection fields.
#define HEAD_FIXED_BYTES 256

// Written in place into the buffer's last block; a head that outgrows what was reserved goes on by copies.
struct writer {
    struct buffer *out;
    char *start;
    char *at;
    char *end;
};

static void writer_begin(struct writer *writer, struct buffer *out, size_t estimate) {
    size_t size = estimate < BLOCK_CAPACITY ? estimate : BLOCK_CAPACITY;
    writer->out = out;
    writer->start = writer->at = buffer_reserve(out, size);
    writer->end = writer->start + size;
}

static void writer_end(struct writer *writer) {
    buffer_commit(writer->out, (size_t)(writer->at - writer->start));
    writer->start = writer->at = writer->end = NULL;
}

static void put_beyond(struct writer *writer, struct bytes text) {
    writer_end(writer);
    buffer_append(writer->out, text);
    writer_begin(writer, writer->out, 1024);
}

static inline void put(struct writer *writer, struct bytes text) {
    if ((size_t)(writer->end - writer->at) < text.len) {
        put_beyond(writer, text);
        return;
    }
    memcpy(writer->at, text.at, text.len);
    writer->at += text.len;
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

static void put_number(struct writer *writer, uint64_t value) {
    char text[20];
    put(writer, decimal(text, value));
}

static void put_name(struct writer *writer, struct bytes name, bool title_case) {
    char spelled[64];
    if (!title_case || name.len > sizeof(spelled)) {
        put(writer, name);
        return;
    }
    h1_title_case(spelled, name);
    put(writer, bytes_from(spelled, name.len));
}

static void put_field(struct writer *writer, struct bytes name, struct bytes value, bool title_case) {
    put_name(writer, name, title_case);
    put(writer, BYTES(": "));
    if (value.len > 0)
        put(writer, value);
    put(writer, BYTES("\r\n"));
}

static void put_content_length(struct writer *writer, struct bytes name, uint64_t length, bool title_case) {
    char text[20];
    put_field(writer, name, decimal(text, length), title_case);
}

// No CR, LF or NUL: whatever made the text, nothing in it ends a line early (response splitting). Eight bytes at a time: bytes under 0x0e, rare, are looked at one by one.
static bool is_one_line(struct bytes text) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    size_t i = 0;
    for (; i + 8 <= text.len; i += 8) {
        uint64_t word;
        memcpy(&word, text.at + i, sizeof(word));
        if (((word - 0x0e * ones) & ~word & 0x80 * ones) != 0)
            break;
    }
    for (; i < text.len; i++)
        if (text.at[i] == '\r' || text.at[i] == '\n' || text.at[i] == '\0')
            return false;
    return true;
}

static bool fields_are_lines(const struct fields *fields) {
    FIELDS_EACH(fields, field) {
        if (field->name.len == 0 || !is_one_line(field->name) || !is_one_line(field->value))
            return false;
    }
    return true;
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
static void put_fields(struct writer *writer, const struct head *head, struct framing framing, bool request) {
    bool title_case = head->title_case;
    bool has_length = false;
    FIELDS_EACH(&head->fields, field) {
        if (field->id == FIELD_OTHER)
            put_field(writer, field->name, field->value, title_case);
        else if (is_written_apart(field->id))
            continue;
        else if (field->id == FIELD_CONTENT_LENGTH) {
            if (framing.length >= 0 && !has_length)
                put_content_length(writer, field->name, (uint64_t)framing.length, title_case);
            has_length = true;
        } else
            put_field(writer, field->name, request && field->id == FIELD_HOST ? head->authority : field->value, title_case);
    }
    if (framing.length >= 0 && !has_length)
        put_content_length(writer, BYTES("Content-Length"), (uint64_t)framing.length, false);
    if (framing.chunked)
        put(writer, BYTES("Transfer-Encoding: chunked\r\n"));
}

static size_t head_estimate(const struct head *head) {
    return HEAD_FIXED_BYTES + head->fields.bytes + 4 * head->fields.count + head->path.len + head->authority.len + head->reason.len +
           head->method_text.len;
}

// ---- server: responses

static void put_status_line(struct writer *writer, const struct head *head) {
    struct bytes reason = head->reason.len > 0 ? head->reason : status_reason(head->status);
    put(writer, BYTES("HTTP/1.1 "));
    put_number(writer, head->status);
    put(writer, BYTES(" "));
    put(writer, reason);
    put(writer, BYTES("\r\n"));
}

static void send_interim(struct h1_codec *h1, const struct head *head) {
    // HTTP/1.0 knows no 1xx (RFC 9110 section 15.2).
    if (h1->speaks_1_0)
        return;
    struct writer writer;
    writer_begin(&writer, h1->codec.out, head_estimate(head));
    put_status_line(&writer, head);
    put_fields(&writer, head, (struct framing){.length = -1}, false);
    put(&writer, BYTES("\r\n"));
    writer_end(&writer);
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

static enum error send_response(struct h1_codec *h1, struct codec_stream *stream, const struct head *head, bool end) {
    h1->bodyless = response_is_bodyless(stream, head->status);
    if (end && !h1->bodyless && head->content_length > 0)
        return ERROR_INTERNAL;
    if (h1->draining || leaves_request_unread(stream, head, end))
        h1->closing = true;
    struct framing framing = response_framing(h1, head, end);
    struct writer writer;
    writer_begin(&writer, h1->codec.out, head_estimate(head));
    put_status_line(&writer, head);
    put_fields(&writer, head, framing, false);
    if (h1->closing)
        put(&writer, BYTES("Connection: close\r\n"));
    else if (h1->speaks_1_0)
        put(&writer, BYTES("Connection: keep-alive\r\n"));
    put(&writer, BYTES("\r\n"));
    writer_end(&writer);
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
    struct framing framing = {.length = head->content_length};
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
    return head->path.len > 0 && is_one_line(head->authority);
}

static void put_request(struct writer *writer, const struct head *head, struct framing framing) {
    put(writer, head->method == METHOD_OTHER ? head->method_text : method_text(head->method));
    put(writer, BYTES(" "));
    put(writer, head->path);
    put(writer, BYTES(" HTTP/1.1\r\n"));
    if (fields_find(&head->fields, FIELD_HOST) == NULL)
        put_field(writer, BYTES("Host"), head->authority, false);
    put_fields(writer, head, framing, true);
    if (head->expect_continue)
        put(writer, BYTES("Expect: 100-continue\r\n"));
    if (head->te_trailers)
        put(writer, BYTES("TE: trailers\r\nConnection: TE\r\n"));
    put(writer, BYTES("\r\n"));
}

static enum error send_request(struct h1_codec *h1, struct codec_stream *stream, const struct head *head, bool end) {
    if (h1->codec.refuses_new || h1->stream != NULL)
        return ERROR_FULL;
    if (!is_sendable_request(head, end))
        return ERROR_INTERNAL;
    h1_attach(h1, stream);
    stream->method = head->method;
    struct framing framing = request_framing(head, end);
    struct writer writer;
    writer_begin(&writer, h1->codec.out, head_estimate(head));
    put_request(&writer, head, framing);
    writer_end(&writer);
    stream->chunked = framing.chunked;
    stream->out_left = framing.length;
    return OK;
}

enum error h1_send_head(struct codec *codec, struct codec_stream *stream, const struct head *head, bool end) {
    struct h1_codec *h1 = h1_of(codec);
    if (!fields_are_lines(&head->fields) || !is_one_line(head->reason))
        return ERROR_INTERNAL;
    if (codec->role == CODEC_SERVER) {
        CHECK(h1->stream == stream && stream->codec == codec);
        CHECK(stream->sent == PROGRESS_HEAD);
        // No protocol is switched to.
        if (head->status < 100 || head->status > 599 || head->status == 101)
            return ERROR_INTERNAL;
        if (head->status < 200) {
            send_interim(h1, head);
            return OK;
        }
    }
    enum error error = codec->role == CODEC_SERVER ? send_response(h1, stream, head, end) : send_request(h1, stream, head, end);
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
    return out->length < LIMIT_OUTPUT_BYTES ? LIMIT_OUTPUT_BYTES - out->length : 0;
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

// Trailers that would not stay lines are left out: the body has gone already.
static void put_last_chunk(struct h1_codec *h1, const struct fields *trailers) {
    if (trailers == NULL || trailers->count == 0 || !fields_are_lines(trailers)) {
        buffer_append(h1->codec.out, BYTES("0\r\n\r\n"));
        return;
    }
    struct writer writer;
    writer_begin(&writer, h1->codec.out, trailers->bytes + 4 * trailers->count + 8);
    put(&writer, BYTES("0\r\n"));
    FIELDS_EACH(trailers, field) {
        if (h1_is_trailer(field))
            put_field(&writer, field->name, field->value, h1->title_case);
    }
    put(&writer, BYTES("\r\n"));
    writer_end(&writer);
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
    CHECK(stream->sent == PROGRESS_BODY);
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
