// See reply.h: one table from an error to a status, and the fields that every reply has.
#include "rpc/reply.h"

#include "base/clock.h"
#include "http/headers.h"

#include <time.h>

static uint16_t status_of(enum error error) {
    switch (error) {
    case ERROR_BODY_TOO_LARGE:
        return 413;
    case ERROR_URI_TOO_LONG:
        return 414;
    case ERROR_HEADERS_TOO_LARGE:
        return 431;
    case ERROR_EXPECTATION:
        return 417;
    case ERROR_HEADER_TIMEOUT:
        return 408;
    case ERROR_METHOD_UNKNOWN:
        return 501;
    case ERROR_VERSION_UNSUPPORTED:
        return 505;
    case ERROR_REQUEST_TIMEOUT:
        return 503;
    default:
        return 400;
    }
}

static struct bytes date_now(struct pool *pool) {
    char text[32];
    struct tm tm;
    time_t seconds = (time_t)(clock_wall_ns() / NS_PER_S);
    size_t length = strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&seconds, &tm));
    return pool_copy(pool, bytes_from(text, length));
}

void reply_set_error(struct reply *reply, enum error error, struct buffer *body) {
    reply->status = status_of(error);
    reply->type = BYTES("text/plain");
    buffer_append(body, status_reason(reply->status));
    buffer_append(body, BYTES("\n"));
}

void reply_fill_head(const struct reply *reply, struct pool *pool, int64_t length, struct head *head) {
    head_init(head, pool);
    head->version = HTTP_1_1;
    head->status = reply->status;
    head->content_length = length;
    fields_add_known(&head->fields, FIELD_DATE, date_now(pool));
    if (reply->type.len > 0)
        fields_add_known(&head->fields, FIELD_CONTENT_TYPE, reply->type);
    fields_add(&head->fields, BYTES("Cache-Control"), BYTES("no-store"));
    fields_add(&head->fields, BYTES("X-Content-Type-Options"), BYTES("nosniff")); // names of metrics may look like HTML
    FIELDS_EACH(&reply->fields, field)
        fields_add(&head->fields, field->name, field->value);
}
