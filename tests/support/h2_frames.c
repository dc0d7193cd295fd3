// Writes frames as RFC 9113 section 4.1 and header blocks as RFC 7541 section 6.2.2 have them; reads them with nghttp2's HPACK decoder.
#include "support/h2_frames.h"

#include "base/check.h"
#include "http/h2_codec.h"

#include <stdlib.h>

enum { HEADER_BYTES = 9, FRAME_MAX = 16384 };

static void add_number(struct text *to, uint64_t number, unsigned bytes) {
    while (bytes-- > 0) {
        char byte = (char)(number >> (8 * bytes));
        text_add(to, bytes_from(&byte, 1));
    }
}

void h2_frame(struct text *to, uint8_t type, uint8_t flags, uint32_t stream, struct bytes payload) {
    add_number(to, payload.len, 3);
    add_number(to, type, 1);
    add_number(to, flags, 1);
    add_number(to, stream, 4);
    text_add(to, payload);
}

void h2_preface(struct text *to) {
    text_add(to, bytes_from(h2_client_preface, sizeof(h2_client_preface)));
}

void h2_settings(struct text *to, unsigned count, ...) {
    struct text payload = {0};
    va_list arguments;
    va_start(arguments, count);
    for (unsigned i = 0; i < count; i++) {
        add_number(&payload, va_arg(arguments, unsigned), 2);
        add_number(&payload, va_arg(arguments, unsigned), 4);
    }
    va_end(arguments);
    h2_frame(to, NGHTTP2_SETTINGS, 0, 0, text_bytes(&payload));
    text_dispose(&payload);
}

void h2_settings_ack(struct text *to) {
    h2_frame(to, NGHTTP2_SETTINGS, H2_ACK, 0, BYTES_NONE);
}

void h2_hello(struct text *to, enum codec_role role_of_reader) {
    if (role_of_reader == CODEC_SERVER)
        h2_preface(to);
    h2_settings(to, 0);
    h2_settings_ack(to);
}

// RFC 7541 section 5.1, with a prefix of 7 bits; no Huffman.
static void add_string(struct text *to, struct bytes string) {
    if (string.len < 127) {
        add_number(to, string.len, 1);
    } else {
        size_t rest = string.len - 127;
        add_number(to, 127, 1);
        for (; rest >= 128; rest /= 128)
            add_number(to, 128 + rest % 128, 1);
        add_number(to, rest, 1);
    }
    text_add(to, string);
}

void h2_block(struct text *to, const char *lines) {
    struct bytes rest = bytes_from_text(lines);
    while (rest.len > 0) {
        size_t end = bytes_find(rest, '\n');
        struct bytes line = bytes_from(rest.at, end);
        rest = bytes_from(rest.at + (end < rest.len ? end + 1 : end), rest.len - (end < rest.len ? end + 1 : end));
        size_t colon = 1 + bytes_find(bytes_from(line.at + 1, line.len - 1), ':');
        CHECK(colon + 2 <= line.len && line.at[colon + 1] == ' ');
        add_number(to, 0, 1);
        add_string(to, bytes_from(line.at, colon));
        add_string(to, bytes_from(line.at + colon + 2, line.len - colon - 2));
    }
}

void h2_headers(struct text *to, uint32_t stream, uint8_t flags, const char *lines) {
    struct text block = {0};
    h2_block(&block, lines);
    struct bytes rest = text_bytes(&block);
    uint8_t type = NGHTTP2_HEADERS;
    do {
        struct bytes piece = bytes_from(rest.at, rest.len > FRAME_MAX ? FRAME_MAX : rest.len);
        rest = bytes_from(rest.at + piece.len, rest.len - piece.len);
        h2_frame(to, type, flags | (rest.len == 0 ? H2_END_HEADERS : 0), stream, piece);
        type = NGHTTP2_CONTINUATION;
        flags = 0;
    } while (rest.len > 0);
    text_dispose(&block);
}

void h2_get(struct text *to, uint32_t stream, const char *path) {
    struct text lines = {0};
    text_format(&lines, ":method: GET\n:scheme: http\n:authority: example.org\n:path: %s\n", path);
    h2_headers(to, stream, H2_END_STREAM, lines.at);
    text_dispose(&lines);
}

void h2_data(struct text *to, uint32_t stream, uint8_t flags, struct bytes body) {
    h2_frame(to, NGHTTP2_DATA, flags, stream, body);
}

void h2_rst_stream(struct text *to, uint32_t stream, uint32_t code) {
    struct text payload = {0};
    add_number(&payload, code, 4);
    h2_frame(to, NGHTTP2_RST_STREAM, 0, stream, text_bytes(&payload));
    text_dispose(&payload);
}

void h2_goaway(struct text *to, uint32_t last_stream, uint32_t code) {
    struct text payload = {0};
    add_number(&payload, last_stream, 4);
    add_number(&payload, code, 4);
    h2_frame(to, NGHTTP2_GOAWAY, 0, 0, text_bytes(&payload));
    text_dispose(&payload);
}

void h2_ping(struct text *to, uint8_t flags) {
    h2_frame(to, NGHTTP2_PING, flags, 0, BYTES("12345678"));
}

void h2_window_update(struct text *to, uint32_t stream, uint32_t increment) {
    struct text payload = {0};
    add_number(&payload, increment, 4);
    h2_frame(to, NGHTTP2_WINDOW_UPDATE, 0, stream, text_bytes(&payload));
    text_dispose(&payload);
}

void h2_reader_init(struct h2_reader *reader) {
    *reader = (struct h2_reader){0};
    CHECK(nghttp2_hd_inflate_new(&reader->inflater) == 0);
}

void h2_reader_dispose(struct h2_reader *reader) {
    nghttp2_hd_inflate_del(reader->inflater);
    text_dispose(&reader->pending);
    text_dispose(&reader->words);
    text_dispose(&reader->bodies);
}

static uint32_t number_at(const char *at, unsigned bytes) {
    uint32_t number = 0;
    for (unsigned i = 0; i < bytes; i++)
        number = number << 8 | (unsigned char)at[i];
    return number;
}

static void read_block(struct h2_reader *reader, struct bytes block, bool last) {
    const void *at = block.at;
    const uint8_t *in = at;
    size_t left = block.len;
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t used = nghttp2_hd_inflate_hd2(reader->inflater, &nv, &flags, in, left, last);
        CHECK(used >= 0);
        in += used;
        left -= (size_t)used;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0)
            text_format(&reader->words, "  %.*s: %.*s%s\n", (int)nv.namelen, (const char *)nv.name, (int)nv.valuelen, (const char *)nv.value,
                        (nv.flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0 ? " (never indexed)" : "");
        if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0)
            nghttp2_hd_inflate_end_headers(reader->inflater);
        if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0 || (left == 0 && (flags & NGHTTP2_HD_INFLATE_EMIT) == 0))
            return;
    }
}

static void read_settings(struct h2_reader *reader, uint8_t flags, struct bytes payload) {
    text_format(&reader->words, "SETTINGS%s", (flags & H2_ACK) != 0 ? " ack" : "");
    for (size_t i = 0; i + 6 <= payload.len; i += 6)
        text_format(&reader->words, " %u=%u", number_at(payload.at + i, 2), number_at(payload.at + i + 2, 4));
    text_format(&reader->words, "\n");
}

static void read_frame(struct h2_reader *reader, uint8_t type, uint8_t flags, uint32_t stream, struct bytes payload) {
    const char *end = (flags & H2_END_STREAM) != 0 ? " end" : "";
    switch (type) {
    case NGHTTP2_DATA:
        text_format(&reader->words, "DATA %u %zu%s\n", stream, payload.len, end);
        text_add(&reader->bodies, payload);
        break;
    case NGHTTP2_HEADERS:
        text_format(&reader->words, "HEADERS %u%s\n", stream, end);
        read_block(reader, payload, (flags & H2_END_HEADERS) != 0);
        break;
    case NGHTTP2_CONTINUATION:
        read_block(reader, payload, (flags & H2_END_HEADERS) != 0);
        break;
    case NGHTTP2_RST_STREAM:
        text_format(&reader->words, "RST_STREAM %u %s\n", stream, nghttp2_http2_strerror(number_at(payload.at, 4)));
        break;
    case NGHTTP2_SETTINGS:
        read_settings(reader, flags, payload);
        break;
    case NGHTTP2_PING:
        text_format(&reader->words, "PING%s\n", (flags & H2_ACK) != 0 ? " ack" : "");
        break;
    case NGHTTP2_GOAWAY:
        text_format(&reader->words, "GOAWAY %u %s\n", number_at(payload.at, 4), nghttp2_http2_strerror(number_at(payload.at + 4, 4)));
        break;
    case NGHTTP2_WINDOW_UPDATE:
        text_format(&reader->words, "WINDOW_UPDATE %u %u\n", stream, number_at(payload.at, 4));
        break;
    default:
        text_format(&reader->words, "FRAME %u\n", type);
        break;
    }
}

const char *h2_read(struct h2_reader *reader, struct bytes sent) {
    text_clear(&reader->words);
    text_add(&reader->words, BYTES(""));
    text_clear(&reader->bodies);
    text_add(&reader->pending, sent);
    size_t done = 0;
    if (!reader->after_preface && reader->pending.len >= sizeof(h2_client_preface)) {
        reader->after_preface = true;
        if (memcmp(reader->pending.at, h2_client_preface, sizeof(h2_client_preface)) == 0) {
            text_format(&reader->words, "PREFACE\n");
            done = sizeof(h2_client_preface);
        }
    }
    while (reader->pending.len - done >= HEADER_BYTES) {
        const char *at = reader->pending.at + done;
        size_t length = number_at(at, 3);
        if (reader->pending.len - done < HEADER_BYTES + length)
            break;
        read_frame(reader, (uint8_t)at[3], (uint8_t)at[4], number_at(at + 5, 4) & INT32_MAX, bytes_from(at + HEADER_BYTES, length));
        reader->frames++;
        done += HEADER_BYTES + length;
    }
    reader->pending.len -= done;
    if (done > 0)
        memmove(reader->pending.at, reader->pending.at + done, reader->pending.len);
    return reader->words.at;
}
