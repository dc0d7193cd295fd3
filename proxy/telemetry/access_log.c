// One record as one line, field by field, each with its bound: see access_log.h. Which fields there are stands in the list of the header alone.
#include "telemetry/access_log.h"

#include "base/check.h"
#include "telemetry/text_escape.h"

#include <assert.h>

struct field {
    struct bytes name;
    struct bytes json; // `,"name":`
    size_t max;
};

static const struct field fields[] = {
#define X(identifier, text, most, describes) [ACCESS_##identifier] = {BYTES_OF(text), BYTES_OF(",\"" text "\":"), most},
    ACCESS_FIELD_LIST(X)
#undef X
};

// Every field with `,"name":"value"`, then `}` and the line feed.
#define X(identifier, text, most, describes) +sizeof(text) + 5 + (most)
static_assert(2 ACCESS_FIELD_LIST(X) <= ACCESS_LOG_LINE_MAX, "a line with every field at its longest fits");
#undef X

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

static void append_number(struct line *line, uint64_t value) {
    char digits[20];
    char *at = digits + sizeof(digits);
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    append(line, bytes_from(at, (size_t)(digits + sizeof(digits) - at)));
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

// A field's value: a text of others, a constant or number that needs no quotes, or none.
struct value {
    enum { VALUE_NONE, VALUE_QUOTED, VALUE_PLAIN, VALUE_DIGITS, VALUE_WALL } kind;
    struct bytes text;
    uint64_t number;
};

static struct value quoted(struct bytes text) {
    return (struct value){.kind = text.len > 0 ? VALUE_QUOTED : VALUE_NONE, .text = text};
}

static struct value digits(bool there, uint64_t number) {
    return (struct value){.kind = there ? VALUE_DIGITS : VALUE_NONE, .number = number};
}

struct bytes access_path(const struct access_record *record) {
    return bytes_from(record->path.at, bytes_find(record->path, '?'));
}

// Fields that are texts of the record as they stand there.
static struct bytes text_of(const struct access_record *record, enum access_field field) {
    static const size_t places[ACCESS_FIELD_COUNT] = {
        [ACCESS_LISTENER] = offsetof(struct access_record, listener),
        [ACCESS_DIRECTION] = offsetof(struct access_record, direction),
        [ACCESS_METHOD] = offsetof(struct access_record, method),
        [ACCESS_AUTHORITY] = offsetof(struct access_record, authority),
        [ACCESS_DETAIL] = offsetof(struct access_record, detail),
        [ACCESS_POLICY] = offsetof(struct access_record, policy),
        [ACCESS_DELAYED] = offsetof(struct access_record, delayed),
        [ACCESS_DRY_RUN] = offsetof(struct access_record, dry_run),
        [ACCESS_SERVICE] = offsetof(struct access_record, service),
        [ACCESS_ROUTE] = offsetof(struct access_record, route),
        [ACCESS_RETRIED_FOR] = offsetof(struct access_record, retried_for),
        [ACCESS_RETRIED_BY] = offsetof(struct access_record, retried_by),
        [ACCESS_EJECTED] = offsetof(struct access_record, ejected),
        [ACCESS_EJECTED_BY] = offsetof(struct access_record, ejected_by),
        [ACCESS_RETRY_REFUSED] = offsetof(struct access_record, retry_refused),
        [ACCESS_PEER] = offsetof(struct access_record, peer),
        [ACCESS_CLIENT] = offsetof(struct access_record, client),
        [ACCESS_PEER_IDENTITY] = offsetof(struct access_record, peer_identity),
        [ACCESS_REQUEST_ID] = offsetof(struct access_record, request_id),
        [ACCESS_USER_AGENT] = offsetof(struct access_record, user_agent),
        [ACCESS_KEYS] = offsetof(struct access_record, keys),
        [ACCESS_HEADERS] = offsetof(struct access_record, headers),
    };
    struct bytes text;
    CHECK(places[field] > 0);
    memcpy(&text, (const char *)record + places[field], sizeof(text));
    return text;
}

static struct value value_of(const struct access_record *record, enum access_field field) {
    switch (field) {
    case ACCESS_TIME:
        return (struct value){.kind = VALUE_WALL, .number = record->start_wall};
    case ACCESS_PATH:
        return quoted(access_path(record));
    case ACCESS_VERSION:
        return quoted(version_name(record->version));
    case ACCESS_TLS:
        return (struct value){.kind = VALUE_PLAIN, .text = record->tls ? BYTES("true") : BYTES("false")};
    case ACCESS_STATUS:
        return digits(record->status != 0, record->status);
    case ACCESS_GRPC_STATUS:
        return digits(record->grpc_status >= 0, (uint64_t)record->grpc_status);
    case ACCESS_END:
        return quoted(bytes_from_text(error_name(record->end)));
    case ACCESS_DURATION:
        return digits(true, record->duration / NS_PER_US);
    case ACCESS_REQUEST_BYTES:
        return digits(true, record->request_bytes);
    case ACCESS_RESPONSE_BYTES:
        return digits(true, record->response_bytes);
    case ACCESS_ENDPOINT:
        return quoted(record->attempts > 0 ? record->endpoint : BYTES_NONE);
    case ACCESS_ATTEMPTS:
        return digits(record->attempts > 0, record->attempts);
    case ACCESS_UPSTREAM_DURATION:
        return digits(record->attempts > 0 && record->upstream_duration > 0, record->upstream_duration / NS_PER_US);
    default:
        return quoted(text_of(record, field));
    }
}

// With no quotes around it.
static void append_value(struct line *line, const struct value *value, size_t max) {
    CHECK((size_t)(line->end - line->at) >= max);
    switch (value->kind) {
    case VALUE_NONE:
        break;
    case VALUE_QUOTED:
        line->at = text_escape(line->at, line->at + max, value->text, TEXT_ESCAPE_JSON);
        break;
    case VALUE_PLAIN:
        append(line, value->text);
        break;
    case VALUE_DIGITS:
        append_number(line, value->number);
        break;
    case VALUE_WALL:
        append_time(line, value->number);
        break;
    }
}

const char *access_field_name(enum access_field field) {
    return fields[field].name.at;
}

struct bytes access_shown(enum access_field field, struct bytes text) {
    return bytes_from(text.at, text_escape_shown(text, fields[field].max, TEXT_ESCAPE_JSON));
}

size_t access_log_format(const struct access_record *record, char *text, size_t size) {
    CHECK(size >= ACCESS_LOG_LINE_MAX);
    struct line line = {text, text + ACCESS_LOG_LINE_MAX};
    for (enum access_field field = 0; field < ACCESS_FIELD_COUNT; field++) {
        struct value value = value_of(record, field);
        if (value.kind == VALUE_NONE)
            continue;
        bool has_quotes = value.kind == VALUE_QUOTED || value.kind == VALUE_WALL;
        append(&line, fields[field].json);
        if (has_quotes)
            append(&line, BYTES("\""));
        append_value(&line, &value, fields[field].max);
        if (has_quotes)
            append(&line, BYTES("\""));
    }
    text[0] = '{'; // the first comma
    append(&line, BYTES("}\n"));
    return (size_t)(line.at - text);
}

// --- by a template ---

static enum access_field find_field(struct bytes name) {
    enum access_field field = 0;
    while (field < ACCESS_FIELD_COUNT && !bytes_equal(fields[field].name, name))
        field++;
    return field;
}

// Of what stands behind a percent sign takes the field's name. False: it is none.
static bool take_name(struct bytes *rest, enum access_field *field, struct bytes *wrong) {
    size_t end = bytes_find(*rest, '}');
    *wrong = bytes_from(rest->at - 1, end < rest->len ? end + 2 : rest->len + 1);
    if (rest->len == 0 || rest->at[0] != '{' || end == rest->len)
        return false;
    *field = find_field(bytes_from(rest->at + 1, end - 1));
    *rest = bytes_from(rest->at + end + 1, rest->len - end - 1);
    return *field != ACCESS_FIELD_COUNT;
}

bool access_template_parse(struct bytes text, struct access_template *form, struct bytes *wrong) {
    form->count = 0;
    struct bytes rest = text;
    while (rest.len > 0) {
        *wrong = rest;
        if (form->count == ACCESS_TEMPLATE_PIECES_MAX)
            return false;
        size_t length = bytes_find(rest, '%');
        bool is_percent = length + 1 < rest.len && rest.at[length + 1] == '%';
        enum access_field field = ACCESS_FIELD_COUNT;
        struct bytes literal = bytes_from(rest.at, is_percent ? length + 1 : length);
        if (is_percent)
            rest = bytes_from(rest.at + length + 2, rest.len - length - 2);
        else if (length == rest.len)
            rest = BYTES_NONE;
        else {
            rest = bytes_from(rest.at + length + 1, rest.len - length - 1);
            if (!take_name(&rest, &field, wrong))
                return false;
        }
        form->pieces[form->count].literal = literal;
        form->pieces[form->count++].field = field;
    }
    return true;
}

// As much of it as there is room.
static void append_some(struct line *line, struct bytes text) {
    size_t room = (size_t)(line->end - line->at);
    append(line, bytes_from(text.at, text.len < room ? text.len : room));
}

size_t access_log_format_text(const struct access_template *form, const struct access_record *record, char *text, size_t size) {
    CHECK(size >= ACCESS_LOG_LINE_MAX);
    struct line line = {text, text + ACCESS_LOG_LINE_MAX - 1};
    for (uint32_t i = 0; i < form->count; i++) {
        enum access_field field = form->pieces[i].field;
        append_some(&line, form->pieces[i].literal);
        if (field == ACCESS_FIELD_COUNT)
            continue;
        struct value value = value_of(record, field);
        if ((size_t)(line.end - line.at) < fields[field].max)
            break;
        if (value.kind == VALUE_NONE)
            append_some(&line, BYTES("-"));
        else
            append_value(&line, &value, fields[field].max);
    }
    *line.at++ = '\n';
    return (size_t)(line.at - text);
}

// --- for people ---

static void append_field(struct line *line, const struct access_record *record, enum access_field field) {
    const struct value value = value_of(record, field);
    if (value.kind == VALUE_NONE)
        append(line, BYTES("-"));
    else
        append_value(line, &value, fields[field].max);
}

static void append_milliseconds(struct line *line, nanoseconds duration) {
    append_number(line, duration / NS_PER_MS);
    append(line, BYTES("."));
    append_padded(line, duration / NS_PER_US % 1000, 3);
    append(line, BYTES("ms"));
}

// ` name="value"`, where there is one.
static void append_named(struct line *line, const struct access_record *record, enum access_field field) {
    const struct value value = value_of(record, field);
    if (value.kind == VALUE_NONE)
        return;
    append(line, BYTES(" "));
    append(line, fields[field].name);
    append(line, BYTES("=\""));
    append_value(line, &value, fields[field].max);
    append(line, BYTES("\""));
}

size_t access_log_format_brief(const struct access_record *record, char *text, size_t size) {
    static const enum access_field usual[] = {ACCESS_TIME, ACCESS_LISTENER, ACCESS_METHOD, ACCESS_AUTHORITY};
    static const enum access_field unusual[] = {ACCESS_GRPC_STATUS, ACCESS_DETAIL,      ACCESS_POLICY,       ACCESS_DELAYED,
                                                ACCESS_DRY_RUN,     ACCESS_RETRIED_FOR, ACCESS_RETRIED_BY,   ACCESS_RETRY_REFUSED,
                                                ACCESS_EJECTED,     ACCESS_EJECTED_BY,  ACCESS_PEER_IDENTITY};
    CHECK(size >= ACCESS_LOG_LINE_MAX);
    struct line line = {text, text + ACCESS_LOG_LINE_MAX};
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        if (i > 0)
            append(&line, BYTES(" "));
        append_field(&line, record, usual[i]);
    }
    if (access_path(record).len > 0)
        append_field(&line, record, ACCESS_PATH);
    append(&line, BYTES(" "));
    append_field(&line, record, ACCESS_STATUS);
    append(&line, BYTES(" "));
    append_milliseconds(&line, record->duration);
    append(&line, BYTES(" "));
    append_field(&line, record, ACCESS_ENDPOINT);
    if (record->end != OK)
        append_named(&line, record, ACCESS_END);
    for (size_t i = 0; i < sizeof unusual / sizeof unusual[0]; i++)
        append_named(&line, record, unusual[i]);
    append(&line, BYTES("\n"));
    return (size_t)(line.at - text);
}
