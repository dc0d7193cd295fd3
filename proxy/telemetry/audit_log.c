// One record as one line: see audit_log.h. Which events and fields there are stands in the lists of the header alone.
#include "telemetry/audit_log.h"

#include "base/check.h"
#include "telemetry/access_line.h"
#include "telemetry/text_escape.h"

#include <assert.h>

static const struct form {
    struct bytes key; // `,"name":`
    bool is_number;
    size_t max;
} forms[] = {
#define X(identifier, name, is_number, most, describes) [AUDIT_FIELD_##identifier] = {BYTES_OF(",\"" name "\":"), is_number, most},
    AUDIT_FIELD_LIST(X)
#undef X
};

static const struct bytes events[] = {
#define X(identifier, word, describes) [AUDIT_##identifier] = BYTES_OF("\",\"event\":\"" word "\""),
    AUDIT_EVENT_LIST(X)
#undef X
};

// `{"time":"2026-01-31T23:59:59.123456Z","event":"configuration"`, then every field with `,"name":"value"`, then `}` and the line feed.
#define X(identifier, name, is_number, most, describes) +sizeof(name) + 5 + (most)
static_assert(80 AUDIT_FIELD_LIST(X) <= AUDIT_LOG_LINE_MAX, "a line with every field at its longest fits");
#undef X

struct bytes audit_number(uint64_t number, char digits[AUDIT_NUMBER_MAX]) {
    struct access_line line = {digits, digits + AUDIT_NUMBER_MAX};
    access_line_add_number(&line, number);
    return bytes_from(digits, (size_t)(line.at - digits));
}

struct audit_record audit_of_request(const struct access_record *request, char status[AUDIT_NUMBER_MAX]) {
    return (struct audit_record){
        .wall = request->start_wall + request->duration,
        .event = AUDIT_DENIED,
        .fields =
            {
                [AUDIT_FIELD_STATUS] = request->status != 0 ? audit_number(request->status, status) : BYTES_NONE,
                [AUDIT_FIELD_LISTENER] = request->listener,
                [AUDIT_FIELD_DIRECTION] = request->direction,
                [AUDIT_FIELD_END] = bytes_from_text(error_name(request->end)),
                [AUDIT_FIELD_DETAIL] = request->detail,
                [AUDIT_FIELD_POLICY] = request->policy,
                [AUDIT_FIELD_METHOD] = request->method,
                [AUDIT_FIELD_AUTHORITY] = request->authority,
                [AUDIT_FIELD_PATH] = access_path(request),
                [AUDIT_FIELD_SERVICE] = request->service,
                [AUDIT_FIELD_CLIENT] = request->client,
                [AUDIT_FIELD_PEER] = request->peer,
                [AUDIT_FIELD_PEER_IDENTITY] = request->peer_identity,
                [AUDIT_FIELD_REQUEST_ID] = request->request_id,
                [AUDIT_FIELD_TRACE_ID] = request->trace_id,
            },
    };
}

static void add_value(struct access_line *line, const struct form *form, struct bytes text) {
    if (text.len == 0)
        return;
    access_line_add(line, form->key);
    if (form->is_number) {
        CHECK(text.len <= form->max);
        access_line_add(line, text);
        return;
    }
    access_line_add(line, BYTES("\""));
    line->at = text_escape(line->at, line->at + form->max, text, TEXT_ESCAPE_JSON);
    access_line_add(line, BYTES("\""));
}

size_t audit_log_format(const struct audit_record *record, char *text, size_t size) {
    CHECK(size >= AUDIT_LOG_LINE_MAX);
    struct access_line line = {text, text + AUDIT_LOG_LINE_MAX};
    access_line_add(&line, BYTES("{\"time\":\""));
    access_line_add_time(&line, record->wall);
    access_line_add(&line, events[record->event]);
    for (enum audit_field field = 0; field < AUDIT_FIELD_COUNT; field++)
        add_value(&line, &forms[field], record->fields[field]);
    access_line_add(&line, BYTES("}\n"));
    return (size_t)(line.at - text);
}
