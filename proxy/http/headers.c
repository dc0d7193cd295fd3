// The list of fields, by linear search: a head has about ten, so that a scan over small numbers beats any index.
#include "http/headers.h"

#include "base/check.h"

#include <assert.h>

// Fields of a usual head, so that the list does not grow.
#define FIELDS_CAPACITY_FIRST 16

#define SPELLING(literal) \
    { "" literal, sizeof(literal) - 1 }

static const struct bytes spellings[] = {
    [FIELD_OTHER] = {"", 0},
    [FIELD_ACCEPT] = SPELLING("Accept"),
    [FIELD_AUTHORIZATION] = SPELLING("Authorization"),
    [FIELD_B3] = SPELLING("b3"),
    [FIELD_BAGGAGE] = SPELLING("baggage"),
    [FIELD_CONNECTION] = SPELLING("Connection"),
    [FIELD_CONTENT_LENGTH] = SPELLING("Content-Length"),
    [FIELD_CONTENT_TYPE] = SPELLING("Content-Type"),
    [FIELD_COOKIE] = SPELLING("Cookie"),
    [FIELD_DATE] = SPELLING("Date"),
    [FIELD_EXPECT] = SPELLING("Expect"),
    [FIELD_FORWARDED] = SPELLING("Forwarded"),
    [FIELD_GRPC_MESSAGE] = SPELLING("grpc-message"),
    [FIELD_GRPC_STATUS] = SPELLING("grpc-status"),
    [FIELD_GRPC_TIMEOUT] = SPELLING("grpc-timeout"),
    [FIELD_HOST] = SPELLING("Host"),
    [FIELD_KEEP_ALIVE] = SPELLING("Keep-Alive"),
    [FIELD_MAX_FORWARDS] = SPELLING("Max-Forwards"),
    [FIELD_OUTRIGGER_PROTOCOL] = SPELLING("outrigger-protocol"),
    [FIELD_OUTRIGGER_REFUSED] = SPELLING("outrigger-refused"),
    [FIELD_OUTRIGGER_OTHER] = {"", 0},
    [FIELD_PROXY_AUTHENTICATE] = SPELLING("Proxy-Authenticate"),
    [FIELD_PROXY_AUTHORIZATION] = SPELLING("Proxy-Authorization"),
    [FIELD_PROXY_CONNECTION] = SPELLING("Proxy-Connection"),
    [FIELD_PROXY_STATUS] = SPELLING("Proxy-Status"),
    [FIELD_RETRY_AFTER] = SPELLING("Retry-After"),
    [FIELD_SERVER] = SPELLING("Server"),
    [FIELD_SET_COOKIE] = SPELLING("Set-Cookie"),
    [FIELD_TE] = SPELLING("TE"),
    [FIELD_TRACEPARENT] = SPELLING("traceparent"),
    [FIELD_TRACESTATE] = SPELLING("tracestate"),
    [FIELD_TRAILER] = SPELLING("Trailer"),
    [FIELD_TRANSFER_ENCODING] = SPELLING("Transfer-Encoding"),
    [FIELD_UPGRADE] = SPELLING("Upgrade"),
    [FIELD_USER_AGENT] = SPELLING("User-Agent"),
    [FIELD_VIA] = SPELLING("Via"),
    [FIELD_X_FORWARDED_CLIENT_CERT] = SPELLING("X-Forwarded-Client-Cert"),
    [FIELD_X_FORWARDED_FOR] = SPELLING("X-Forwarded-For"),
    [FIELD_X_FORWARDED_HOST] = SPELLING("X-Forwarded-Host"),
    [FIELD_X_FORWARDED_PROTO] = SPELLING("X-Forwarded-Proto"),
    [FIELD_X_REQUEST_ID] = SPELLING("X-Request-Id"),
    [FIELD_X_REQUEST_TIMEOUT_MS] = SPELLING("X-Request-Timeout-Ms"),
};
static_assert(sizeof(spellings) / sizeof(spellings[0]) == FIELD_COUNT, "every known field has a spelling");
static_assert(FIELD_COUNT <= 64, "each has a bit in fields.ids");

// Folds the case of eight letters at once: where `lower` has a letter (bit 0x40: names here are made of a-z and '-') the bit that tells the
// case is ignored. `length` is a constant wherever this is called, so that the loops become a few compares with constants.
static inline __attribute__((always_inline)) bool same_words(const char *name, const char *lower, size_t length) {
    uint64_t left;
    uint64_t right;
    memcpy(&left, name, length);
    memcpy(&right, lower, length);
    return ((left ^ right) & ~((right & UINT64_C(0x4040404040404040)) >> 1)) == 0;
}

static inline __attribute__((always_inline)) bool same_halves(const char *name, const char *lower) {
    uint32_t left;
    uint32_t right;
    memcpy(&left, name, sizeof(left));
    memcpy(&right, lower, sizeof(right));
    return ((left ^ right) & ~((right & UINT32_C(0x40404040)) >> 1)) == 0;
}

static inline __attribute__((always_inline)) bool name_is(const char *name, const char *lower, size_t length) {
    if (length >= 8) {
        bool same = same_words(name + length - 8, lower + length - 8, 8);
        for (size_t i = 0; i + 8 < length; i += 8)
            same = same && same_words(name + i, lower + i, 8);
        return same;
    }
    if (length >= 4)
        return same_halves(name, lower) && same_halves(name + length - 4, lower + length - 4);
    for (size_t i = 0; i < length; i++)
        if (ascii_lower(name[i]) != lower[i])
            return false;
    return true;
}

#define RETURN_IF(id, lower)                        \
    if (name_is(name.at, lower, sizeof(lower) - 1)) \
    return id

static enum field_id short_id_of(struct bytes name) {
    switch (name.len) {
    case 2:
        RETURN_IF(FIELD_TE, "te");
        RETURN_IF(FIELD_B3, "b3");
        break;
    case 3:
        RETURN_IF(FIELD_VIA, "via");
        break;
    case 4:
        RETURN_IF(FIELD_HOST, "host");
        RETURN_IF(FIELD_DATE, "date");
        break;
    case 6:
        RETURN_IF(FIELD_ACCEPT, "accept");
        RETURN_IF(FIELD_COOKIE, "cookie");
        RETURN_IF(FIELD_SERVER, "server");
        RETURN_IF(FIELD_EXPECT, "expect");
        break;
    case 7:
        RETURN_IF(FIELD_TRAILER, "trailer");
        RETURN_IF(FIELD_UPGRADE, "upgrade");
        RETURN_IF(FIELD_BAGGAGE, "baggage");
        break;
    case 9:
        RETURN_IF(FIELD_FORWARDED, "forwarded");
        break;
    case 10:
        RETURN_IF(FIELD_USER_AGENT, "user-agent");
        RETURN_IF(FIELD_CONNECTION, "connection");
        RETURN_IF(FIELD_SET_COOKIE, "set-cookie");
        RETURN_IF(FIELD_KEEP_ALIVE, "keep-alive");
        RETURN_IF(FIELD_TRACESTATE, "tracestate");
        break;
    case 11:
        RETURN_IF(FIELD_GRPC_STATUS, "grpc-status");
        RETURN_IF(FIELD_RETRY_AFTER, "retry-after");
        RETURN_IF(FIELD_TRACEPARENT, "traceparent");
        break;
    }
    return FIELD_OTHER;
}

static enum field_id long_id_of(struct bytes name) {
    switch (name.len) {
    case 12:
        RETURN_IF(FIELD_CONTENT_TYPE, "content-type");
        RETURN_IF(FIELD_X_REQUEST_ID, "x-request-id");
        RETURN_IF(FIELD_GRPC_TIMEOUT, "grpc-timeout");
        RETURN_IF(FIELD_GRPC_MESSAGE, "grpc-message");
        RETURN_IF(FIELD_MAX_FORWARDS, "max-forwards");
        RETURN_IF(FIELD_PROXY_STATUS, "proxy-status");
        break;
    case 13:
        RETURN_IF(FIELD_AUTHORIZATION, "authorization");
        break;
    case 14:
        RETURN_IF(FIELD_CONTENT_LENGTH, "content-length");
        break;
    case 15:
        RETURN_IF(FIELD_X_FORWARDED_FOR, "x-forwarded-for");
        break;
    case 16:
        RETURN_IF(FIELD_X_FORWARDED_HOST, "x-forwarded-host");
        RETURN_IF(FIELD_PROXY_CONNECTION, "proxy-connection");
        break;
    case 17:
        RETURN_IF(FIELD_TRANSFER_ENCODING, "transfer-encoding");
        RETURN_IF(FIELD_X_FORWARDED_PROTO, "x-forwarded-proto");
        RETURN_IF(FIELD_OUTRIGGER_REFUSED, "outrigger-refused");
        break;
    case 18:
        RETURN_IF(FIELD_OUTRIGGER_PROTOCOL, "outrigger-protocol");
        RETURN_IF(FIELD_PROXY_AUTHENTICATE, "proxy-authenticate");
        break;
    case 19:
        RETURN_IF(FIELD_PROXY_AUTHORIZATION, "proxy-authorization");
        break;
    case 20:
        RETURN_IF(FIELD_X_REQUEST_TIMEOUT_MS, "x-request-timeout-ms");
        break;
    case 23:
        RETURN_IF(FIELD_X_FORWARDED_CLIENT_CERT, "x-forwarded-client-cert");
        break;
    }
    return FIELD_OTHER;
}

enum field_id field_id_of(struct bytes name) {
    enum field_id id = name.len < 12 ? short_id_of(name) : long_id_of(name);
    if (id == FIELD_OTHER && name.len > 10 && name_is(name.at, "outrigger-", 10))
        return FIELD_OUTRIGGER_OTHER;
    return id;
}

struct bytes field_name(enum field_id id) {
    CHECK(id < FIELD_COUNT);
    return spellings[id];
}

void fields_init(struct fields *fields, struct pool *pool) {
    CHECK(pool != NULL);
    *fields = (struct fields){.pool = pool};
}

static void set_capacity(struct fields *fields, uint32_t capacity) {
    CHECK(capacity > fields->count);
    struct field *items = pool_alloc(fields->pool, capacity * sizeof(*items));
    if (fields->count > 0)
        memcpy(items, fields->items, fields->count * sizeof(*items));
    fields->items = items;
    fields->capacity = capacity;
}

void fields_lengthen(struct fields *fields) {
    set_capacity(fields, fields->capacity == 0 ? FIELDS_CAPACITY_FIRST : 2 * fields->capacity);
}

void fields_reserve(struct fields *fields, uint32_t more) {
    if (fields->capacity - fields->count < more)
        set_capacity(fields, fields->count + more);
}

void fields_copy(struct fields *to, const struct fields *from, struct pool *pool) {
    fields_init(to, pool);
    if (from->count == 0)
        return;
    // Room for what an intermediary adds (Via, X-Request-Id and the like), so that it needs no second list.
    set_capacity(to, from->count + 4);
    FIELDS_EACH(from, field) {
        to->items[to->count++] = *field;
    }
    to->bytes = from->bytes;
    to->ids = from->ids;
}

struct field *fields_add(struct fields *fields, struct bytes name, struct bytes value) {
    return fields_add_as(fields, field_id_of(name), name, value);
}

struct field *fields_add_known(struct fields *fields, enum field_id id, struct bytes value) {
    CHECK(field_name(id).len > 0);
    return fields_add_as(fields, id, field_name(id), value);
}

static struct field *find_from(const struct fields *fields, uint32_t position, enum field_id id) {
    for (uint32_t i = position; i < fields->count; i++)
        if (fields->items[i].id == id && !fields->items[i].removed)
            return &fields->items[i];
    return NULL;
}

static char dashed(char c) {
    return c == '_' ? '-' : ascii_lower(c);
}

bool field_name_reads_as(struct bytes name, struct bytes wanted) {
    bool is_equal = name.len == wanted.len;
    for (size_t i = 0; is_equal && i < name.len; i++)
        is_equal = dashed(name.at[i]) == dashed(wanted.at[i]);
    return is_equal;
}

struct field *fields_search(const struct fields *fields, enum field_id id) {
    return find_from(fields, 0, id);
}

struct field *fields_find_next(const struct fields *fields, const struct field *after) {
    CHECK(after >= fields->items && after < fields->items + fields->count);
    return find_from(fields, (uint32_t)(after - fields->items) + 1, after->id);
}

struct field *fields_find_name(const struct fields *fields, struct bytes name) {
    FIELDS_EACH(fields, field) {
        if (field->name.len == name.len && bytes_equal_nocase(field->name, name))
            return field;
    }
    return NULL;
}

struct bytes fields_only_value(const struct fields *fields, struct bytes name) {
    struct bytes value = BYTES_NONE;
    uint32_t count = 0;
    FIELDS_EACH(fields, field) {
        if (!bytes_equal_nocase(field->name, name))
            continue;
        value = field->value;
        count++;
    }
    return count == 1 ? value : BYTES_NONE;
}

void fields_remove_field(struct fields *fields, struct field *field) {
    CHECK(!field->removed);
    field->removed = true;
    fields->bytes -= (uint32_t)(field->name.len + field->value.len);
}

uint32_t fields_remove(struct fields *fields, enum field_id id) {
    uint32_t count = 0;
    for (struct field *field = fields_find(fields, id); field != NULL; field = fields_find_next(fields, field)) {
        fields_remove_field(fields, field);
        count++;
    }
    return count;
}

uint32_t fields_remove_name(struct fields *fields, struct bytes name) {
    uint32_t count = 0;
    FIELDS_EACH(fields, field) {
        if (field->name.len == name.len && bytes_equal_nocase(field->name, name)) {
            fields_remove_field(fields, field);
            count++;
        }
    }
    return count;
}

void fields_set_known(struct fields *fields, enum field_id id, struct bytes value) {
    struct field *first = fields_find(fields, id);
    if (first == NULL) {
        fields_add_known(fields, id, value);
        return;
    }
    fields->bytes += (uint32_t)value.len - (uint32_t)first->value.len;
    first->value = value;
    for (struct field *next = fields_find_next(fields, first); next != NULL; next = fields_find_next(fields, next))
        fields_remove_field(fields, next);
}

// Whether Connection must not take the field away, because somebody behind us decides by it.
static bool is_kept_from_connection(const struct field *field) {
    switch (field->id) {
    case FIELD_HOST:
    case FIELD_AUTHORIZATION:
    case FIELD_CONTENT_LENGTH:
    case FIELD_COOKIE:
    case FIELD_FORWARDED:
    case FIELD_TRACEPARENT:
    case FIELD_TRACESTATE:
    case FIELD_X_REQUEST_ID:
    case FIELD_OUTRIGGER_PROTOCOL:
    case FIELD_OUTRIGGER_REFUSED:
    case FIELD_OUTRIGGER_OTHER:
        return true;
    default:
        return (field->name.len > 12 && name_is(field->name.at, "x-forwarded-", 12)) ||
               (field->name.len > 14 && name_is(field->name.at, "sec-websocket-", 14));
    }
}

static void remove_named(struct fields *fields, struct bytes name) {
    FIELDS_EACH(fields, field) {
        if (field->name.len == name.len && bytes_equal_nocase(field->name, name) && !is_kept_from_connection(field))
            fields_remove_field(fields, field);
    }
}

static bool remove_connection_options(struct fields *fields) {
    uint32_t left = CONNECTION_OPTIONS_MAX;
    const struct field *connection = fields_find(fields, FIELD_CONNECTION);
    for (; connection != NULL; connection = fields_find_next(fields, connection)) {
        struct bytes list = connection->value;
        struct bytes option;
        while (bytes_next(&list, ',', &option)) {
            if (left-- == 0)
                return false;
            // The usual options name fields that are taken out anyway, or none: no search for them.
            enum field_id id = field_id_of(option);
            if (id != FIELD_CONNECTION && id != FIELD_KEEP_ALIVE && id != FIELD_UPGRADE && id != FIELD_TE)
                remove_named(fields, option);
        }
    }
    return true;
}

bool field_may_trail(enum field_id id) {
    switch (id) {
    case FIELD_AUTHORIZATION:
    case FIELD_CONNECTION:
    case FIELD_CONTENT_LENGTH:
    case FIELD_CONTENT_TYPE:
    case FIELD_COOKIE:
    case FIELD_EXPECT:
    case FIELD_HOST:
    case FIELD_KEEP_ALIVE:
    case FIELD_MAX_FORWARDS:
    case FIELD_PROXY_AUTHORIZATION:
    case FIELD_PROXY_CONNECTION:
    case FIELD_SET_COOKIE:
    case FIELD_TE:
    case FIELD_TRAILER:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_UPGRADE:
        return false;
    default:
        return true;
    }
}

bool fields_remove_hop_by_hop(struct fields *fields) {
    bool complete = remove_connection_options(fields);
    FIELDS_EACH(fields, field) {
        switch (field->id) {
        case FIELD_CONNECTION:
        case FIELD_KEEP_ALIVE:
        case FIELD_PROXY_CONNECTION:
        case FIELD_TE:
        case FIELD_TRANSFER_ENCODING:
        case FIELD_UPGRADE:
            fields_remove_field(fields, field);
            break;
        default:
            break;
        }
    }
    return complete;
}

// RFC 9110 section 5.6.2.
static const bool token_chars[256] = {
    ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['!'] = true, ['#'] = true, ['$'] = true,
    ['%'] = true,         ['&'] = true,         ['\''] = true,        ['*'] = true, ['+'] = true, ['-'] = true,
    ['.'] = true,         ['^'] = true,         ['_'] = true,         ['`'] = true, ['|'] = true, ['~'] = true,
};

bool is_token(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if (!token_chars[(unsigned char)text.at[i]])
            return false;
    return text.len > 0;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

bool is_field_value(struct bytes text) {
    if (text.len == 0)
        return true;
    if (is_blank(text.at[0]) || is_blank(text.at[text.len - 1]))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}
