// See upgrade.h. SHA-1 and base64 are OpenSSL's; they are no secret's keeper here, only a proof that somebody has read the key.
#include "stream/upgrade.h"

#include "base/check.h"
#include "http/headers.h"
#include "stream/stream.h"

#include <openssl/evp.h>

#define KEY_FIELD BYTES("Sec-WebSocket-Key")
#define ACCEPT_FIELD BYTES("Sec-WebSocket-Accept")
#define VERSION_FIELD BYTES("Sec-WebSocket-Version")
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

enum {
    KEY_BYTES = 16,
    SHA1_BYTES = 20,
    TEXT_BYTES = 32, // base64 of either, with the NUL that OpenSSL writes
};

static struct bytes base64(struct pool *pool, const unsigned char *raw, int length) {
    union {
        char *text;
        unsigned char *bytes;
    } to = {.text = pool_alloc(pool, TEXT_BYTES)};
    int written = EVP_EncodeBlock(to.bytes, raw, length);
    CHECK(written > 0 && written < TEXT_BYTES);
    return bytes_from(to.text, (size_t)written);
}

// Need not be secret, only another each time (RFC 6455 section 10.3).
static struct bytes make_key(const struct attempt *attempt, struct pool *pool) {
    struct rng *rng = &attempt->stream->env->loop->rng;
    uint64_t random[2] = {rng_next(rng), rng_next(rng)};
    unsigned char raw[KEY_BYTES];
    memcpy(raw, random, sizeof raw);
    return base64(pool, raw, sizeof raw);
}

// RFC 6455 section 4.2.2. The key is whatever the client has sent.
static struct bytes answer_to(struct bytes key, struct pool *pool) {
    struct bytes text = pool_format(pool, "%.*s" GUID, BYTES_FORMAT(key));
    unsigned char digest[SHA1_BYTES];
    int done = EVP_Digest(text.at, text.len, digest, NULL, EVP_sha1(), NULL);
    CHECK(done == 1);
    return base64(pool, digest, sizeof digest);
}

static bool came_over_http2(const struct stream *stream) {
    return stream->request->version == HTTP_2;
}

void upgrade_attempt_head(struct attempt *attempt, enum http_version version) {
    struct fields *fields = &attempt->head.fields;
    attempt->upgrade_key = BYTES_NONE;
    if (version != HTTP_2 && !came_over_http2(attempt->stream))
        return;
    fields_remove_name(fields, KEY_FIELD);
    if (version == HTTP_2)
        return;
    attempt->upgrade_key = make_key(attempt, &attempt->pool);
    fields_add(fields, KEY_FIELD, attempt->upgrade_key);
    if (fields_find_name(fields, VERSION_FIELD) == NULL)
        fields_add(fields, VERSION_FIELD, BYTES("13"));
}

enum error upgrade_check_answer(const struct attempt *attempt) {
    const uint16_t status = attempt->up.codec_stream.head.status;
    // Over HTTP/2 every 2xx opens a tunnel: a plain one has no form there.
    if (status != 101)
        return status / 100 == 2 && came_over_http2(attempt->stream) ? ERROR_UPGRADE_FAILED : OK;
    if (attempt->upgrade_key.len == 0)
        return OK; // its client will, or there is nothing to check
    struct pool *pool = attempt->up.codec_stream.pool;
    const struct field *answer = fields_find_name(&attempt->up.codec_stream.head.fields, ACCEPT_FIELD);
    return answer != NULL && bytes_equal(answer->value, answer_to(attempt->upgrade_key, pool)) ? OK : ERROR_UPGRADE_FAILED;
}

void upgrade_response_head(const struct stream *stream, struct attempt *attempt) {
    struct head *head = &attempt->up.codec_stream.head;
    if (head->version != HTTP_2 && !came_over_http2(stream))
        return;
    fields_remove_name(&head->fields, ACCEPT_FIELD);
    const struct field *key = came_over_http2(stream) ? NULL : fields_find_name(&stream->request->fields, KEY_FIELD);
    if (key != NULL)
        fields_add(&head->fields, ACCEPT_FIELD, answer_to(key->value, &attempt->pool));
}
