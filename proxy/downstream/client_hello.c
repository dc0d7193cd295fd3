// See client_hello.h. Everything is bounded by what has arrived: a reader never goes past the end of its part, and a length that says otherwise ends it.
#include "downstream/client_hello.h"

#define RECORD_HANDSHAKE 22
#define RECORD_HEADER 5
#define RECORD_VERSION_MAJOR 3
#define RECORD_LENGTH_MAX 16384 // RFC 8446 section 5.1
#define MESSAGE_CLIENT_HELLO 1
#define MESSAGE_HEADER 4
#define EXTENSION_SERVER_NAME 0
#define EXTENSION_ALPN 16
#define NAME_TYPE_HOST 0

struct reader {
    const uint8_t *at;
    size_t left;
    bool is_short; // more was asked for than there is
};

static uint32_t read_number(struct reader *reader, size_t size) {
    uint32_t number = 0;
    if (reader->left < size) {
        reader->is_short = true;
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
        reader->is_short = true;
    struct reader inner = {.at = reader->at, .left = reader->is_short ? 0 : length, .is_short = reader->is_short};
    reader->at += inner.left;
    reader->left -= inner.left;
    return inner;
}

static bool offers_mesh(struct reader extension) {
    struct reader names = read_vector(&extension, 2);
    while (names.left > 0 && !names.is_short) {
        struct reader name = read_vector(&names, 1);
        if (bytes_starts_with(bytes_from((const char *)name.at, name.left), BYTES("outrigger")))
            return true;
    }
    return false;
}

// RFC 6066 section 3: a DNS name in ASCII, with no dot at its end, no address. What holds anything else is no name, and never comes into a log or a look-up.
static bool is_name_octet(char octet) {
    return (octet >= 'a' && octet <= 'z') || (octet >= 'A' && octet <= 'Z') || (octet >= '0' && octet <= '9') || octet == '-' || octet == '.' ||
           octet == '_';
}

uint8_t server_name_read(struct bytes name, char lower[SERVER_NAME_MAX]) {
    if (name.len > SERVER_NAME_MAX)
        return 0;
    for (size_t i = 0; i < name.len; i++) {
        if (!is_name_octet(name.at[i]))
            return 0;
        lower[i] = ascii_lower(name.at[i]);
    }
    return (uint8_t)name.len;
}

static void read_server_name(struct reader extension, struct client_hello *hello) {
    struct reader names = read_vector(&extension, 2);
    while (names.left > 0 && !names.is_short) {
        uint32_t type = read_number(&names, 1);
        struct reader name = read_vector(&names, 2);
        if (type != NAME_TYPE_HOST || names.is_short || name.left == 0 || name.left > SERVER_NAME_MAX)
            continue;
        const void *at = name.at;
        hello->server_name_length = server_name_read(bytes_from(at, name.left), hello->server_name);
        return;
    }
}

static bool read_message(struct reader hello, struct client_hello *read) {
    (void)read_number(&hello, 2); // legacy_version
    for (int i = 0; i < 8; i++)
        (void)read_number(&hello, 4); // random
    (void)read_vector(&hello, 1);     // legacy_session_id
    (void)read_vector(&hello, 2);     // cipher_suites
    (void)read_vector(&hello, 1);     // legacy_compression_methods
    if (hello.is_short)
        return false;
    struct reader extensions = read_vector(&hello, 2); // TLS 1.2 may have none
    while (extensions.left > 0 && !extensions.is_short) {
        uint32_t type = read_number(&extensions, 2);
        struct reader extension = read_vector(&extensions, 2);
        if (extensions.is_short)
            return false;
        if (type == EXTENSION_SERVER_NAME && read->server_name_length == 0)
            read_server_name(extension, read);
        else if (type == EXTENSION_ALPN)
            read->offers_mesh = read->offers_mesh || offers_mesh(extension);
    }
    return true;
}

// The bytes of the message out of their records, as far as they have come. `*whole`: how long the message is, once that is known.
static enum client_hello_result gather(struct bytes in, uint8_t message[CLIENT_HELLO_MAX], size_t *whole) {
    struct reader records = {.at = (const uint8_t *)in.at, .left = in.len};
    size_t length = 0;
    *whole = MESSAGE_HEADER;
    while (length < *whole) {
        if (records.left > 0 && records.at[0] != RECORD_HANDSHAKE)
            return length == 0 ? CLIENT_HELLO_NONE : CLIENT_HELLO_OTHER;
        if (records.left > 1 && records.at[1] != RECORD_VERSION_MAJOR)
            return length == 0 ? CLIENT_HELLO_NONE : CLIENT_HELLO_OTHER;
        if (records.left < RECORD_HEADER)
            return CLIENT_HELLO_MORE;
        (void)read_number(&records, 3);
        uint32_t piece = read_number(&records, 2);
        if (piece == 0 || piece > RECORD_LENGTH_MAX)
            return CLIENT_HELLO_OTHER;
        size_t here = piece < records.left ? piece : records.left;
        size_t taken = here < CLIENT_HELLO_MAX - length ? here : CLIENT_HELLO_MAX - length;
        memcpy(message + length, records.at, taken);
        length += taken;
        records.at += here;
        records.left -= here;
        if (length > 0 && message[0] != MESSAGE_CLIENT_HELLO)
            return CLIENT_HELLO_OTHER;
        if (length >= MESSAGE_HEADER)
            *whole = MESSAGE_HEADER + ((size_t)message[1] << 16 | (size_t)message[2] << 8 | message[3]);
        if (*whole > CLIENT_HELLO_MAX)
            return CLIENT_HELLO_OTHER;
        if (length < *whole && here < piece)
            return CLIENT_HELLO_MORE;
    }
    return CLIENT_HELLO_READ;
}

enum client_hello_result client_hello_read(struct bytes in, struct client_hello *hello) {
    uint8_t message[CLIENT_HELLO_MAX];
    size_t whole;
    *hello = (struct client_hello){0};
    enum client_hello_result result = gather(in, message, &whole);
    if (result == CLIENT_HELLO_MORE && in.len >= CLIENT_HELLO_MAX)
        return CLIENT_HELLO_OTHER;
    if (result != CLIENT_HELLO_READ)
        return result;
    struct reader reader = {.at = message + MESSAGE_HEADER, .left = whole - MESSAGE_HEADER};
    if (read_message(reader, hello))
        return CLIENT_HELLO_READ;
    *hello = (struct client_hello){0};
    return CLIENT_HELLO_OTHER;
}
