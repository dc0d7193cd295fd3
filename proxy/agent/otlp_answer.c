// The tables of the specification, and what is read of bodies: partial_success, google.rpc.Status, RetryInfo. See otlp_answer.h.
#include "agent/otlp_answer.h"

#include "http/date.h"
#include "telemetry/proto/collector.pb-c.h"
#include "telemetry/proto/status.pb-c.h"

#include <jansson.h>
#include <stdio.h>

#define FRAME_BYTES 5 // gRPC: a byte that says whether the message is compressed, its length

// Whoever asks for more is asked once in this time all the same: one wrong word would silence a signal for a day.
#define RETRY_AFTER_MAX_S UINT64_C(300)

#define DETAILS_BYTES_MAX 8192

// What a receiver remarks is shorter. Of a longer body nothing is read: some megabytes of empty fields would become a hundred.
#define BODY_READ_MAX 65536

static void set_reason(struct otlp_outcome *outcome, const char *text, struct bytes more) {
    snprintf(outcome->reason, sizeof outcome->reason, "%s%s%.*s", text, more.len > 0 ? ": " : "", (int)(more.len < 100 ? more.len : 100),
             more.len > 0 ? more.at : "");
    for (char *at = outcome->reason; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == '"')
            *at = ' ';
}

static void set_verdict(struct otlp_outcome *outcome, enum otlp_verdict verdict, const char *text, struct bytes more) {
    outcome->verdict = verdict;
    set_reason(outcome, text, more);
}

// ---- bodies

static struct bytes text_of(const char *text) {
    return text == NULL ? BYTES_NONE : bytes_from_text(text);
}

static void note_partial(struct otlp_outcome *outcome, int64_t rejected, const char *message) {
    outcome->rejected = rejected > 0 ? (uint64_t)rejected : 0;
    if (rejected > 0 || (message != NULL && message[0] != '\0'))
        set_reason(outcome, rejected > 0 ? "some were rejected" : "a warning", text_of(message));
}

// Its status has said that they are taken; but perhaps by one that knows nothing of OTLP, as a login page does.
static void note_strange(struct otlp_outcome *outcome, struct bytes type) {
    set_reason(outcome, "the answer's body is none of OTLP", type);
}

static void read_protobuf(struct bytes body, struct bytes type, struct otlp_outcome *outcome) {
    if (body.len > BODY_READ_MAX)
        return;
    Otlp__ExportServiceResponse *response = otlp__export_service_response__unpack(NULL, body.len, (const uint8_t *)body.at);
    if (response == NULL) {
        note_strange(outcome, type);
        return;
    }
    const Otlp__ExportPartialSuccess *partial = response->partial_success;
    if (partial != NULL)
        note_partial(outcome, partial->has_rejected ? partial->rejected : 0, partial->error_message);
    otlp__export_service_response__free_unpacked(response, NULL);
}

// A number of 64 bits is a text, and may be a number.
static int64_t integer_of(const json_t *value) {
    if (json_is_integer(value))
        return json_integer_value(value);
    uint64_t number;
    const char *text = json_string_value(value);
    return text != NULL && bytes_to_u64(bytes_from_text(text), INT64_MAX, &number) ? (int64_t)number : 0;
}

static void read_json(struct bytes body, struct bytes type, struct otlp_outcome *outcome) {
    static const char *const names[] = {"rejectedSpans", "rejectedDataPoints", "rejectedLogRecords"};
    if (body.len == 0 || body.len > BODY_READ_MAX)
        return;
    json_t *response = json_loadb(body.at, body.len, 0, NULL);
    const json_t *partial = json_object_get(response, "partialSuccess");
    int64_t rejected = 0; // an answer has one of them; of more the largest
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const int64_t number = integer_of(json_object_get(partial, names[i]));
        rejected = number > rejected ? number : rejected;
    }
    if (json_is_object(response))
        note_partial(outcome, rejected, json_string_value(json_object_get(partial, "errorMessage")));
    else
        note_strange(outcome, type);
    json_decref(response);
}

// We ask for no compression: a body in one is not read.
static bool is_plain(const struct otlp_answer *answer) {
    return answer->content_encoding.len == 0 || bytes_equal_nocase(answer->content_encoding, BYTES("identity"));
}

static bool is_of_type(const struct otlp_answer *answer, struct bytes wanted) {
    struct bytes rest = answer->content_type, type;
    return rest.len == 0 || (bytes_next(&rest, ';', &type) && bytes_equal_nocase(bytes_trim(type), wanted));
}

// A body in another form than the request's counts for nothing.
static void read_taken(const struct otlp_answer *answer, bool is_json, struct otlp_outcome *outcome) {
    if (!is_plain(answer) || answer->body.len == 0)
        return;
    if (!is_of_type(answer, is_json ? BYTES("application/json") : BYTES("application/x-protobuf")))
        note_strange(outcome, answer->content_type);
    else if (is_json)
        read_json(answer->body, answer->content_type, outcome);
    else
        read_protobuf(answer->body, answer->content_type, outcome);
}

// A google.rpc.Status says why.
static void read_refusal(const struct otlp_answer *answer, bool is_json, const char *text, struct otlp_outcome *outcome) {
    const bool is_read = is_plain(answer) && answer->body.len > 0 && answer->body.len <= BODY_READ_MAX;
    if (is_read && is_json) {
        json_t *json = json_loadb(answer->body.at, answer->body.len, 0, NULL);
        set_verdict(outcome, OTLP_REFUSED, text, text_of(json_string_value(json_object_get(json, "message"))));
        json_decref(json);
        return;
    }
    Rpc__Status *status = is_read ? rpc__status__unpack(NULL, answer->body.len, (const uint8_t *)answer->body.at) : NULL;
    set_verdict(outcome, OTLP_REFUSED, text, status == NULL ? BYTES_NONE : text_of(status->message));
    if (status != NULL)
        rpc__status__free_unpacked(status, NULL);
}

// ---- when to come again

static bool is_number(struct bytes text) {
    size_t digits = 0;
    while (digits < text.len && text.at[digits] >= '0' && text.at[digits] <= '9')
        digits++;
    return text.len > 0 && digits == text.len;
}

static nanoseconds retry_after_of(struct bytes value, nanoseconds wall) {
    const uint64_t now = wall / NS_PER_S;
    uint64_t seconds;
    if (is_number(value)) // one that is too large to be read too
        return (bytes_to_u64(value, RETRY_AFTER_MAX_S, &seconds) ? seconds : RETRY_AFTER_MAX_S) * NS_PER_S;
    if (!http_date_parse(value, now, &seconds) || seconds <= now)
        return 0;
    return (seconds - now < RETRY_AFTER_MAX_S ? seconds - now : RETRY_AFTER_MAX_S) * NS_PER_S;
}

static int digit_of(char c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// With or without padding, as gRPC has it (grpc/doc/PROTOCOL-HTTP2.md, "-bin"). Returns how many bytes; 0: it is none, or too long.
static size_t decode_base64(struct bytes text, uint8_t *out, size_t size) {
    uint32_t bits = 0;
    unsigned have = 0;
    size_t length = 0;
    while (text.len > 0 && text.at[text.len - 1] == '=')
        text.len--;
    for (size_t i = 0; i < text.len; i++) {
        const int digit = digit_of(text.at[i]);
        if (digit < 0)
            return 0;
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have < 8)
            continue;
        have -= 8;
        if (length == size)
            return 0;
        out[length++] = (uint8_t)(bits >> have);
    }
    return length;
}

static bool read_retry_info(const Rpc__Any *any, nanoseconds *delay) {
    static const struct bytes type = BYTES_OF("/google.rpc.RetryInfo");
    if (any->type_url == NULL || !bytes_ends_with(bytes_from_text(any->type_url), type))
        return false;
    Rpc__RetryInfo *info = rpc__retry_info__unpack(NULL, any->value.len, any->value.data);
    if (info == NULL)
        return false;
    const Rpc__Duration *given = info->retry_delay;
    *delay = 0;
    if (given != NULL && given->seconds >= 0 && given->nanos >= 0) {
        const uint64_t seconds = (uint64_t)given->seconds < RETRY_AFTER_MAX_S ? (uint64_t)given->seconds : RETRY_AFTER_MAX_S;
        *delay = seconds * NS_PER_S + (uint32_t)given->nanos % NS_PER_S;
    }
    rpc__retry_info__free_unpacked(info, NULL);
    return true;
}

// Whether the details of a gRPC status have a RetryInfo; then `*delay` is what it says.
static bool find_retry_info(struct bytes details, nanoseconds *delay) {
    uint8_t bytes[DETAILS_BYTES_MAX];
    const size_t length = decode_base64(details, bytes, sizeof bytes);
    Rpc__Status *status = length == 0 ? NULL : rpc__status__unpack(NULL, length, bytes);
    bool found = false;
    for (size_t i = 0; status != NULL && i < status->n_details && !found; i++)
        found = read_retry_info(status->details[i], delay);
    if (status != NULL)
        rpc__status__free_unpacked(status, NULL);
    return found;
}

// ---- the tables

static void judge_http(const struct otlp_answer *answer, bool is_json, nanoseconds wall, struct otlp_outcome *outcome) {
    char text[32];
    snprintf(text, sizeof text, "status %u", answer->status);
    switch (answer->status) {
    case 429:
    case 502:
    case 503:
    case 504:
        outcome->retry_after = retry_after_of(answer->retry_after, wall);
        set_verdict(outcome, OTLP_AGAIN, text, BYTES_NONE);
        return;
    case 413:
        set_verdict(outcome, OTLP_TOO_LARGE, text, BYTES_NONE);
        return;
    default:
        break;
    }
    if (answer->status < 200 || answer->status > 299) {
        read_refusal(answer, is_json, text, outcome);
        return;
    }
    // 200 is what the specification says; receivers answer 202 and 204 too, and mean the same.
    outcome->verdict = OTLP_TAKEN;
    read_taken(answer, is_json, outcome);
}

enum {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_DEADLINE = 4,
    GRPC_EXHAUSTED = 8,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15
};

// The message of an answer that is one frame, not compressed.
static struct bytes message_of(struct bytes body) {
    if (body.len < FRAME_BYTES || body.at[0] != 0)
        return BYTES_NONE;
    size_t length = 0;
    for (int i = 1; i < FRAME_BYTES; i++)
        length = length << 8 | (unsigned char)body.at[i];
    return length <= body.len - FRAME_BYTES ? bytes_from(body.at + FRAME_BYTES, length) : BYTES_NONE;
}

static void judge_grpc(const struct otlp_answer *answer, nanoseconds wall, struct otlp_outcome *outcome) {
    char text[32];
    uint64_t code;
    // What is in between and speaks no gRPC answers by a status alone (grpc/doc/http-grpc-status-mapping.md).
    if (answer->grpc_status.len == 0 || !bytes_to_u64(answer->grpc_status, 99, &code)) {
        judge_http(answer, false, wall, outcome);
        if (outcome->verdict == OTLP_TAKEN)
            set_verdict(outcome, OTLP_REFUSED, "an answer without grpc-status", BYTES_NONE);
        return;
    }
    snprintf(text, sizeof text, "grpc-status %u", (unsigned)code);
    const bool has_info = find_retry_info(answer->grpc_details, &outcome->retry_after);
    switch (code) {
    case GRPC_OK:
        outcome->verdict = OTLP_TAKEN;
        read_protobuf(message_of(answer->body), answer->content_type, outcome);
        return;
    case GRPC_CANCELLED:
    case GRPC_DEADLINE:
    case GRPC_ABORTED:
    case GRPC_OUT_OF_RANGE:
    case GRPC_UNAVAILABLE:
    case GRPC_DATA_LOSS:
        set_verdict(outcome, OTLP_AGAIN, text, answer->grpc_message);
        return;
    case GRPC_EXHAUSTED:
        set_verdict(outcome, has_info ? OTLP_AGAIN : OTLP_REFUSED, text, answer->grpc_message);
        return;
    default:
        set_verdict(outcome, OTLP_REFUSED, text, answer->grpc_message);
    }
}

// What came in the place of an answer. Nothing was processed, or nobody knows: it is sent again, but where the answer itself is at fault.
static void judge_end(enum error end, struct otlp_outcome *outcome) {
    const bool is_final = end == ERROR_BODY_TOO_LARGE || end == ERROR_RESPONSE_MALFORMED || end == ERROR_HEADERS_TOO_LARGE || end == ERROR_LOOP;
    set_verdict(outcome, is_final ? OTLP_REFUSED : OTLP_AGAIN, error_name(end), BYTES_NONE);
}

void otlp_answer_judge(enum otlp_protocol protocol, const struct otlp_answer *answer, nanoseconds wall, struct otlp_outcome *outcome) {
    *outcome = (struct otlp_outcome){0};
    if (answer->end != OK)
        judge_end(answer->end, outcome);
    else if (protocol == OTLP_GRPC)
        judge_grpc(answer, wall, outcome);
    else
        judge_http(answer, protocol == OTLP_HTTP_JSON, wall, outcome);
}
