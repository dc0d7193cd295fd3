// The fields that clients from outside may not set. outrigger-* and x-forwarded-client-cert are believed from nobody outside, whatever is trusted: forward.c.
#include "stream/edge.h"

#include "config/edge_fields.h"
#include "http/headers.h"
#include "net/tcp.h"
#include "stream/stream.h"

static bool is_trusted(const struct stream *stream, struct bytes name) {
    const struct proxy_config *proxy = stream->proxy;
    for (uint32_t i = 0; i < proxy->edge.trust_header_count; i++)
        if (bytes_equal_nocase(proxy->edge.trust_headers[i], name))
            return true;
    return false;
}

// What a trusted proxy says of how it was asked, if it says it once.
static bool is_told(const struct stream *stream, const struct field *field) {
    const struct fields *fields = &stream->request->fields;
    const bool is_proto = field->id == FIELD_X_FORWARDED_PROTO;
    if (!stream->forwarded.is_believed || (!is_proto && field->id != FIELD_X_FORWARDED_HOST))
        return false;
    if (fields_find(fields, field->id) != field || fields_find_next(fields, field) != NULL || field->value.len == 0)
        return false;
    return !is_proto || bytes_equal_nocase(field->value, BYTES("http")) || bytes_equal_nocase(field->value, BYTES("https"));
}

// What a trusted one before us says stays.
static void say(struct stream *stream, enum field_id id, struct bytes value) {
    struct fields *fields = &stream->request->fields;
    const struct field *before = fields_find(fields, id);
    if (before == NULL)
        fields_add_known(fields, id, value);
    else if (id == FIELD_X_FORWARDED_FOR)
        fields_set_known(fields, id, pool_format(&stream->pool, "%.*s, %.*s", BYTES_FORMAT(forwarded_for_list(stream)), BYTES_FORMAT(value)));
}

void edge_prepare(struct stream *stream) {
    struct head *request = stream->request;
    FIELDS_EACH(&request->fields, field) {
        if (edge_field_is_guarded(field->name) && !is_trusted(stream, field->name) && !is_told(stream, field))
            fields_remove_field(&request->fields, field);
    }
    char text[ADDRESS_TEXT_MAX];
    struct bytes peer = pool_copy(&stream->pool, bytes_from(text, address_print_ip(stream->client.address, text, sizeof text)));
    if (stream->forwarded.chain.len > 0 && fields_find(&request->fields, FIELD_X_FORWARDED_FOR) == NULL)
        peer = pool_format(&stream->pool, "%.*s, %.*s", BYTES_FORMAT(stream->forwarded.chain), BYTES_FORMAT(peer));
    say(stream, FIELD_X_FORWARDED_FOR, peer);
    say(stream, FIELD_X_FORWARDED_PROTO, stream->client.secure ? BYTES("https") : BYTES("http"));
    if (request->authority.len > 0)
        say(stream, FIELD_X_FORWARDED_HOST, request->authority);
}
