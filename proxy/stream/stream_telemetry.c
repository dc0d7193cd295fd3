// Values out of a request, for labels of metrics and attributes of spans alike. See stream_telemetry.h.
#include "stream/stream_telemetry.h"

#include "http/redact.h"
#include "stream/request_key.h"

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
