// Answers of any bytes: whatever a collector sends, what is made of it has bounds, and a line of the log in it stays one line.
#include "agent/otlp_answer.h"

#include "base/check.h"
#include "telemetry/text_escape.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    const struct bytes rest = bytes_from((const char *)data + 2, size - 2);
    const bool is_detail = data[1] < 20; // then it is a code of gRPC, and what follows are its details
    const bool is_bare = (data[0] & 0x40) != 0, is_typed = (data[0] & 0x20) != 0;
    const char code[] = {(char)('0' + data[1] / 10), (char)('0' + data[1] % 10)};
    const struct otlp_answer answer = {.status = is_detail ? 200 : (uint16_t)(data[1] * 3),
                                       .retry_after = rest,
                                       .content_type = is_typed ? rest : BYTES_NONE,
                                       .content_encoding = (data[0] & 0x10) != 0 ? rest : BYTES_NONE,
                                       .end = (data[0] & 0x80) != 0 ? ERROR_RESPONSE_MALFORMED : OK,
                                       .grpc_status = is_bare     ? BYTES_NONE
                                                      : is_detail ? bytes_from(code, 2)
                                                                  : BYTES("0"),
                                       .grpc_message = rest,
                                       .grpc_details = rest,
                                       .body = rest,
                                       .is_cut = (data[0] & 0x08) != 0};
    struct otlp_outcome outcome;
    otlp_answer_judge((enum otlp_protocol)(data[0] % 3), &answer, 1445412480 * NS_PER_S, &outcome);
    CHECK(outcome.retry_after <= 301 * NS_PER_S);
    CHECK(memchr(outcome.reason, '\0', sizeof outcome.reason) != NULL);
    const struct bytes reason = bytes_from_text(outcome.reason);
    char copy[OTLP_REASON_MAX * 3];
    size_t taken;
    CHECK(bytes_equal(bytes_from(copy, text_to_utf8(copy, sizeof copy, reason, &taken)), reason));
    for (size_t i = 0; i < reason.len; i++) {
        CHECK((unsigned char)reason.at[i] >= ' ' && reason.at[i] != '"' && reason.at[i] != 0x7F);
        i += reason.at[i] == '\\'; // what is escaped is one more
        CHECK(i < reason.len);
    }
    CHECK(outcome.rejected == 0 || outcome.verdict == OTLP_TAKEN);
    return 0;
}
