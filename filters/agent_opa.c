// Open Policy Agent by its data API: POST {"input": {...}} to the document that decides. The input is that of OPA's plug-in for Envoy, as far as it is known here, so that policies written for that
// hold as they are. See agent.h.
#include "filters/agent.h"

#include "certs/json.h"
#include "config/url_service.h"
#include "http/form.h"
#include "http/headers.h"
#include "net/tcp.h"
#include "stream/forwarded_for.h"
#include "telemetry/text_escape.h"

#include <jansson.h>
#include <stdlib.h>

// Levels of an answer, which is {"result": {"headers": {"x": ["y"]}}}.
#define DEPTH_MAX 16

// An octet takes six as \u00XX.
#define ESCAPED_BYTES 6

// ---- the question

struct writing {
    struct stream *stream;
    struct buffer *body;
};

static void put(const struct writing *writing, struct bytes text) {
    buffer_append(writing->body, text);
}

// As it is, for the inside of a text.
static void put_escaped(const struct writing *writing, struct bytes text) {
    if (text.len == 0)
        return;
    const size_t room = ESCAPED_BYTES * text.len + TEXT_ESCAPE_ROOM_MIN;
    char *out = pool_alloc(&writing->stream->pool, room);
    put(writing, bytes_from(out, (size_t)(text_escape(out, out + room, text, TEXT_ESCAPE_JSON) - out)));
}

static void put_text(const struct writing *writing, struct bytes text) {
    put(writing, BYTES("\""));
    put_escaped(writing, text);
    put(writing, BYTES("\""));
}

// `name` has what stands before it too.
static void put_member(const struct writing *writing, struct bytes name, struct bytes value) {
    put(writing, name);
    put_text(writing, value);
}

static struct bytes lower(struct bytes text, struct pool *pool) {
    char *out = pool_alloc(pool, text.len + 1);
    for (size_t i = 0; i < text.len; i++)
        out[i] = ascii_lower(text.at[i]);
    return bytes_from(out, text.len);
}

static bool is_first_of_name(const struct fields *fields, const struct field *field) {
    FIELDS_EACH(fields, other) {
        if (bytes_equal_nocase(other->name, field->name))
            return other == field;
    }
    return false;
}

// Names in lower case; what stands several times with commas between.
static void put_headers(const struct writing *writing, const struct fields *fields) {
    const char *between = "";
    put(writing, BYTES(",\"headers\":{"));
    FIELDS_EACH(fields, field) {
        if (!is_first_of_name(fields, field))
            continue;
        put(writing, bytes_from_text(between));
        put_text(writing, lower(field->name, &writing->stream->pool));
        put(writing, BYTES(":\""));
        FIELDS_EACH(fields, other) {
            if (!bytes_equal_nocase(other->name, field->name))
                continue;
            put(writing, other == field ? BYTES("") : BYTES(","));
            put_escaped(writing, other->value);
        }
        put(writing, BYTES("\""));
        between = ",";
    }
    put(writing, BYTES("}"));
}

// Escapes as the octets that they stand for; canonical, so that each is one.
static struct bytes decoded(struct bytes segment, struct pool *pool) {
    char *out = pool_alloc(pool, segment.len + 1);
    size_t length = 0;
    for (size_t i = 0; i < segment.len; i++) {
        const bool is_escape = segment.at[i] == '%' && segment.len - i > 2;
        out[length++] = is_escape ? (char)bytes_octet_of_hex(bytes_from(segment.at + i + 1, 2)) : segment.at[i];
        i += is_escape ? 2 : 0;
    }
    return bytes_from(out, length);
}

static void put_segments(const struct writing *writing, struct bytes path) {
    const char *between = "";
    put(writing, BYTES(",\"parsed_path\":["));
    while (path.len > 0 && path.at[0] == '/') {
        const struct bytes rest = bytes_from(path.at + 1, path.len - 1);
        const struct bytes segment = bytes_from(rest.at, bytes_find(rest, '/'));
        put(writing, bytes_from_text(between));
        put_text(writing, decoded(segment, &writing->stream->pool));
        path = bytes_from(rest.at + segment.len, rest.len - segment.len);
        between = ",";
    }
    put(writing, BYTES("]"));
}

struct parameter {
    struct bytes name, value;
    uint32_t place;
};

static int compare_parameters(const void *left, const void *right) {
    const struct parameter *a = left, *b = right;
    const int by_name = bytes_compare(a->name, b->name);
    return by_name != 0 ? by_name : (a->place > b->place) - (a->place < b->place);
}

// By name, those of one name in their order. Returns how many there are.
static uint32_t parse_query(struct bytes query, struct pool *pool, struct parameter **parameters) {
    uint32_t count = 0, room = 1;
    for (size_t i = 0; i < query.len; i++)
        room += query.at[i] == '&';
    *parameters = pool_alloc(pool, room * sizeof(**parameters));
    struct bytes text;
    while (bytes_next(&query, '&', &text)) {
        const size_t equals = bytes_find(text, '=');
        const size_t value = equals < text.len ? equals + 1 : equals;
        (*parameters)[count] = (struct parameter){form_decode(bytes_from(text.at, equals), pool),
                                                  form_decode(bytes_from(text.at + value, text.len - value), pool), count};
        count++;
    }
    qsort(*parameters, count, sizeof(**parameters), compare_parameters);
    return count;
}

static void put_query(const struct writing *writing, struct bytes query) {
    struct parameter *parameters;
    const uint32_t count = parse_query(query, &writing->stream->pool, &parameters);
    put(writing, BYTES(",\"parsed_query\":{"));
    for (uint32_t i = 0; i < count; i++) {
        const bool is_new = i == 0 || !bytes_equal(parameters[i].name, parameters[i - 1].name);
        const bool is_last = i + 1 == count || !bytes_equal(parameters[i].name, parameters[i + 1].name);
        if (is_new && i > 0)
            put(writing, BYTES(","));
        if (is_new)
            put_text(writing, parameters[i].name);
        put(writing, is_new ? BYTES(":[") : BYTES(","));
        put_text(writing, parameters[i].value);
        put(writing, is_last ? BYTES("]") : BYTES(""));
    }
    put(writing, BYTES("}"));
}

static void put_http(const struct writing *writing) {
    const struct head *request = writing->stream->request;
    const struct field *id = fields_find(&request->fields, FIELD_X_REQUEST_ID);
    put_member(writing, BYTES("\"request\":{\"http\":{\"method\":"), request->method_text);
    put_member(writing, BYTES(",\"path\":"), request->path);
    put_member(writing, BYTES(",\"host\":"), agent_host(writing->stream));
    put_member(writing, BYTES(",\"scheme\":"), request->scheme);
    put_member(writing, BYTES(",\"protocol\":"), request->version == HTTP_2 ? BYTES("HTTP/2") : BYTES("HTTP/1.1"));
    put_member(writing, BYTES(",\"id\":"), id == NULL ? BYTES_NONE : id->value);
    put_headers(writing, &request->fields);
    put(writing, BYTES("}}"));
}

// The text of an address without its port.
static struct bytes address_of(struct stream *stream) {
    const union address *address = stream_client_address(stream);
    char text[ADDRESS_TEXT_MAX];
    if (address == NULL)
        return BYTES_NONE;
    return pool_copy(&stream->pool, bytes_from(text, address_print_ip(address, text, sizeof text)));
}

struct head *agent_opa_ask(struct stream *stream, const struct agent_config *agent, struct buffer *body) {
    const struct writing writing = {stream, body};
    const struct spiffe_id *id = stream->client.identity;
    const struct bytes target = stream->request->path;
    const size_t mark = bytes_find(target, '?');
    put(&writing, BYTES("{\"input\":{\"attributes\":{\"source\":{"));
    put_member(&writing, BYTES("\"address\":{\"socketAddress\":{\"address\":"), address_of(stream));
    put(&writing, BYTES("}}"));
    if (id != NULL)
        put_member(&writing, BYTES(",\"principal\":"), id->text);
    put(&writing, BYTES("},"));
    put_http(&writing);
    put(&writing, BYTES("}"));
    put_segments(&writing, bytes_from(target.at, mark));
    put_query(&writing, mark == target.len ? BYTES_NONE : bytes_from(target.at + mark + 1, target.len - mark - 1));
    put(&writing, BYTES("}}"));
    struct head *head = agent_head(stream, agent, METHOD_POST);
    fields_add_known(&head->fields, FIELD_CONTENT_TYPE, BYTES("application/json"));
    head->content_length = (int64_t)body->length;
    return head;
}

// ---- the answer

static struct bytes gather(struct stream *stream, struct buffer *body) {
    char *text = pool_alloc(&stream->pool, body->length + 1);
    size_t length = 0;
    while (!buffer_is_empty(body)) {
        const struct bytes piece = buffer_front(body);
        memcpy(text + length, piece.at, piece.len);
        length += piece.len;
        buffer_consume(body, piece.len);
    }
    return bytes_from(text, length);
}

// False: it is no value that a field can have.
static bool add_header(struct stream *stream, struct fields *fields, struct bytes name, const json_t *value) {
    const struct bytes text = json_is_string(value) ? bytes_from(json_string_value(value), json_string_length(value)) : BYTES_NONE;
    if (text.at == NULL || !is_field_value(text))
        return false;
    fields_add(fields, pool_copy(&stream->pool, name), pool_copy(&stream->pool, text));
    return true;
}

static bool is_named(const struct agent_config *agent, struct bytes name) {
    for (uint32_t i = 0; i < agent->header_count; i++)
        if (bytes_equal_nocase(agent->headers[i], name))
            return true;
    return false;
}

// Each a text, or a list of texts. False: they are none, or headersToUpstream does not name one: what is not taken off the client's every request is nobody's word.
static bool read_headers(struct stream *stream, const struct agent_config *agent, json_t *headers, struct fields *fields) {
    const char *key;
    json_t *value;
    if (headers != NULL && !json_is_object(headers))
        return false;
    json_object_foreach(headers, key, value) {
        const struct bytes name = bytes_from_text(key);
        bool is_good = is_named(agent, name) && (!json_is_array(value) || json_array_size(value) > 0);
        for (size_t i = 0; json_is_array(value) && i < json_array_size(value); i++)
            is_good = is_good && add_header(stream, fields, name, json_array_get(value, i));
        if (!is_good || (!json_is_array(value) && !add_header(stream, fields, name, value)))
            return false;
    }
    return true;
}

// Of a refusal, what tells the client how to do better.
static void read_refusal(struct stream *stream, const json_t *result, struct agent_answer *answer) {
    static const char *const names[] = {"www-authenticate", "location"};
    const json_t *headers = json_object_get(result, "headers");
    const json_t *status = json_object_get(result, "http_status");
    answer->wants_credentials = json_is_integer(status) && json_integer_value(status) == 401;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)add_header(stream, &answer->to_client, bytes_from_text(names[i]), json_object_get(headers, names[i]));
}

static void read_object(struct stream *stream, const struct agent_config *agent, const json_t *result, struct agent_answer *answer) {
    const json_t *allow = json_object_get(result, "allow");
    if (allow == NULL)
        allow = json_object_get(result, "allowed");
    if (allow == NULL) { // a policy without a default says no by saying nothing
        answer->outcome = AGENT_DENIES;
        answer->reason = BYTES("the policy agent's allow is undefined");
        return;
    }
    if (!json_is_boolean(allow)) {
        agent_fail(answer, BYTES("its result has no allow that is true or false"));
        return;
    }
    answer->outcome = json_is_true(allow) ? AGENT_ALLOWS : AGENT_DENIES;
    if (answer->outcome == AGENT_DENIES)
        read_refusal(stream, result, answer);
    else if (!read_headers(stream, agent, json_object_get(result, "headers"), &answer->to_request))
        agent_fail(answer, BYTES("its result has headers that it may not set"));
}

static void read_result(struct stream *stream, const struct agent_config *agent, const json_t *result, struct agent_answer *answer) {
    answer->reason = BYTES("the policy agent says no");
    if (json_is_boolean(result)) {
        answer->outcome = json_is_true(result) ? AGENT_ALLOWS : AGENT_DENIES;
    } else if (json_is_object(result)) {
        read_object(stream, agent, result, answer);
    } else if (result == NULL) { // no rule of the policy has said anything
        answer->outcome = AGENT_DENIES;
        answer->reason = BYTES("the policy agent's decision is undefined");
    } else {
        agent_fail(answer, BYTES("its result is neither true, false nor an object"));
    }
}

void agent_opa_read(struct stream *stream, const struct agent_config *agent, const struct head *head, struct buffer *body,
                    struct agent_answer *answer) {
    if (head->status >= 400 && head->status < 500) { // it may be the client who has made it so
        answer->outcome = AGENT_DENIES;
        answer->reason = pool_format(&stream->pool, "the policy agent's status is %u", head->status);
        return;
    }
    if (head->status != 200) {
        agent_fail(answer, pool_format(&stream->pool, "its status is %u", head->status));
        return;
    }
    json_t *object = json_read_object(gather(stream, body), DEPTH_MAX);
    if (object == NULL)
        agent_fail(answer, BYTES("what it says is no JSON object"));
    else
        read_result(stream, agent, json_object_get(object, "result"), answer);
    json_decref(object);
}
