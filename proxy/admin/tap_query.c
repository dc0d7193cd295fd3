// Reads the query of /tap: see tap_query.h.
#include "admin/tap_query.h"

#include "admin/parameters.h"
#include "certs/spiffe_id.h"
#include "config/value.h"
#include "http/canonical.h"
#include "http/headers.h"

static struct tap_question *question_of(const struct reading *reading) {
    return reading->question;
}

static void read_text(struct reading *reading, struct bytes value, struct bytes *text, struct bytes error) {
    *text = value;
    if (value.len == 0)
        reading->error = error;
}

static void read_listener(struct reading *reading, struct bytes value) {
    read_text(reading, value, &question_of(reading)->match.listener, BYTES("listener: name of a listener"));
}

static void read_direction(struct reading *reading, struct bytes value) {
    question_of(reading)->match.direction = value;
    if (!bytes_equal(value, BYTES("inbound")) && !bytes_equal(value, BYTES("outbound")) && !bytes_equal(value, BYTES("gateway")))
        reading->error = BYTES("direction: inbound, outbound or gateway");
}

static void read_method(struct reading *reading, struct bytes value) {
    question_of(reading)->match.method = value;
    if (!is_token(value))
        reading->error = BYTES("method: a method as requests have it, such as GET");
}

static void read_host(struct reading *reading, struct bytes value) {
    question_of(reading)->match.host = value;
    if (!authority_is_valid(value))
        reading->error = BYTES("host: a name or an address; with a port as the request has it, without one for any");
}

static void read_path(struct reading *reading, struct bytes value) {
    question_of(reading)->match.path = value;
    if (value.len == 0 || value.at[0] != '/' || bytes_find(value, '?') < value.len)
        reading->error = BYTES("path: how the path begins, with /; queries are not shown, nor compared");
}

static void read_service(struct reading *reading, struct bytes value) {
    read_text(reading, value, &question_of(reading)->match.service, BYTES("service: name, namespace/name or namespace/name:port"));
}

static void read_route(struct reading *reading, struct bytes value) {
    read_text(reading, value, &question_of(reading)->match.route,
              BYTES("route: name, namespace/name or kind/namespace/name, and `: rule` where one is meant"));
}

static void read_identity(struct reading *reading, struct bytes value) {
    struct spiffe_id identity;
    const char *reason;
    question_of(reading)->match.identity = value;
    if (spiffe_id_parse(value, &identity, &reason) != OK)
        reading->error = pool_format(reading->pool, "as: a SPIFFE ID, spiffe://trust-domain/path: %s", reason);
}

// "404", or "5xx" for its class.
static void read_status(struct reading *reading, struct bytes value) {
    struct access_match *match = &question_of(reading)->match;
    uint64_t number = 0;
    const bool is_class = value.len == 3 && bytes_equal_nocase(bytes_from(value.at + 1, 2), BYTES("xx"));
    if (is_class)
        number = 100 * (uint64_t)(unsigned char)(value.at[0] - '0');
    else if (!bytes_to_u64(value, 599, &number))
        number = 0;
    if (number < 100 || number > 599)
        reading->error = BYTES("status: 100 to 599, or a class: 1xx to 5xx");
    match->status_least = (uint16_t)number;
    match->status_most = (uint16_t)(is_class ? number + 99 : number);
}

static void read_end(struct reading *reading, struct bytes value) {
    struct access_match *match = &question_of(reading)->match;
    match->by_end = true;
    for (int number = 0; number <= ERROR_COUNT; number++) {
        match->end = (enum error) - number;
        if (bytes_equal(value, bytes_from_text(error_name(match->end))))
            return;
    }
    reading->error = BYTES("end: ok, or an error as the access log has it, such as denied or upstream_reset");
}

static void read_slower(struct reading *reading, struct bytes value) {
    if (!duration_parse(value, &question_of(reading)->match.slower))
        reading->error = BYTES("slower: a duration, as 250ms or 1m30s: requests that took at least so long");
}

static void read_count(struct reading *reading, struct bytes value) {
    if (!integer_parse(value, &question_of(reading)->count) || question_of(reading)->count == 0 || question_of(reading)->count > TAP_COUNT_MAX)
        reading->error = pool_format(reading->pool, "count: 1 to %u lines", TAP_COUNT_MAX);
}

static void read_duration(struct reading *reading, struct bytes value) {
    nanoseconds *duration = &question_of(reading)->duration;
    if (!duration_parse(value, duration) || *duration == 0 || *duration > TAP_DURATION_MAX)
        reading->error = pool_format(reading->pool, "duration: 1ms to %llum", (unsigned long long)(TAP_DURATION_MAX / (60 * NS_PER_S)));
}

static void read_rate(struct reading *reading, struct bytes value) {
    uint64_t rate = 0;
    if (!integer_parse(value, &rate) || rate == 0 || rate > TAP_RATE_MAX)
        reading->error = pool_format(reading->pool, "rate: 1 to %u lines per second", TAP_RATE_MAX);
    else
        question_of(reading)->rate = (uint32_t)rate;
}

static void read_format(struct reading *reading, struct bytes value) {
    question_of(reading)->is_text = bytes_equal(value, BYTES("text"));
    if (!question_of(reading)->is_text && !bytes_equal(value, BYTES("json")))
        reading->error = BYTES("format: text or json");
}

static const struct parameter parameters[] = {
    {BYTES_OF("listener"), read_listener, false}, {BYTES_OF("direction"), read_direction, false}, {BYTES_OF("method"), read_method, false},
    {BYTES_OF("host"), read_host, false},         {BYTES_OF("path"), read_path, false},           {BYTES_OF("status"), read_status, false},
    {BYTES_OF("end"), read_end, false},           {BYTES_OF("service"), read_service, false},     {BYTES_OF("route"), read_route, false},
    {BYTES_OF("as"), read_identity, false},       {BYTES_OF("slower"), read_slower, false},       {BYTES_OF("count"), read_count, false},
    {BYTES_OF("duration"), read_duration, false}, {BYTES_OF("rate"), read_rate, false},           {BYTES_OF("format"), read_format, false},
};

bool tap_query_parse(struct bytes query, struct pool *pool, struct tap_question *question, struct bytes *error) {
    struct reading reading = {.pool = pool, .question = question};
    *question = (struct tap_question){.count = UINT64_MAX, .rate = TAP_RATE_DEFAULT, .duration = TAP_DURATION_MAX};
    const bool is_good = parameters_read(query, parameters, sizeof parameters / sizeof parameters[0], &reading);
    *error = reading.error;
    return is_good;
}
