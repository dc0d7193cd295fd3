// Pairs of names and values as forms write them, so that whatever stands in a header can be read back: see log_parts.h.
#include "stream/log_parts.h"

#include "http/form.h"
#include "http/headers.h"
#include "http/redact.h"
#include "stream/request_key.h"
#include "stream/stream.h"

#include <stdio.h>

struct pairs {
    char *begin, *at, *end;
};

static void add(struct pairs *pairs, struct bytes text) {
    pairs->at = form_encode(pairs->at, pairs->end, text);
}

static void add_mark(struct pairs *pairs, char mark) {
    if (pairs->at < pairs->end)
        *pairs->at++ = mark;
}

static struct pairs pairs_in(char text[LOG_PARTS_MAX]) {
    return (struct pairs){text, text, text + LOG_PARTS_MAX};
}

// "Header x-api-key=0123456789abcdef": the hash is of this process alone, and of no use to who would guess what stood there.
static void add_key(struct pairs *pairs, const struct request_key_part *part, struct stream *stream) {
    char digits[20];
    uint64_t hash;
    if (!request_key_part_hash(part, stream, &hash))
        return;
    if (pairs->at > pairs->begin)
        add_mark(pairs, '&');
    add(pairs, bytes_from_text(request_key_type_name(part->type)));
    add(pairs, BYTES(" "));
    add(pairs, part->name);
    add_mark(pairs, '=');
    (void)snprintf(digits, sizeof digits, "%016llx", (unsigned long long)hash);
    add(pairs, bytes_from_text(digits));
}

size_t log_keys_print(struct stream *stream, char text[LOG_PARTS_MAX]) {
    struct pairs pairs = pairs_in(text);
    const struct request_key *keys = stream->destination == NULL ? NULL : stream->destination->config->logged_keys;
    for (uint32_t i = 0; keys != NULL && i < keys->count; i++)
        add_key(&pairs, &keys->parts[i], stream);
    return (size_t)(pairs.at - text);
}

size_t log_headers_print(const struct stream *stream, char text[LOG_PARTS_MAX]) {
    struct pairs pairs = pairs_in(text);
    const struct access_log_config *log = &stream->proxy->telemetry.access_log;
    for (uint32_t i = 0; stream->request != NULL && i < log->header_count; i++) {
        const struct field *field = fields_find_name(&stream->request->fields, log->headers[i]);
        if (field == NULL)
            continue;
        if (pairs.at > text)
            add_mark(&pairs, '&');
        add(&pairs, log->headers[i]);
        add_mark(&pairs, '=');
        add(&pairs, redact_url(log->headers[i], field->value));
    }
    return (size_t)(pairs.at - text);
}
