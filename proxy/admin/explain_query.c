// Reads the query of /explain. What the codec of a connection would refuse is refused here too: see explain_query.h.
#include "admin/explain_query.h"

#include "admin/parameters.h"
#include "config/value.h"
#include "http/canonical.h"
#include "http/headers.h"

static struct explain_question *question_of(const struct reading *reading) {
    return reading->question;
}

static void read_listener(struct reading *reading, struct bytes value) {
    question_of(reading)->listener = value;
}

static void read_method(struct reading *reading, struct bytes value) {
    question_of(reading)->method = value;
    if (!is_token(value) || bytes_equal(value, BYTES("CONNECT")))
        reading->error = BYTES("method: a method as requests have it, such as GET; not CONNECT");
}

static void read_host(struct reading *reading, struct bytes value) {
    question_of(reading)->host = value;
    if (!authority_is_valid(value))
        reading->error = BYTES("host: a name or an address, with or without a port");
}

static void read_path(struct reading *reading, struct bytes value) {
    question_of(reading)->path = value;
    if (value.len == 0 || (value.at[0] != '/' && !bytes_equal(value, BYTES("*"))))
        reading->error = BYTES("path: begins with /, with or without a query");
}

static void read_header(struct reading *reading, struct bytes value) {
    struct explain_question *question = question_of(reading);
    const size_t colon = bytes_find(value, ':');
    const struct bytes name = bytes_from(value.at, colon);
    const struct bytes content = colon < value.len ? bytes_trim(bytes_from(value.at + colon + 1, value.len - colon - 1)) : BYTES_NONE;
    if (colon == value.len || !is_token(name) || !is_field_value(content))
        reading->error = BYTES("header: `name: value`");
    else if (field_id_of(name) == FIELD_HOST)
        reading->error = BYTES("header: the host is said by host=");
    else if (question->header_count == EXPLAIN_HEADERS_MAX)
        reading->error = BYTES("header: at most 64");
    else
        question->headers[question->header_count++] = (struct explain_header){name, content};
}

static void read_identity(struct reading *reading, struct bytes value) {
    const char *reason;
    if (spiffe_id_parse(value, &question_of(reading)->identity, &reason) != OK)
        reading->error = pool_format(reading->pool, "as: a SPIFFE ID, spiffe://trust-domain/path: %s", reason);
}

// An IPv6 address that has no brackets, and so no port.
static bool is_bare(struct bytes value) {
    unsigned colons = 0;
    for (size_t i = 0; i < value.len; i++)
        colons += value.at[i] == ':';
    return colons > 1 && value.at[0] != '[';
}

static void read_address(struct reading *reading, struct bytes value, enum address_form form, const char *name, struct socket_address *address) {
    if (!address_parse(is_bare(value) ? pool_format(reading->pool, "[%.*s]", BYTES_FORMAT(value)) : value, form, address))
        reading->error = pool_format(reading->pool, "%s: an IP address%s", name, form == ADDRESS_PORT ? " with a port" : ", with or without a port");
}

static void read_client(struct reading *reading, struct bytes value) {
    read_address(reading, value, ADDRESS_PORT_OPTIONAL, "client", &question_of(reading)->client);
}

static void read_destination(struct reading *reading, struct bytes value) {
    read_address(reading, value, ADDRESS_PORT, "destination", &question_of(reading)->destination);
}

static void read_format(struct reading *reading, struct bytes value) {
    if (!bytes_equal(value, BYTES("text")) && !bytes_equal(value, BYTES("json")))
        reading->error = BYTES("format: text or json");
}

static const struct parameter parameters[] = {
    {BYTES_OF("listener"), read_listener, false}, {BYTES_OF("method"), read_method, false},
    {BYTES_OF("host"), read_host, false},         {BYTES_OF("path"), read_path, false},
    {BYTES_OF("header"), read_header, true},      {BYTES_OF("as"), read_identity, false},
    {BYTES_OF("client"), read_client, false},     {BYTES_OF("destination"), read_destination, false},
    {BYTES_OF("format"), read_format, false},
};

bool explain_query_parse(struct bytes query, struct pool *pool, struct explain_question *question, struct bytes *error) {
    struct reading reading = {.pool = pool, .question = question};
    *question = (struct explain_question){.method = BYTES("GET"), .path = BYTES("/")};
    read_client(&reading, BYTES("127.0.0.1"));
    const bool is_good = parameters_read(query, parameters, sizeof parameters / sizeof parameters[0], &reading);
    *error = reading.error;
    return is_good;
}
