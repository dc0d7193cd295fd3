// The tables of the specification, what is read of bodies, and when to come again. See otlp_answer.h.
#include "agent/otlp_answer.h"

#include "agent/otlp_remark.h"
#include "base/base64.h"
#include "http/date.h"
#include "telemetry/proto/status.pb-c.h"
#include "telemetry/text_escape.h"

#include <stdio.h>

#define FRAME_BYTES 5 // gRPC: a byte that says whether the message is compressed, its length

// Whoever asks for more is asked once in this time all the same: one wrong word would silence a signal for a day.
#define RETRY_AFTER_MAX_S UINT64_C(300)

#define DETAILS_BYTES_MAX 8192

// What is ours of a reason.
#define REASON_OWN_MAX 48

// What others wrote stands in quotes in a line of the log.
static void set_reason(struct otlp_outcome *outcome, const char *text, struct bytes more) {
    char *end = outcome->reason + sizeof outcome->reason - 1;
    char *at = outcome->reason + snprintf(outcome->reason, REASON_OWN_MAX, "%s%s", text, more.len > 0 ? ": " : "");
    if (more.len > 0)
        at = text_escape(at, end, more, TEXT_ESCAPE_JSON);
    *at = '\0';
}

static void set_verdict(struct otlp_outcome *outcome, enum otlp_verdict verdict, const char *text, struct bytes more) {
    outcome->verdict = verdict;
    set_reason(outcome, text, more);
}

// ---- bodies

// Its status has said that they are taken; but perhaps by one that knows nothing of OTLP, as a login page does.
static void note_strange(struct otlp_outcome *outcome, struct bytes type) {
    set_reason(outcome, "the answer's body is none of OTLP", type);
}

static void read_taken_body(const struct otlp_answer *answer, struct bytes body, bool is_json, struct otlp_outcome *outcome) {
    struct otlp_remark remark;
    if (!otlp_remark_of_taken(body, is_json, answer->is_cut, &remark))
        note_strange(outcome, answer->content_type);
    else if (remark.rejected > 0 || remark.text.len > 0)
        set_reason(outcome, remark.rejected > 0 ? "some were rejected" : "a warning", remark.text);
    outcome->rejected = remark.rejected;
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
    else
        read_taken_body(answer, answer->body, is_json, outcome);
}

// A google.rpc.Status says why.
static void read_refusal(const struct otlp_answer *answer, bool is_json, const char *text, struct otlp_outcome *outcome) {
    struct otlp_remark remark;
    const bool is_read = is_plain(answer) && answer->body.len > 0 && otlp_remark_of_refusal(answer->body, is_json, answer->is_cut, &remark);
    set_verdict(outcome, OTLP_REFUSED, text, is_read ? remark.text : BYTES_NONE);
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
    size_t length;
    const bool is_read = base64_room(details.len) <= sizeof bytes && base64_decode(details, bytes, &length) && length > 0;
    Rpc__Status *status = is_read ? rpc__status__unpack(NULL, length, bytes) : NULL;
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

// The message of an answer that is one frame, not compressed; of one that was cut what is there.
static struct bytes message_of(const struct otlp_answer *answer) {
    const struct bytes body = answer->body;
    if (body.len < FRAME_BYTES || body.at[0] != 0)
        return BYTES_NONE;
    size_t length = 0;
    for (int i = 1; i < FRAME_BYTES; i++)
        length = length << 8 | (unsigned char)body.at[i];
    const size_t there = body.len - FRAME_BYTES;
    return length <= there || answer->is_cut ? bytes_from(body.at + FRAME_BYTES, length < there ? length : there) : BYTES_NONE;
}

static void judge_grpc(const struct otlp_answer *answer, nanoseconds wall, struct otlp_outcome *outcome) {
    char text[32];
    uint64_t code;
    // What is in between and speaks no gRPC answers by a status alone (grpc/doc/http-grpc-status-mapping.md).
    if (answer->grpc_status.len == 0 || !bytes_to_u64(answer->grpc_status, 99, &code)) {
        judge_http(answer, false, wall, outcome);
        if (outcome->verdict == OTLP_TAKEN) {
            *outcome = (struct otlp_outcome){0};
            set_verdict(outcome, OTLP_REFUSED, "an answer without grpc-status", BYTES_NONE);
        }
        return;
    }
    snprintf(text, sizeof text, "grpc-status %u", (unsigned)code);
    const bool has_info = find_retry_info(answer->grpc_details, &outcome->retry_after);
    switch (code) {
    case GRPC_OK:
        outcome->verdict = OTLP_TAKEN;
        read_taken_body(answer, message_of(answer), false, outcome);
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
