// One record as one line of JSON, field by field, each with its bound: see access_log.h.
#include "telemetry/access_log.h"

#include "base/check.h"
#include "telemetry/text_escape.h"

#include <assert.h>

// Most bytes that a value may have in the line, after escaping. Identities may be 2,048 bytes long; the part that tells them apart is in front.
enum {
    LISTENER_MAX = 64,
    DIRECTION_MAX = 16,
    METHOD_MAX = 32,
    AUTHORITY_MAX = 256,
    PATH_MAX_BYTES = 1024,
    END_MAX = 32,
    DETAIL_MAX = 192,
    POLICY_MAX = 256,
    SERVICE_MAX = 256,
    ENDPOINT_MAX = 64,
    PEER_MAX = 64,
    IDENTITY_MAX = 512,
    REQUEST_ID_MAX = 128,
    USER_AGENT_MAX = 256,
};

#define TEXTS_MAX                                                                                                                                  \
    (LISTENER_MAX + DIRECTION_MAX + METHOD_MAX + AUTHORITY_MAX + PATH_MAX_BYTES + END_MAX + DETAIL_MAX + POLICY_MAX + SERVICE_MAX + ENDPOINT_MAX + \
     PEER_MAX + IDENTITY_MAX + REQUEST_ID_MAX + USER_AGENT_MAX)
#define NAMES_MAX (25 * 24)   // `,"upstream_duration_us":""` is the longest of the at most 25 names with their punctuation
#define NUMBERS_MAX (10 * 20) // digits of UINT64_MAX
#define TIME_MAX 32
static_assert(TEXTS_MAX + NAMES_MAX + NUMBERS_MAX + TIME_MAX + 3 <= ACCESS_LOG_LINE_MAX, "a line with every field at its longest fits");

#define SECONDS_PER_DAY 86400

struct line {
    char *at;
    char *end;
};

static void append(struct line *line, struct bytes text) {
    CHECK((size_t)(line->end - line->at) >= text.len);
    memcpy(line->at, text.at, text.len);
    line->at += text.len;
}

// `name` is the constant `,"name":`.
static void add_text(struct line *line, struct bytes name, struct bytes value, size_t max) {
    if (value.len == 0)
        return;
    append(line, name);
    append(line, BYTES("\""));
    CHECK((size_t)(line->end - line->at) > max);
    line->at = text_escape(line->at, line->at + max, value, TEXT_ESCAPE_JSON);
    append(line, BYTES("\""));
}

static void append_number(struct line *line, uint64_t value) {
    char digits[20];
    char *at = digits + sizeof(digits);
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    append(line, bytes_from(at, (size_t)(digits + sizeof(digits) - at)));
}

static void add_number(struct line *line, struct bytes name, uint64_t value) {
    append(line, name);
    append_number(line, value);
}

static void append_padded(struct line *line, uint64_t value, unsigned digits) {
    CHECK((size_t)(line->end - line->at) >= digits);
    for (unsigned i = digits; i-- > 0; value /= 10)
        line->at[i] = (char)('0' + value % 10);
    line->at += digits;
}

// RFC 3339 in UTC with microseconds. The calendar is computed here since gmtime_r takes a lock: days are counted from 1 March of year 0, so that the leap day is
// the last of its year; 146,097 days make 400 years, and months from March on have (153 m + 2) / 5 days before them.
static void append_time(struct line *line, nanoseconds wall) {
    uint64_t seconds = wall / NS_PER_S;
    uint64_t days = seconds / SECONDS_PER_DAY + 719468; // from 1 March of year 0 to 1 January 1970
    uint64_t era = days / 146097, day_of_era = days % 146097;
    uint64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t month_from_march = (5 * day_of_year + 2) / 153;
    uint64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    uint64_t second_of_day = seconds % SECONDS_PER_DAY;
    append_padded(line, era * 400 + year_of_era + (month <= 2), 4);
    append(line, BYTES("-"));
    append_padded(line, month, 2);
    append(line, BYTES("-"));
    append_padded(line, day_of_year - (153 * month_from_march + 2) / 5 + 1, 2);
    append(line, BYTES("T"));
    append_padded(line, second_of_day / 3600, 2);
    append(line, BYTES(":"));
    append_padded(line, second_of_day / 60 % 60, 2);
    append(line, BYTES(":"));
    append_padded(line, second_of_day % 60, 2);
    append(line, BYTES("."));
    append_padded(line, wall % NS_PER_S / NS_PER_US, 6);
    append(line, BYTES("Z"));
}

static struct bytes version_name(uint8_t version) {
    return version == 10 ? BYTES("1.0") : version == 11 ? BYTES("1.1") : version == 20 ? BYTES("2") : BYTES_NONE;
}

static void add_request(struct line *line, const struct access_record *record) {
    struct bytes path = record->path;
    path.len = bytes_find(path, '?');
    add_text(line, BYTES(",\"listener\":"), record->listener, LISTENER_MAX);
    add_text(line, BYTES(",\"direction\":"), record->direction, DIRECTION_MAX);
    add_text(line, BYTES(",\"method\":"), record->method, METHOD_MAX);
    add_text(line, BYTES(",\"authority\":"), record->authority, AUTHORITY_MAX);
    add_text(line, BYTES(",\"path\":"), path, PATH_MAX_BYTES);
    add_text(line, BYTES(",\"version\":"), version_name(record->version), DIRECTION_MAX);
    append(line, record->tls ? BYTES(",\"tls\":true") : BYTES(",\"tls\":false"));
}

static void add_outcome(struct line *line, const struct access_record *record) {
    if (record->status != 0)
        add_number(line, BYTES(",\"status\":"), record->status);
    if (record->grpc_status >= 0)
        add_number(line, BYTES(",\"grpc_status\":"), (uint64_t)record->grpc_status);
    add_text(line, BYTES(",\"end\":"), bytes_from_text(error_name(record->end)), END_MAX);
    add_text(line, BYTES(",\"detail\":"), record->detail, DETAIL_MAX);
    add_text(line, BYTES(",\"policy\":"), record->policy, POLICY_MAX);
    add_number(line, BYTES(",\"duration_us\":"), record->duration / NS_PER_US);
    add_number(line, BYTES(",\"request_bytes\":"), record->request_bytes);
    add_number(line, BYTES(",\"response_bytes\":"), record->response_bytes);
}

static void add_upstream(struct line *line, const struct access_record *record) {
    add_text(line, BYTES(",\"service\":"), record->service, SERVICE_MAX);
    if (record->attempts == 0)
        return;
    add_text(line, BYTES(",\"endpoint\":"), record->endpoint, ENDPOINT_MAX);
    add_number(line, BYTES(",\"attempts\":"), record->attempts);
    if (record->upstream_duration > 0)
        add_number(line, BYTES(",\"upstream_duration_us\":"), record->upstream_duration / NS_PER_US);
}

static void add_peer(struct line *line, const struct access_record *record) {
    add_text(line, BYTES(",\"peer\":"), record->peer, PEER_MAX);
    add_text(line, BYTES(",\"peer_identity\":"), record->peer_identity, IDENTITY_MAX);
    add_text(line, BYTES(",\"request_id\":"), record->request_id, REQUEST_ID_MAX);
    add_text(line, BYTES(",\"user_agent\":"), record->user_agent, USER_AGENT_MAX);
}

size_t access_log_format(const struct access_record *record, char *text, size_t size) {
    CHECK(size >= ACCESS_LOG_LINE_MAX);
    struct line line = {text, text + ACCESS_LOG_LINE_MAX};
    append(&line, BYTES("{\"time\":\""));
    append_time(&line, record->start_wall);
    append(&line, BYTES("\""));
    add_request(&line, record);
    add_outcome(&line, record);
    add_upstream(&line, record);
    add_peer(&line, record);
    append(&line, BYTES("}\n"));
    return (size_t)(line.at - text);
}
