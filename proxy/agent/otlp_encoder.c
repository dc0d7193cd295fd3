// First it is printed, where it is to be JSON, then packed. See otlp_encoder.h.
#include "agent/otlp_encoder.h"

#include "agent/otlp_json.h"
#include "base/check.h"
#include "base/pool.h"

#include <stdlib.h>
#include <zlib.h>

#define FRAME_BYTES 5 // gRPC: a byte that says whether the message is compressed, its length

// Of a step. On a common machine JSON takes 20 ns for a byte, gzip 10.
#define PRINT_BYTES 32768
#define PACK_BYTES 65536

struct otlp_encoder {
    enum otlp_protocol protocol;
    enum otlp_compression compression;
    struct otlp_json *json; // NULL: it is to be none, or is printed
    struct bytes printed;   // owned
    struct bytes text;      // that is left to be packed
    size_t room;            // in front of the body, for gRPC's frame
    char *out;              // the body; NULL: not begun
    size_t length, size;
    bool is_packing; // `stream` is there
    z_stream stream;
};

enum error otlp_encoder_create(enum otlp_protocol protocol, enum otlp_compression compression, enum otlp_signal signal, struct bytes request,
                               struct otlp_encoder **encoder) {
    struct otlp_json *json = NULL;
    *encoder = NULL;
    if (request.len > OTLP_BODY_BYTES_MAX)
        return ERROR_BODY_TOO_LARGE;
    if (protocol == OTLP_HTTP_JSON) {
        const enum error error = otlp_json_create(signal, request, OTLP_BODY_BYTES_MAX, &json);
        if (error != OK)
            return error;
    }
    *encoder = alloc_zeroed_or_abort(1, sizeof **encoder);
    (*encoder)->protocol = protocol;
    (*encoder)->compression = compression;
    (*encoder)->json = json;
    (*encoder)->text = request;
    (*encoder)->room = protocol == OTLP_GRPC ? FRAME_BYTES : 0;
    return OK;
}

static enum error print(struct otlp_encoder *encoder) {
    bool is_printed;
    const enum error error = otlp_json_step(encoder->json, PRINT_BYTES, &is_printed);
    if (error != OK || !is_printed)
        return error;
    encoder->printed = encoder->text = otlp_json_take(encoder->json);
    otlp_json_destroy(encoder->json);
    encoder->json = NULL;
    return OK;
}

// A level above the first saves some percent, for several times the work.
static enum error begin_packing(struct otlp_encoder *encoder) {
    z_stream *stream = &encoder->stream;
    if (deflateInit2(stream, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + 16, MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
        return ERROR_NO_MEMORY;
    encoder->is_packing = true;
    encoder->size = encoder->room + deflateBound(stream, encoder->text.len);
    encoder->out = try_alloc(encoder->size);
    if (encoder->out == NULL)
        return ERROR_NO_MEMORY;
    stream->next_out = (unsigned char *)encoder->out + encoder->room;
    stream->avail_out = (uInt)(encoder->size - encoder->room);
    return OK;
}

static enum error pack(struct otlp_encoder *encoder, bool *is_done) {
    z_stream *stream = &encoder->stream;
    if (!encoder->is_packing) {
        const enum error error = begin_packing(encoder);
        if (error != OK)
            return error;
    }
    const size_t some = encoder->text.len < PACK_BYTES ? encoder->text.len : PACK_BYTES;
    stream->next_in = (unsigned char *)(uintptr_t)encoder->text.at; // it only reads
    stream->avail_in = (uInt)some;
    *is_done = some == encoder->text.len;
    const int result = deflate(stream, *is_done ? Z_FINISH : Z_NO_FLUSH);
    CHECK(result == (*is_done ? Z_STREAM_END : Z_OK) && stream->avail_in == 0);
    encoder->text = bytes_from(encoder->text.at + some, encoder->text.len - some);
    encoder->length = encoder->room + stream->total_out;
    return OK;
}

// What is not packed is copied at once: it is as fast as memory.
static enum error copy(struct otlp_encoder *encoder) {
    if (encoder->printed.at != NULL) {
        encoder->out = (char *)(uintptr_t)encoder->printed.at;
        encoder->length = encoder->printed.len;
        encoder->printed = BYTES_NONE;
        return OK;
    }
    encoder->out = try_alloc(encoder->room + encoder->text.len + 1);
    if (encoder->out == NULL)
        return ERROR_NO_MEMORY;
    memcpy(encoder->out + encoder->room, encoder->text.at, encoder->text.len);
    encoder->length = encoder->room + encoder->text.len;
    return OK;
}

static void write_frame(struct otlp_encoder *encoder) {
    const size_t length = encoder->length - FRAME_BYTES;
    encoder->out[0] = encoder->compression == OTLP_COMPRESSION_GZIP ? 1 : 0;
    for (int i = 0; i < 4; i++)
        encoder->out[1 + i] = (char)(length >> (8 * (3 - i)));
}

enum error otlp_encoder_step(struct otlp_encoder *encoder, bool *is_done) {
    enum error error = OK;
    *is_done = false;
    if (encoder->json != NULL) {
        error = print(encoder);
        if (error != OK || encoder->json != NULL || encoder->compression == OTLP_COMPRESSION_GZIP)
            return error;
    }
    if (encoder->compression == OTLP_COMPRESSION_GZIP) {
        error = pack(encoder, is_done);
    } else {
        error = copy(encoder);
        *is_done = error == OK;
    }
    if (*is_done && encoder->protocol == OTLP_GRPC)
        write_frame(encoder);
    return error;
}

struct bytes otlp_encoder_take(struct otlp_encoder *encoder) {
    const struct bytes body = bytes_from(encoder->out, encoder->length);
    encoder->out = NULL;
    return body;
}

void otlp_encoder_destroy(struct otlp_encoder *encoder) {
    if (encoder == NULL)
        return;
    if (encoder->is_packing)
        deflateEnd(&encoder->stream);
    otlp_json_destroy(encoder->json);
    bytes_drop(&encoder->printed);
    free(encoder->out);
    free(encoder);
}
