// Whose address, and what of it, by a table. See access_address.h.
#include "telemetry/access_address.h"

#include "telemetry/convention.h"
#include "telemetry/text_escape.h"

// Which parts of an address are told.
enum address_form { ADDRESS_WHOLE, ADDRESS_WITHOUT_PORT, ADDRESS_PORT };

enum address_of { OF_CLIENT, OF_PEER, OF_LOCAL, OF_ENDPOINT, OF_UPSTREAM_LOCAL };

static const struct {
    enum access_operator operation;
    enum address_of of;
    enum address_form form;
} addresses[] = {
    {OPERATOR_DOWNSTREAM_REMOTE_ADDRESS, OF_CLIENT, ADDRESS_WHOLE},
    {OPERATOR_DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT, OF_CLIENT, ADDRESS_WITHOUT_PORT},
    {OPERATOR_DOWNSTREAM_REMOTE_PORT, OF_CLIENT, ADDRESS_PORT},
    {OPERATOR_DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT, OF_PEER, ADDRESS_WITHOUT_PORT},
    {OPERATOR_DOWNSTREAM_DIRECT_REMOTE_PORT, OF_PEER, ADDRESS_PORT},
    {OPERATOR_DOWNSTREAM_LOCAL_ADDRESS, OF_LOCAL, ADDRESS_WHOLE},
    {OPERATOR_DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT, OF_LOCAL, ADDRESS_WITHOUT_PORT},
    {OPERATOR_DOWNSTREAM_LOCAL_PORT, OF_LOCAL, ADDRESS_PORT},
    {OPERATOR_UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT, OF_ENDPOINT, ADDRESS_WITHOUT_PORT},
    {OPERATOR_UPSTREAM_REMOTE_PORT, OF_ENDPOINT, ADDRESS_PORT},
    {OPERATOR_UPSTREAM_LOCAL_ADDRESS, OF_UPSTREAM_LOCAL, ADDRESS_WHOLE},
    {OPERATOR_UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT, OF_UPSTREAM_LOCAL, ADDRESS_WITHOUT_PORT},
    {OPERATOR_UPSTREAM_LOCAL_PORT, OF_UPSTREAM_LOCAL, ADDRESS_PORT},
};

static struct bytes printed(const struct access_record *record, enum access_address which, char text[ACCESS_ADDRESS_MAX]) {
    return record->print_address == NULL ? BYTES_NONE : bytes_from(text, record->print_address(record->message, which, text));
}

static struct bytes address_of(const struct access_record *record, enum address_of of, char text[ACCESS_ADDRESS_MAX]) {
    switch (of) {
    case OF_CLIENT:
        return record->client.len > 0 ? record->client : record->peer;
    case OF_PEER:
        return record->peer;
    case OF_LOCAL:
        return printed(record, ACCESS_LOCAL, text);
    case OF_ENDPOINT:
        return record->endpoint;
    case OF_UPSTREAM_LOCAL:
        return printed(record, ACCESS_UPSTREAM_LOCAL, text);
    }
    return BYTES_NONE;
}

// No address has anything to escape, or is so long; whatever stood there would stay inside its line.
static void add(struct access_line *line, struct bytes text, size_t most) {
    line->at = text_escape(line->at, line->at + most, text, TEXT_ESCAPE_JSON);
}

// A client that a proxy tells of has no port, as Envoy says it: "10.0.0.7:0", "[2001:db8::1]:0".
static void add_with_port_0(struct access_line *line, struct bytes client) {
    const bool has_brackets = bytes_find(client, ':') < client.len;
    access_line_add(line, has_brackets ? BYTES("[") : BYTES(""));
    add(line, client, ACCESS_ADDRESS_MAX - sizeof "[]:0");
    access_line_add(line, has_brackets ? BYTES("]:0") : BYTES(":0"));
}

bool access_address_add(struct access_line *line, const struct access_record *record, enum access_operator operation, bool *is_there) {
    size_t i = 0;
    while (i < sizeof addresses / sizeof addresses[0] && addresses[i].operation != operation)
        i++;
    if (i == sizeof addresses / sizeof addresses[0])
        return false;
    char text[ACCESS_ADDRESS_MAX];
    uint64_t port = 0;
    const struct bytes address = address_of(record, addresses[i].of, text);
    const bool is_told_of = addresses[i].of == OF_CLIENT && record->client.len > 0;
    const struct bytes host = is_told_of ? address : convention_host(address, &port);
    *is_there = address.len > 0;
    if (!*is_there)
        return true;
    if (addresses[i].form == ADDRESS_PORT)
        access_line_add_number(line, port);
    else if (addresses[i].form == ADDRESS_WITHOUT_PORT)
        add(line, host, ACCESS_ADDRESS_MAX);
    else if (is_told_of)
        add_with_port_0(line, address);
    else
        add(line, address, ACCESS_ADDRESS_MAX);
    return true;
}
