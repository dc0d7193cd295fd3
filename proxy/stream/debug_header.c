// Who may ask, and the one line that they get. See debug_header.h.
#include "stream/debug_header.h"

#include "config/edge_fields.h"
#include "http/headers.h"
#include "net/tcp.h"
#include "stream/attempts.h"
#include "stream/explanation.h"
#include "telemetry/text_escape.h"

#include <stdio.h>

// ---- who may ask

static bool is_loopback(const union address *address) {
    return address->any.sa_family == AF_INET ? ntohl(address->v4.sin_addr.s_addr) >> 24 == 127
                                             : address->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

static bool is_trusted(const struct proxy_config *proxy, struct bytes name) {
    for (uint32_t i = 0; i < proxy->edge.trust_header_count; i++)
        if (bytes_equal_nocase(proxy->edge.trust_headers[i], name))
            return true;
    return false;
}

bool debug_header_may_ask(const struct stream *stream, struct bytes name) {
    const struct stream_client *client = &stream->client;
    if (stream->listener->role == ROLE_GATEWAY)
        return is_trusted(stream->proxy, name);
    const struct fields *fields = &stream->request->fields;
    const bool is_redirected = stream->listener->role == ROLE_OUTBOUND && client->destination != NULL;
    // What a balancer or an application of this machine passes on for somebody is not its own.
    const bool is_passed_on = fields_find(fields, FIELD_X_FORWARDED_FOR) != NULL || fields_find(fields, FIELD_FORWARDED) != NULL;
    return client->mesh || (!is_passed_on && (is_redirected || is_loopback(client->address)));
}

void debug_header_begin(struct stream *stream) {
    struct fields *fields = &stream->request->fields;
    const struct bytes name = stream->proxy->debug_header;
    if (stream->explanation != NULL || fields_find_name(fields, name) == NULL)
        return;
    if (debug_header_may_ask(stream, name))
        explanation_begin(stream, false);
    else
        fields_remove_name(fields, name);
}

// ---- the line

struct line {
    char text[DEBUG_HEADER_BYTES_MAX];
    size_t length;
    bool is_full; // something had no room
};

// What closes all that may be open has room behind the rest.
#define CLOSING_BYTES 64

static void put(struct line *line, const char *text) {
    const size_t length = strlen(text);
    if (line->length + length + CLOSING_BYTES > sizeof line->text) {
        line->is_full = true;
        return;
    }
    memcpy(line->text + line->length, text, length);
    line->length += length;
}

// A field's value is ASCII: what is not has no place in a name of ours.
static void put_text(struct line *line, const char *before, struct bytes text) {
    put(line, before);
    put(line, "\"");
    char *const begin = line->text + line->length, *const end = line->text + sizeof line->text - CLOSING_BYTES;
    if (line->is_full || end - begin < TEXT_ESCAPE_ROOM_MIN + 1) {
        line->is_full = true;
        return;
    }
    char *const out = text_escape(begin, end - 1, text, TEXT_ESCAPE_JSON);
    for (char *at = begin; at < out; at++)
        *at = (unsigned char)*at < 0x7f ? *at : '?';
    line->length = (size_t)(out - line->text);
    put(line, "\"");
}

static void put_member(struct line *line, const char *before, struct bytes text) {
    if (text.len > 0)
        put_text(line, before, text);
}

static void put_step(struct line *line, const struct explanation_step *step) {
    static const char *const outcomes[] = {
        [STEP_PASSED] = "passed",     [STEP_REFUSED] = "refused",   [STEP_WOULD_REFUSE] = "would refuse",
        [STEP_WOULD_WAIT] = "waited", [STEP_ANSWERED] = "answered", [STEP_DEPENDS] = "depends",
    };
    put_text(line, "{\"filter\":", bytes_from_text(step->filter));
    put_text(line, ",\"outcome\":", bytes_from_text(outcomes[step->outcome]));
    put_member(line, ",\"policy\":", step->policy);
    put_member(line, ",\"rule\":", step->rule);
    put_member(line, ",\"reason\":", step->reason);
    put(line, "}");
}

static void put_attempt(struct line *line, const struct attempt *attempt) {
    const struct attempts *attempts = attempt->stream->attempts;
    const enum error error = attempt->refusal != OK ? attempt->refusal : attempt->error;
    put_text(line, "{\"outcome\":",
             bytes_from_text(attempts->committed == attempt ? "answered"
                             : error == OK                  ? "answered, and tried again"
                                                            : error_name(error)));
    put_member(line, ",\"endpoint\":", attempt->endpoint == NULL ? BYTES_NONE : attempt->endpoint->links->text);
    put(line, "}");
}

// A list's entries are whole or left out.
struct entries {
    struct line *line;
    size_t before;
    uint32_t count, left_out;
};

static void begin_entry(struct entries *entries) {
    entries->before = entries->line->length;
    if (entries->count > 0)
        put(entries->line, ",");
}

static void end_entry(struct entries *entries) {
    entries->count += !entries->line->is_full;
    entries->left_out += entries->line->is_full;
    if (entries->line->is_full)
        entries->line->length = entries->before;
    entries->line->is_full = false;
}

static void put_attempts(struct entries *entries, const struct list *attempts) {
    LIST_EACH(attempts, node, following) {
        begin_entry(entries);
        put_attempt(entries->line, LIST_ENTRY(node, struct attempt, link));
        end_entry(entries);
    }
}

static void put_where(struct line *line, const struct stream *stream) {
    const struct proxy_config *proxy = stream->proxy;
    put_member(line, "{\"proxy\":", proxy->name);
    put_member(line, ",\"listener\":", stream->listener->name);
    put_text(line, ",\"end\":", bytes_from_text(error_name(stream->end)));
    if (stream->destination != NULL)
        put_member(line, ",\"service\":", stream->destination->config->service->key);
    if (stream->rule != NULL)
        put_member(line, ",\"route\":", stream->rule->label);
}

static struct bytes line_of(struct stream *stream) {
    struct line line = {.length = 0};
    struct entries filters = {.line = &line}, tries = {.line = &line};
    put_where(&line, stream);
    put(&line, ",\"filters\":[");
    for (const struct explanation_step *step = stream->explanation->first; step != NULL; step = step->next) {
        begin_entry(&filters);
        put_step(&line, step);
        end_entry(&filters);
    }
    line.length +=
        (size_t)snprintf(line.text + line.length, CLOSING_BYTES / 2, "],\"left_out\":%u", filters.left_out + stream->explanation->left_out);
    if (stream->attempts != NULL) {
        put(&line, ",\"attempts\":[");
        const bool is_open = !line.is_full;
        line.is_full = false;
        if (is_open) {
            put_attempts(&tries, &stream->attempts->over);
            put_attempts(&tries, &stream->attempts->running);
            line.text[line.length++] = ']';
        }
    }
    line.text[line.length++] = '}';
    return pool_copy(&stream->pool, bytes_from(line.text, line.length));
}

// Other proxies of the mesh may have another name for it.
static void hide(const struct stream *stream, struct head *head) {
    FIELDS_EACH(&head->fields, field)
        if (field->id == FIELD_OTHER && edge_field_is_of_debugging(field->name) && !is_trusted(stream->proxy, field->name))
            fields_remove_field(&head->fields, field);
}

void debug_header_answer(struct stream *stream, struct head *head) {
    if (stream->listener->role == ROLE_GATEWAY)
        hide(stream, head);
    if (stream->explanation != NULL && stream->proxy->debug_header.len > 0)
        fields_add(&head->fields, pool_copy(&stream->pool, stream->proxy->debug_header), line_of(stream));
}
