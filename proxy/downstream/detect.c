// See detect.h. A ClientHello (RFC 8446 section 4.1.2) is read only as far as its ALPN extension (RFC 7301); whatever is odd in it counts as TLS that is not ours.
#include "downstream/detect.h"

#include "http/h2_codec.h"

#define RECORD_HANDSHAKE 22
#define RECORD_HEADER 5
#define CLIENT_HELLO 1
#define EXTENSION_ALPN 16

struct reader {
    const uint8_t *at;
    size_t left;
    bool short_of; // more was asked for than there is
};

static uint32_t read_number(struct reader *reader, size_t size) {
    uint32_t number = 0;
    if (reader->left < size) {
        reader->short_of = true;
        return 0;
    }
    for (size_t i = 0; i < size; i++)
        number = number << 8 | reader->at[i];
    reader->at += size;
    reader->left -= size;
    return number;
}

static struct reader read_vector(struct reader *reader, size_t length_size) {
    uint32_t length = read_number(reader, length_size);
    if (reader->left < length)
        reader->short_of = true;
    struct reader inner = {.at = reader->at, .left = reader->short_of ? 0 : length};
    if (!reader->short_of) {
        reader->at += length;
        reader->left -= length;
    }
    return inner;
}

static bool alpn_is_ours(struct reader extension) {
    struct reader names = read_vector(&extension, 2);
    while (names.left > 0 && !names.short_of) {
        struct reader name = read_vector(&names, 1);
        if (bytes_starts_with(bytes_from((const char *)name.at, name.left), BYTES("outrigger")))
            return true;
    }
    return false;
}

static enum detected detect_client_hello(struct bytes in) {
    struct reader record = {.at = (const uint8_t *)in.at, .left = in.len};
    (void)read_number(&record, 3); // type and version
    uint32_t record_length = read_number(&record, 2);
    if (record.short_of || record.left < record_length)
        return in.len < DETECT_BYTES_MAX ? DETECTED_MORE : DETECTED_TLS_OTHER;
    record.left = record_length;
    if (read_number(&record, 1) != CLIENT_HELLO)
        return DETECTED_TLS_OTHER;
    struct reader hello = read_vector(&record, 3);
    (void)read_number(&hello, 2); // legacy_version
    for (int i = 0; i < 8; i++)
        (void)read_number(&hello, 4); // random
    (void)read_vector(&hello, 1);     // legacy_session_id
    (void)read_vector(&hello, 2);     // cipher_suites
    (void)read_vector(&hello, 1);     // legacy_compression_methods
    struct reader extensions = read_vector(&hello, 2);
    while (extensions.left > 0 && !extensions.short_of) {
        uint32_t type = read_number(&extensions, 2);
        struct reader extension = read_vector(&extensions, 2);
        if (type == EXTENSION_ALPN && alpn_is_ours(extension))
            return DETECTED_TLS_MESH;
    }
    return DETECTED_TLS_OTHER;
}

enum detected detect(struct bytes in, bool tls) {
    if (in.len == 0)
        return DETECTED_MORE;
    if (tls && (uint8_t)in.at[0] == RECORD_HANDSHAKE)
        return in.len < RECORD_HEADER ? DETECTED_MORE : detect_client_hello(in);
    size_t compared = in.len < sizeof h2_client_preface ? in.len : sizeof h2_client_preface;
    if (memcmp(in.at, h2_client_preface, compared) != 0)
        return DETECTED_HTTP1;
    return compared == sizeof h2_client_preface ? DETECTED_HTTP2 : DETECTED_MORE;
}
