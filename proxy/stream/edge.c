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
static bool is_told(const struct stream *stream, enum field_id id) {
    const struct fields *fields = &stream->request->fields;
    const struct field *field = stream->forwarded.is_believed ? fields_find(fields, id) : NULL;
    if (field == NULL || fields_find_next(fields, field) != NULL)
        return false;
    if (id == FIELD_X_FORWARDED_PROTO)
        return bytes_equal_nocase(field->value, BYTES("http")) || bytes_equal_nocase(field->value, BYTES("https"));
    return field->value.len > 0 && bytes_find(field->value, ',') == field->value.len;
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
    const bool proto_is_told = is_told(stream, FIELD_X_FORWARDED_PROTO), host_is_told = is_told(stream, FIELD_X_FORWARDED_HOST);
    FIELDS_EACH(&request->fields, field) {
        const bool stays = (field->id == FIELD_X_FORWARDED_PROTO && proto_is_told) || (field->id == FIELD_X_FORWARDED_HOST && host_is_told);
        if (!stays && edge_field_is_guarded(field->name) && !is_trusted(stream, field->name))
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
