// The parts of a key, out of a request. Each part's hash is the key of the next one's, so that no two lists of parts come out alike by moving bytes between them.
#include "stream/request_key.h"

#include "base/check.h"
#include "base/hash.h"
#include "http/canonical.h"
#include "http/form.h"
#include "http/headers.h"
#include "stream/stream.h"

// Constant, since all proxies must agree. Who knows it can find values that lead to one endpoint: so he can with any consistent hash.
#define FIRST_KEY UINT64_C(0x6f75747269676765)
#define SECOND_KEY UINT64_C(0x722f6b6579732f31)

static uint64_t add(uint64_t hash, struct bytes text) {
    return hash_with_key(hash, SECOND_KEY, text);
}

// IPv6 by its /64, which one client has whole; IPv4 in IPv6 as what it is.
static bool add_address(const union address *address, uint64_t *hash) {
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (address == NULL || (address->any.sa_family != AF_INET && address->any.sa_family != AF_INET6))
        return false;
    const char *ip = (const char *)&address->v4.sin_addr;
    size_t length = 4;
    if (address->any.sa_family == AF_INET6) {
        bool is_mapped = memcmp(&address->v6.sin6_addr, mapped, sizeof mapped) == 0;
        ip = (const char *)&address->v6.sin6_addr + (is_mapped ? sizeof mapped : 0);
        length = is_mapped ? 4 : 8;
    }
    *hash = add(*hash, bytes_from(ip, length));
    return true;
}

// Host in its canonical form: one host is one key however it is written.
static bool add_host(const struct head *request, struct pool *pool, uint64_t *hash) {
    if (request->authority.len == 0)
        return false;
    *hash = add(*hash, canonical_authority(request->authority, request->scheme, pool));
    return true;
}

static bool add_header(const struct head *request, struct bytes name, struct pool *pool, uint64_t *hash) {
    bool found = false;
    if (bytes_equal_nocase(name, BYTES("host")))
        return add_host(request, pool, hash);
    FIELDS_EACH(&request->fields, field) {
        if (!bytes_equal_nocase(field->name, name))
            continue;
        found = true;
        *hash = add(*hash, field->value);
    }
    return found;
}

// RFC 6265 section 5.4: name=value, with "; " between them; HTTP/2 may have a field for each.
static bool add_cookie(const struct head *request, struct bytes name, uint64_t *hash) {
    for (const struct field *field = fields_find(&request->fields, FIELD_COOKIE); field != NULL; field = fields_find_next(&request->fields, field)) {
        struct bytes list = field->value, cookie;
        while (bytes_next(&list, ';', &cookie)) {
            size_t equals = bytes_find(cookie, '=');
            if (equals == cookie.len || !bytes_equal(bytes_from(cookie.at, equals), name))
                continue;
            *hash = add(*hash, bytes_from(cookie.at + equals + 1, cookie.len - equals - 1));
            return true;
        }
    }
    return false;
}

// Decoded, so that no other spelling of it is another key.
static bool add_parameter(struct bytes target, struct bytes name, struct pool *pool, uint64_t *hash) {
    size_t mark = bytes_find(target, '?');
    struct form form;
    struct bytes value;
    if (mark == target.len)
        return false;
    form_parse(&form, bytes_from(target.at + mark + 1, target.len - mark - 1), pool);
    if (!form_find(&form, name, &value))
        return false;
    *hash = add(*hash, value);
    return true;
}

static bool add_part(const struct request_key_part *part, struct stream *stream, uint64_t *hash) {
    const struct head *request = stream->request;
    switch (part->type) {
    case KEY_CLIENT_ADDRESS:
        return add_address(stream_client_address(stream), hash);
    case KEY_IDENTITY:
        if (stream->client.identity == NULL)
            return false;
        *hash = add(*hash, stream->client.identity->text);
        return true;
    case KEY_HEADER:
        return request != NULL && add_header(request, part->name, &stream->pool, hash);
    case KEY_COOKIE:
        return request != NULL && add_cookie(request, part->name, hash);
    case KEY_QUERY:
        return request != NULL && add_parameter(request->path, part->name, &stream->pool, hash);
    case KEY_PATH:
        if (request == NULL)
            return false;
        *hash = add(*hash, bytes_from(request->path.at, bytes_find(request->path, '?')));
        return true;
    case KEY_METHOD:
        if (request == NULL)
            return false;
        *hash = add(*hash, request->method_text);
        return true;
    }
    check_failed("a part of a key is of a type that is none", __FILE__, __LINE__);
}

bool request_key_hash(const struct request_key *key, struct stream *stream, uint64_t *hash) {
    CHECK(key->count > 0);
    *hash = FIRST_KEY;
    for (uint32_t i = 0; i < key->count; i++) {
        *hash = hash_mix(*hash + i); // where one part ends and the next begins
        if (!add_part(&key->parts[i], stream, hash))
            return false;
    }
    return true;
}
