// The parts of a key, out of a request. Each part's hash is the key of the next one's, so that no two lists of parts come out alike by moving bytes between them.
#include "stream/request_key.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/map.h"
#include "http/canonical.h"
#include "http/form.h"
#include "http/headers.h"
#include "stream/claims.h"
#include "stream/stream.h"

// Constant, since all proxies must agree. Who knows it can find values that lead to one endpoint: so he can with any consistent hash.
#define FIRST_KEY UINT64_C(0x6f75747269676765)
#define SECOND_KEY UINT64_C(0x722f6b6579732f31)

// A key in the making.
struct hashing {
    uint64_t hash;
    uint64_t second_key;
    bool is_guarded;   // request_key_hash_guarded
    bool is_first;     // nothing was added before
    struct bytes last; // what was added
    struct stream *stream;
};

static void add(struct hashing *hashing, struct bytes text) {
    hashing->hash = hash_with_key(hashing->hash, hashing->second_key, text);
    hashing->last = text;
    hashing->is_first = false;
}

// Where the connection itself keeps the hash of its address: most limits are by that alone.
static uint64_t *kept_hash(const struct hashing *hashing) {
    const struct stream *stream = hashing->stream;
    return hashing->is_guarded && hashing->is_first && !stream->forwarded.names_client ? stream->client.address_hash : NULL;
}

static void add_client(struct bytes ip, struct hashing *hashing) {
    uint64_t *const kept = kept_hash(hashing);
    if (kept != NULL && *kept != 0) {
        hashing->hash = *kept;
        hashing->last = ip;
        hashing->is_first = false;
        return;
    }
    add(hashing, ip);
    if (kept != NULL)
        *kept = hashing->hash;
}

// IPv6 by its /64, which one client has whole; IPv4 in IPv6 as what it is.
static bool add_address(const union address *address, struct hashing *hashing) {
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
    add_client(bytes_from(ip, length), hashing);
    return true;
}

// Host in its canonical form: one host is one key however it is written.
static bool add_host(const struct head *request, struct hashing *hashing) {
    if (request->authority.len == 0)
        return false;
    add(hashing, canonical_authority(request->authority, request->scheme, &hashing->stream->pool));
    return true;
}

static bool add_header(const struct head *request, struct bytes name, struct hashing *hashing) {
    uint32_t found = 0;
    if (bytes_equal_nocase(name, BYTES("host")))
        return add_host(request, hashing);
    FIELDS_EACH(&request->fields, field) {
        if (hashing->is_guarded ? !field_name_reads_as(field->name, name) : !bytes_equal_nocase(field->name, name))
            continue;
        found++;
        add(hashing, field->value);
    }
    return found == 1 || (found > 1 && !hashing->is_guarded);
}

// RFC 6265 section 5.4: name=value, with "; " between them; HTTP/2 may have a field for each. The first of that name.
static bool add_cookie(const struct head *request, struct bytes name, struct hashing *hashing) {
    uint32_t found = 0;
    for (const struct field *field = fields_find(&request->fields, FIELD_COOKIE); field != NULL; field = fields_find_next(&request->fields, field)) {
        struct bytes list = field->value, cookie;
        while (bytes_next(&list, ';', &cookie)) {
            const size_t equals = bytes_find(cookie, '=');
            if (equals == cookie.len || !bytes_equal(bytes_from(cookie.at, equals), name) || ++found > 1)
                continue;
            add(hashing, bytes_from(cookie.at + equals + 1, cookie.len - equals - 1));
        }
    }
    return found == 1 || (found > 1 && !hashing->is_guarded);
}

// Decoded, so that no other spelling of it is another key.
static bool add_parameter(struct bytes target, struct bytes name, struct hashing *hashing) {
    const size_t mark = bytes_find(target, '?');
    struct form form;
    struct bytes value;
    if (mark == target.len)
        return false;
    form_parse(&form, bytes_from(target.at + mark + 1, target.len - mark - 1), &hashing->stream->pool);
    if (!form_find(&form, name, &value) || (hashing->is_guarded && form_is_repeated(&form, name)))
        return false;
    add(hashing, value);
    return true;
}

// All its values: who signs a token sends no spellings.
static bool add_claim(const struct claims *claims, struct bytes name, struct hashing *hashing) {
    const struct claim *claim = claims_find(claims, name, NULL);
    const bool is_there = claim != NULL;
    for (; claim != NULL; claim = claims_find(claims, name, claim))
        add(hashing, claim->value);
    return is_there;
}

static bool add_part(const struct request_key_part *part, struct hashing *hashing) {
    struct stream *stream = hashing->stream;
    const struct head *request = stream->request;
    switch (part->type) {
    case KEY_CLIENT_ADDRESS:
        return add_address(stream_client_address(stream), hashing);
    case KEY_IDENTITY:
        if (stream->client.identity == NULL)
            return false;
        add(hashing, stream->client.identity->text);
        return true;
    case KEY_HEADER:
        return request != NULL && add_header(request, part->name, hashing);
    case KEY_COOKIE:
        return request != NULL && add_cookie(request, part->name, hashing);
    case KEY_QUERY:
        return request != NULL && add_parameter(request->path, part->name, hashing);
    case KEY_CLAIM:
        return add_claim(stream->claims, part->name, hashing);
    case KEY_PATH:
        if (request == NULL)
            return false;
        add(hashing, bytes_from(request->path.at, bytes_find(request->path, '?')));
        return true;
    case KEY_METHOD:
        if (request == NULL)
            return false;
        add(hashing, request->method_text);
        return true;
    }
    check_failed("a part of a key is of a type that is none", __FILE__, __LINE__);
}

// Where one part ends and the next begins.
static void begin_part(struct hashing *hashing, uint32_t number) {
    hashing->hash = hash_mix(hashing->hash + number);
}

static bool add_parts(const struct request_key *key, struct hashing *hashing) {
    CHECK(key->count > 0);
    for (uint32_t i = 0; i < key->count; i++) {
        begin_part(hashing, i);
        if (!add_part(&key->parts[i], hashing))
            return false;
    }
    return true;
}

bool request_key_hash(const struct request_key *key, struct stream *stream, uint64_t *hash) {
    struct hashing hashing = {.hash = FIRST_KEY, .second_key = SECOND_KEY, .stream = stream};
    const bool is_whole = add_parts(key, &hashing);
    *hash = hashing.hash;
    return is_whole;
}

static struct hashing begin_guarded(struct stream *stream) {
    uint64_t keys[2];
    hash_own_keys(keys);
    return (struct hashing){.hash = keys[0], .second_key = keys[1], .is_guarded = true, .is_first = true, .stream = stream};
}

uint64_t request_key_hash_guarded_text(struct bytes text) {
    struct hashing hashing = begin_guarded(NULL);
    begin_part(&hashing, 0);
    add(&hashing, text);
    return hashing.hash;
}

bool request_key_hash_guarded(const struct request_key *key, struct stream *stream, uint64_t *hash) {
    struct hashing hashing = begin_guarded(stream);
    const bool is_whole = add_parts(key, &hashing);
    *hash = hashing.hash;
    return is_whole;
}

bool request_key_value_guarded(const struct request_key *key, struct stream *stream, struct bytes *value) {
    CHECK(key->count == 1);
    struct hashing hashing = begin_guarded(stream);
    const bool is_whole = add_parts(key, &hashing);
    *value = hashing.last;
    return is_whole;
}

bool request_key_part_hash(const struct request_key_part *part, struct stream *stream, uint64_t *hash) {
    struct request_key_part alone = *part;
    return request_key_hash_guarded(&(struct request_key){.parts = &alone, .count = 1}, stream, hash);
}
