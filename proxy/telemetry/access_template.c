// Templates: read once, then a piece after the other for each line. See access_template.h.
#include "telemetry/access_template.h"

#include "base/check.h"
#include "telemetry/access_address.h"
#include "telemetry/access_flags.h"
#include "telemetry/access_line.h"
#include "telemetry/access_moment.h"
#include "telemetry/series_facts.h"
#include "telemetry/text_escape.h"

// Of a value of others, as long as nothing says less: so long that what fields say is not cut either.
#define VALUE_MAX 352

static const struct {
    const char *name;
    enum access_arguments arguments;
} operators[] = {
#define X(identifier, arguments, describes) [OPERATOR_##identifier] = {#identifier, ARGUMENTS_##arguments},
    ACCESS_OPERATOR_LIST(X)
#undef X
};

// Operators that say what a field says.
static const struct {
    enum access_operator operation;
    enum access_field field;
} aliases[] = {
    {OPERATOR_BYTES_RECEIVED, ACCESS_REQUEST_BYTES},
    {OPERATOR_BYTES_SENT, ACCESS_RESPONSE_BYTES},
    {OPERATOR_UPSTREAM_HOST, ACCESS_ENDPOINT},
    {OPERATOR_UPSTREAM_REMOTE_ADDRESS, ACCESS_ENDPOINT},
    {OPERATOR_UPSTREAM_CLUSTER, ACCESS_SERVICE},
    {OPERATOR_UPSTREAM_CLUSTER_RAW, ACCESS_SERVICE},
    {OPERATOR_DOWNSTREAM_DIRECT_REMOTE_ADDRESS, ACCESS_PEER},
    {OPERATOR_DOWNSTREAM_PEER_URI_SAN, ACCESS_PEER_IDENTITY},
    {OPERATOR_ROUTE_NAME, ACCESS_ROUTE},
    {OPERATOR_TRACE_ID, ACCESS_TRACE_ID},
    {OPERATOR_SPAN_ID, ACCESS_SPAN_ID},
    {OPERATOR_GRPC_STATUS_NUMBER, ACCESS_GRPC_STATUS},
};

// Operators that others are called, too.
static const struct {
    enum access_operator operation, same_as;
} synonyms[] = {
    {OPERATOR_REQUEST_HEADER, OPERATOR_REQ},
    {OPERATOR_RESPONSE_HEADER, OPERATOR_RESP},
    {OPERATOR_RESPONSE_TRAILER, OPERATOR_TRAILER},
};

const char *access_operator_name(enum access_operator operation) {
    return operators[operation].name;
}

// ---- reading

static enum access_field find_field(struct bytes name) {
    enum access_field field = 0;
    while (field < ACCESS_FIELD_COUNT && !bytes_equal(bytes_from_text(access_field_name(field)), name))
        field++;
    return field;
}

static enum access_operator find_operator(struct bytes name) {
    enum access_operator operation = 0;
    while (operation < ACCESS_OPERATOR_COUNT && !bytes_equal(bytes_from_text(operators[operation].name), name))
        operation++;
    return operation;
}

static struct bytes skip(struct bytes text, size_t count) {
    return bytes_from(text.at + count, text.len - count);
}

// "{name}" of what stands behind a percent sign. False: it is none.
static bool take_field(struct bytes *rest, struct access_piece *piece, struct bytes *wrong) {
    size_t end = bytes_find(*rest, '}');
    *wrong = bytes_from(rest->at - 1, end < rest->len ? end + 2 : rest->len + 1);
    if (end == rest->len)
        return false;
    piece->field = find_field(bytes_from(rest->at + 1, end - 1));
    *rest = skip(*rest, end + 1);
    return piece->field != ACCESS_FIELD_COUNT;
}

// "(...)" where the operator has such a thing. False: form->why says why not.
static bool take_arguments(struct access_template *form, struct bytes *rest, struct access_piece *piece) {
    const enum access_arguments arguments = operators[piece->operation].arguments;
    const bool is_there = rest->len > 0 && rest->at[0] == '(';
    const size_t end = bytes_find(*rest, ')');
    if (is_there && (arguments == ARGUMENTS_NONE || end == rest->len)) {
        form->why = arguments == ARGUMENTS_NONE ? "has nothing in parentheses" : "has no closing parenthesis";
        return false;
    }
    struct bytes text = is_there ? bytes_from(rest->at + 1, end - 1) : BYTES_NONE;
    *rest = skip(*rest, is_there ? end + 1 : 0);
    piece->name = text;
    if (arguments == ARGUMENTS_NAMES) {
        const size_t mark = bytes_find(text, '?');
        piece->name = bytes_from(text.at, mark);
        piece->otherwise = mark < text.len ? skip(text, mark + 1) : BYTES_NONE;
        form->why = piece->name.len == 0 || (mark < text.len && piece->otherwise.len == 0) ? "needs the name of a field in parentheses" : NULL;
    }
    if (arguments == ARGUMENTS_TIME && is_there && !access_moment_is_format(text))
        form->why = "has no format of a time that is known here; allowed: " ACCESS_MOMENT_LETTERS;
    if (arguments == ARGUMENTS_CODE && is_there && !bytes_equal(text, BYTES("CAMEL_STRING")) && !bytes_equal(text, BYTES("SNAKE_STRING")) &&
        !bytes_equal(text, BYTES("NUMBER")))
        form->why = "is written as CAMEL_STRING, SNAKE_STRING or NUMBER";
    return form->why == NULL;
}

// ":40" behind it.
static bool take_most(struct access_template *form, struct bytes *rest, struct access_piece *piece) {
    uint64_t most;
    if (rest->len == 0 || rest->at[0] != ':')
        return true;
    const size_t end = bytes_find(*rest, '%');
    form->why = "has no length behind its colon; allowed: 1 to 352, of REQ, RESP and TRAILER";
    if (operators[piece->operation].arguments != ARGUMENTS_NAMES || !bytes_to_u64(bytes_from(rest->at + 1, end - 1), VALUE_MAX, &most) || most == 0)
        return false;
    form->why = NULL;
    piece->most = (uint32_t)most;
    *rest = skip(*rest, end);
    return true;
}

static void resolve(struct access_piece *piece) {
    for (size_t i = 0; i < sizeof synonyms / sizeof synonyms[0]; i++)
        if (synonyms[i].operation == piece->operation)
            piece->operation = synonyms[i].same_as;
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
        if (aliases[i].operation == piece->operation)
            piece->field = aliases[i].field;
    if (piece->field != ACCESS_FIELD_COUNT)
        piece->operation = ACCESS_OPERATOR_COUNT;
}

// "NAME%", "NAME(arguments):40%" of what stands behind a percent sign. False: it is no operation.
static bool take_operator(struct access_template *form, struct bytes *rest, struct access_piece *piece, struct bytes *wrong) {
    size_t length = 0;
    while (length < rest->len && ((rest->at[length] >= 'A' && rest->at[length] <= 'Z') || rest->at[length] == '_'))
        length++;
    const size_t end = bytes_find(*rest, '%');
    *wrong = bytes_from(rest->at - 1, end < rest->len ? end + 2 : rest->len + 1);
    piece->operation = find_operator(bytes_from(rest->at, length));
    if (length == 0 || piece->operation == ACCESS_OPERATOR_COUNT)
        return false;
    *rest = skip(*rest, length);
    if (!take_arguments(form, rest, piece) || !take_most(form, rest, piece))
        return false;
    if (rest->len == 0 || rest->at[0] != '%') {
        form->why = "has no percent sign behind it";
        return false;
    }
    *rest = skip(*rest, 1);
    resolve(piece);
    return true;
}

bool access_template_parse(struct bytes text, struct access_template *form, struct bytes *wrong) {
    form->count = 0;
    form->host_name = BYTES_NONE;
    form->why = NULL;
    struct bytes rest = text;
    while (rest.len > 0) {
        *wrong = rest;
        if (form->count == ACCESS_TEMPLATE_PIECES_MAX) {
            form->why = "is one too many";
            return false;
        }
        const size_t length = bytes_find(rest, '%');
        const char behind = length + 1 < rest.len ? rest.at[length + 1] : '\0';
        struct access_piece piece = {.literal = bytes_from(rest.at, behind == '%' ? length + 1 : length),
                                     .field = ACCESS_FIELD_COUNT,
                                     .operation = ACCESS_OPERATOR_COUNT,
                                     .most = VALUE_MAX};
        const bool is_sign = length < rest.len && behind != '%';
        rest = skip(rest, length == rest.len ? length : behind == '%' ? length + 2 : length + 1);
        if (is_sign && !(behind == '{' ? take_field(&rest, &piece, wrong) : take_operator(form, &rest, &piece, wrong)))
            return false;
        form->pieces[form->count++] = piece;
    }
    return true;
}

// ---- writing

// What is there as a field of the record.
static bool find_known(const struct access_record *record, struct bytes name, struct bytes *value) {
    if (bytes_equal_nocase(name, BYTES(":authority")) || bytes_equal_nocase(name, BYTES("host")))
        *value = record->authority;
    else if (bytes_equal_nocase(name, BYTES(":method")))
        *value = record->method;
    else if (bytes_equal_nocase(name, BYTES(":path")))
        *value = access_path(record);
    else if (bytes_equal_nocase(name, BYTES(":scheme")))
        *value = record->scheme;
    return value->len > 0;
}

static bool find_named(const struct access_record *record, enum access_operator operation, struct bytes name, struct bytes *value) {
    if (operation == OPERATOR_REQ && find_known(record, name, value))
        return true;
    if (record->find_field == NULL || name.len == 0)
        return false;
    const enum access_part part = operation == OPERATOR_REQ    ? ACCESS_REQUEST_HEAD
                                  : operation == OPERATOR_RESP ? ACCESS_RESPONSE_HEAD
                                                               : ACCESS_RESPONSE_TRAILERS;
    return record->find_field(record->message, part, name, value);
}

// A character that would be cut in the midst is left out.
static size_t front_of(struct bytes text, uint32_t most) {
    size_t length = most;
    while (length > 0 && most - length < 3 && ((unsigned char)text.at[length] & 0xC0) == 0x80)
        length--;
    return ((unsigned char)text.at[length] & 0xC0) == 0x80 ? most : length; // of what is no UTF-8 nothing is left out
}

static bool add_text(struct access_line *line, struct bytes text, uint32_t most) {
    line->at = text_escape(line->at, line->at + VALUE_MAX, bytes_from(text.at, text.len > most ? front_of(text, most) : text.len), TEXT_ESCAPE_JSON);
    return text.len > 0;
}

static bool add_number(struct access_line *line, bool is_there, uint64_t number) {
    if (is_there)
        access_line_add_number(line, number);
    return is_there;
}

static bool add_named(struct access_line *line, const struct access_record *record, const struct access_piece *piece) {
    struct bytes value = BYTES_NONE;
    const bool is_response = piece->operation == OPERATOR_RESP;
    if (is_response && bytes_equal_nocase(piece->name, BYTES(":status")))
        return add_number(line, record->status > 0, record->status);
    const bool is_there = find_named(record, piece->operation, piece->name, &value) || find_named(record, piece->operation, piece->otherwise, &value);
    if (!is_there && is_response && bytes_equal_nocase(piece->name, BYTES("x-envoy-upstream-service-time")))
        return add_number(line, record->upstream_duration > 0, record->upstream_duration / NS_PER_MS);
    return add_text(line, value, piece->most);
}

// InvalidArgument, INVALID_ARGUMENT or 3, by the word `form`; a number that has no name stays one. False: there is none.
static bool add_grpc_status(struct access_line *line, int32_t status, struct bytes form) {
    static const char *const names[] = {"OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
                                        "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
                                        "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
                                        "DataLoss", "Unauthenticated"};
    if (status < 0)
        return false;
    if ((size_t)status >= sizeof names / sizeof names[0] || bytes_equal(form, BYTES("NUMBER")))
        access_line_add_number(line, (uint64_t)status);
    else
        access_line_add(line, bytes_equal(form, BYTES("SNAKE_STRING")) ? rpc_status_name((uint16_t)status) : bytes_from_text(names[status]));
    return true;
}

static bool has_failed_to_connect(enum error end) {
    return end == ERROR_CONNECT_REFUSED || end == ERROR_CONNECT_TIMEOUT || end == ERROR_TLS_FAILED || end == ERROR_IDENTITY_MISMATCH;
}

static struct bytes protocol_of(const struct access_record *record) {
    return record->version == 10   ? BYTES("HTTP/1.0")
           : record->version == 11 ? BYTES("HTTP/1.1")
           : record->version == 20 ? BYTES("HTTP/2")
                                   : BYTES_NONE;
}

// Operators that are texts as they stand.
static struct bytes operator_text(const struct access_template *form, const struct access_record *record, enum access_operator operation) {
    switch (operation) {
    case OPERATOR_PROTOCOL:
        return protocol_of(record);
    case OPERATOR_RESPONSE_CODE_DETAILS:
        return record->end == OK && record->attempts > 0 ? BYTES("via_upstream") : bytes_from_text(error_name(record->end));
    case OPERATOR_RESPONSE_FLAGS:
        return access_flag_of(record->end, record->by_agent);
    case OPERATOR_CONNECTION_TERMINATION_DETAILS:
        return record->is_opaque && record->end != OK ? record->detail : BYTES_NONE;
    case OPERATOR_UPSTREAM_TRANSPORT_FAILURE_REASON:
        return has_failed_to_connect(record->end) ? record->detail : BYTES_NONE;
    case OPERATOR_HOSTNAME:
        return form->host_name;
    default:
        CHECK(operation == OPERATOR_REQUESTED_SERVER_NAME);
        return record->server_name;
    }
}

// There is room for VALUE_MAX bytes. False: it has no value.
static bool add_operator(struct access_line *line, const struct access_template *form, const struct access_record *record,
                         const struct access_piece *piece) {
    bool is_there;
    switch (piece->operation) {
    case OPERATOR_START_TIME:
        access_moment_add(line, piece->name.len > 0 ? piece->name : BYTES("%FT%T.%3fZ"), record->start_wall);
        return true;
    case OPERATOR_REQ:
    case OPERATOR_RESP:
    case OPERATOR_TRAILER:
        return add_named(line, record, piece);
    case OPERATOR_RESPONSE_CODE:
        return add_number(line, true, record->status);
    case OPERATOR_UPSTREAM_REQUEST_ATTEMPT_COUNT:
        return add_number(line, true, record->attempts);
    case OPERATOR_DURATION:
        return add_number(line, true, record->duration / NS_PER_MS);
    case OPERATOR_REQUEST_DURATION:
        return add_number(line, true, record->request_took / NS_PER_MS);
    case OPERATOR_RESPONSE_DURATION:
        return add_number(line, record->response_after > 0, record->response_after / NS_PER_MS);
    case OPERATOR_RESPONSE_TX_DURATION:
        return add_number(line, record->response_after > 0, (record->duration - record->response_after) / NS_PER_MS);
    case OPERATOR_CONNECTION_ID:
        return add_number(line, true, record->connection);
    case OPERATOR_GRPC_STATUS:
        return add_grpc_status(line, record->grpc_status, piece->name);
    default:
        return access_address_add(line, record, piece->operation, &is_there)
                   ? is_there
                   : add_text(line, operator_text(form, record, piece->operation), VALUE_MAX);
    }
}

size_t access_log_format_text(const struct access_template *form, const struct access_record *record, char *text, size_t size) {
    CHECK(size >= ACCESS_LOG_LINE_MAX);
    struct access_line line = {text, text + ACCESS_LOG_LINE_MAX - 1};
    for (uint32_t i = 0; i < form->count; i++) {
        const struct access_piece *piece = &form->pieces[i];
        const bool is_field = piece->field != ACCESS_FIELD_COUNT;
        access_line_add_some(&line, piece->literal);
        if (!is_field && piece->operation == ACCESS_OPERATOR_COUNT)
            continue;
        if ((size_t)(line.end - line.at) < (is_field ? access_field_max(piece->field) : VALUE_MAX))
            break;
        if (!(is_field ? access_line_add_field(&line, record, piece->field) : add_operator(&line, form, record, piece)))
            access_line_add_some(&line, BYTES("-"));
    }
    *line.at++ = '\n';
    return (size_t)(line.at - text);
}
