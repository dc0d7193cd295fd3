// Tags, lengths, gzip and gRPC's frame around what is encoded already. See otlp_request.h.
#include "agent/otlp_request.h"

#include "agent/otlp_json.h"
#include "base/check.h"
#include "base/pool.h"

#include <zlib.h>

#define VARINT_BYTES_MAX 5 // of a length below 2^32
#define FRAME_BYTES 5      // gRPC: a byte that says whether the message is compressed, its length

#define TAG(field) ((field) << 3 | 2) // of what has a length

static size_t varint_size(size_t value) {
    size_t size = 1;
    for (; value >= 0x80; value >>= 7)
        size++;
    return size;
}

// From `end` toward the front; returns where it begins.
static char *put_length(char *end, unsigned char tag, size_t length) {
    char *at = end - varint_size(length) - 1;
    char *to = at;
    *to++ = (char)tag;
    for (; length >= 0x80; length >>= 7)
        *to++ = (char)(length | 0x80);
    *to = (char)length;
    return at;
}

static char *put_bytes(char *end, struct bytes text) {
    memcpy(end - text.len, text.at, text.len);
    return end - text.len;
}

size_t otlp_head_room(const struct otlp_origin *origin) {
    return origin->resource.len + origin->scope.len + 2 * (1 + (size_t)VARINT_BYTES_MAX);
}

char *otlp_head_write(const struct otlp_origin *origin, size_t records, char *end) {
    CHECK(records > 0); // an empty envelope is never sent
    const char *all_end = end + records;
    char *at = put_bytes(end, origin->scope);
    at = put_length(at, TAG(2), (size_t)(all_end - at)); // scope_spans
    at = put_bytes(at, origin->resource);
    return put_length(at, TAG(1), (size_t)(all_end - at)); // resource_spans
}

// Room in front for gRPC's frame stays free. A level above the first saves some percent, for several times the work of the thread that serves pages.
static enum error compress_behind(size_t room, struct bytes text, struct bytes *out) {
    z_stream stream = {0};
    if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + 16, MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
        return ERROR_NO_MEMORY;
    const size_t bound = deflateBound(&stream, text.len);
    unsigned char *to = try_alloc(room + bound);
    if (to == NULL) {
        deflateEnd(&stream);
        return ERROR_NO_MEMORY;
    }
    stream.next_in = (unsigned char *)(uintptr_t)text.at; // it only reads
    stream.avail_in = (uInt)text.len;
    stream.next_out = to + room;
    stream.avail_out = (uInt)bound;
    const int result = deflate(&stream, Z_FINISH);
    CHECK(result == Z_STREAM_END);
    *out = bytes_from((char *)to, room + stream.total_out);
    deflateEnd(&stream);
    return OK;
}

static enum error copy_behind(size_t room, struct bytes text, struct bytes *out) {
    char *to = try_alloc(room + text.len + 1);
    if (to == NULL)
        return ERROR_NO_MEMORY;
    memcpy(to + room, text.at, text.len);
    *out = bytes_from(to, room + text.len);
    return OK;
}

// The message of gRPC begins FRAME_BYTES behind the front.
static void write_frame(struct bytes body, bool is_compressed) {
    char *at = (char *)(uintptr_t)body.at; // ours, and not given out yet
    const size_t length = body.len - FRAME_BYTES;
    at[0] = is_compressed ? 1 : 0;
    for (int i = 0; i < 4; i++)
        at[1 + i] = (char)(length >> (8 * (3 - i)));
}

enum error otlp_request_encode(enum otlp_protocol protocol, enum otlp_compression compression, enum otlp_signal signal, struct bytes request,
                               struct bytes *body) {
    const bool is_compressed = compression == OTLP_COMPRESSION_GZIP;
    const size_t room = protocol == OTLP_GRPC ? FRAME_BYTES : 0;
    struct bytes json = BYTES_NONE;
    *body = BYTES_NONE;
    if (request.len > OTLP_BODY_BYTES_MAX)
        return ERROR_BODY_TOO_LARGE;
    if (protocol == OTLP_HTTP_JSON) {
        const enum error error = otlp_json_print(signal, request, OTLP_BODY_BYTES_MAX, &json);
        if (error != OK || !is_compressed) {
            *body = json;
            return error;
        }
        request = json;
    }
    const enum error error = is_compressed ? compress_behind(room, request, body) : copy_behind(room, request, body);
    if (error == OK && protocol == OTLP_GRPC)
        write_frame(*body, is_compressed);
    bytes_drop(&json);
    return error;
}
