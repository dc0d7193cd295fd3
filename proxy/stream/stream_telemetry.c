// Values out of a request, for labels of metrics and attributes of spans alike. See stream_telemetry.h.
#include "stream/stream_telemetry.h"

#include "http/canonical.h"
#include "http/headers.h"
#include "http/redact.h"
#include "stream/request_key.h"

static struct bytes first_of(const struct head *head, enum field_id id) {
    const struct field *field = fields_find(&head->fields, id);
    return field == NULL ? BYTES_NONE : bytes_trim(bytes_from(field->value.at, bytes_find(field->value, ',')));
}

struct bytes stream_telemetry_server(const struct head *request, struct bytes *scheme) {
    const struct bytes host = first_of(request, FIELD_X_FORWARDED_HOST), told = first_of(request, FIELD_X_FORWARDED_PROTO);
    const bool is_scheme = bytes_equal_nocase(told, BYTES("https")) || bytes_equal_nocase(told, BYTES("http"));
    *scheme = is_scheme ? told : request->scheme;
    return authority_is_valid(host) ? host : request->authority;
}

struct bytes stream_telemetry_value(struct stream *stream, const struct request_key_part *from, char address[ADDRESS_TEXT_MAX]) {
    struct request_key_part part = *from;
    struct bytes value;
    if (from->type == KEY_CLIENT_ADDRESS) {
        const union address *client = stream_client_address(stream);
        return client == NULL ? BYTES_NONE : bytes_from(address, address_print_ip(client, address, ADDRESS_TEXT_MAX));
    }
    if (!request_key_value_guarded(&(struct request_key){.parts = &part, .count = 1}, stream, &value))
        return BYTES_NONE;
    return from->type == KEY_HEADER || from->type == KEY_QUERY ? redact_url(from->name, value) : value;
}
