// Whatever bytes a peer puts into whatever field, the line is one valid JSON object with a line feed, of at most ACCESS_LOG_LINE_MAX bytes, and shows no query unless asked to.
//
// The input is cut into the texts of a record: a byte of length (times 16, so that values longer than their bounds come up) and the text, in turn; numbers come from
// the first bytes.
#include "json_validator.h"
#include "telemetry/access_template.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static uint64_t take_number(struct bytes *input) {
    uint64_t value = 0;
    size_t length = input->len < sizeof(value) ? input->len : sizeof(value);
    if (length > 0)
        memcpy(&value, input->at, length);
    *input = bytes_from(input->at + length, input->len - length);
    return value;
}

static struct bytes take_text(struct bytes *input) {
    if (input->len == 0)
        return BYTES_NONE;
    size_t length = (size_t)(unsigned char)input->at[0] * 16;
    if (length > input->len - 1)
        length = input->len - 1;
    struct bytes text = bytes_from(input->at + 1, length);
    *input = bytes_from(text.at + length, input->len - 1 - length);
    return text;
}

static void require(bool holds) {
    if (!holds)
        abort();
}

static bool same_field(const void *message, enum access_part part, struct bytes name, struct bytes *value) {
    const struct access_record *record = message;
    *value = part == ACCESS_REQUEST_HEAD ? name : record->user_agent;
    return true;
}

// By a template, of others' bytes too, it is one line.
static void check_text(const struct access_record *record, struct bytes template, char *line) {
    struct access_template form;
    struct bytes wrong;
    if (bytes_find(template, '\n') < template.len || !access_template_parse(template, &form, &wrong))
        return;
    size_t length = access_log_format_text(&form, record, line, ACCESS_LOG_LINE_MAX);
    require(length > 0 && length <= ACCESS_LOG_LINE_MAX);
    require(memchr(line, '\n', length) == line + length - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    struct bytes left = bytes_from((const char *)input, size);
    uint64_t numbers = take_number(&left);
    struct access_record record = {
        .start_wall = take_number(&left),
        .duration = take_number(&left),
        .version = (uint8_t)(numbers & 31),
        .tls = (numbers >> 5 & 1) != 0,
        .status = (uint16_t)(numbers >> 8 & 1023),
        .grpc_status = (int32_t)(numbers >> 16),
        .end = (enum error) - (int)((numbers >> 48) % (ERROR_COUNT + 1)),
        .attempts = (uint32_t)(numbers >> 56 & 3),
        .request_bytes = take_number(&left),
        .response_bytes = take_number(&left),
        .upstream_duration = take_number(&left),
    };
    struct bytes *const texts[] = {&record.path,     &record.authority, &record.user_agent, &record.peer_identity, &record.request_id,
                                   &record.method,   &record.listener,  &record.direction,  &record.detail,        &record.policy,
                                   &record.endpoint, &record.service,   &record.peer,       &record.trace_id,      &record.client};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        *texts[i] = take_text(&left);

    char *line = malloc(ACCESS_LOG_LINE_MAX); // of its own, so that ASan sees one byte too many
    require(line != NULL);
    size_t length = access_log_format(&record, line, ACCESS_LOG_LINE_MAX);
    require(length <= ACCESS_LOG_LINE_MAX);
    require(json_is_line(line, length));
    length = access_log_format_brief(&record, line, ACCESS_LOG_LINE_MAX);
    require(length <= ACCESS_LOG_LINE_MAX && memchr(line, '\n', length) == line + length - 1);
    check_text(&record, take_text(&left), line);
    check_text(&record, BYTES("%{user_agent}\"%{path}%{path}%{peer_identity} %{detail}%{authority}%{path}%{request_id}"), line);
    record.find_field = same_field;
    record.message = &record;
    check_text(&record,
               BYTES("[%START_TIME%] %REQ(X?:PATH):40% %RESP(A)% %TRAILER(A?B)% %RESPONSE_FLAGS% %GRPC_STATUS% "
                     "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_ADDRESS%"),
               line);
    free(line);
    return 0;
}
