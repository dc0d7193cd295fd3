// Both ways of the talk with a policy agent. The first octet says which, and with which status it answers; the rest is its answer, or a request that it is asked about (a path, then a field a line).
// Properties: nothing lets a request pass but a result that says so, with fields that the document names and that are fields; what refuses says why; the question is always JSON, of just that request.
#include "filters/agent.h"

#include "base/check.h"
#include "config/url_service.h"
#include "http/headers.h"
#include "stream/stream.h"
#include "support/field_lines.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdlib.h>

#define IS_QUESTION 0x80

static struct bytes named[] = {BYTES_OF("x-user"), BYTES_OF("x-group")};
static const struct service_url url = {.authority = BYTES_OF("127.0.0.1:8181"), .path = BYTES_OF("/v1/data/mesh/allow")};
static const struct agent_config agent = {.type = AGENT_OPA, .url = &url, .headers = named, .header_count = 2};

// What a stream needs for this: memory and a client.
struct world {
    struct pool_source chunks;
    struct block_source blocks;
    struct listener_config listener;
    union address address;
    struct stream stream;
    struct buffer body;
};

static void world_init(struct world *world) {
    *world = (struct world){.address = {.v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000001)}}};
    pool_source_init(&world->chunks, 4);
    block_source_init(&world->blocks, 4);
    pool_init(&world->stream.pool, &world->chunks);
    buffer_init(&world->body, &world->blocks);
    world->stream.listener = &world->listener;
    world->stream.client.address = &world->address;
}

static void world_dispose(struct world *world) {
    buffer_dispose(&world->body);
    pool_dispose(&world->stream.pool);
    CHECK(world->chunks.used == 0 && world->blocks.used == 0);
    pool_source_dispose(&world->chunks);
    block_source_dispose(&world->blocks);
}

// ---- the answer

// By another reader, and another way of looking at it.
static bool says_yes(struct bytes text) {
    json_t *object = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    const json_t *result = json_object_get(object, "result");
    const json_t *allow = json_object_get(result, "allow");
    const bool is_yes = json_is_true(result) || json_is_true(allow) || (allow == NULL && json_is_true(json_object_get(result, "allowed")));
    json_decref(object);
    return is_yes;
}

static void check_fields(const struct fields *fields, const struct bytes *names, size_t count) {
    FIELDS_EACH(fields, field) {
        bool is_named = false;
        for (size_t i = 0; i < count; i++)
            is_named |= bytes_equal_nocase(field->name, names[i]);
        CHECK(is_named && is_field_value(field->value));
    }
}

static bool is_empty(const struct fields *fields) {
    FIELDS_EACH(fields, field)
        return false;
    return true;
}

static void read_answer(struct world *world, unsigned status, struct bytes text) {
    static const struct bytes told[] = {BYTES_OF("www-authenticate"), BYTES_OF("location")};
    struct agent_answer answer = {.outcome = AGENT_FAILS};
    struct head head = {.status = (uint16_t)status};
    fields_init(&answer.to_request, &world->stream.pool);
    fields_init(&answer.to_client, &world->stream.pool);
    buffer_append(&world->body, text);
    agent_opa_read(&world->stream, &agent, &head, &world->body, &answer);
    CHECK(answer.outcome != AGENT_ALLOWS || (status == 200 && says_yes(text)));
    CHECK(answer.outcome != AGENT_DENIES || (status >= 400 && status < 500) || !says_yes(text));
    CHECK(answer.outcome == AGENT_ALLOWS || (answer.reason.len > 0 && is_empty(&answer.to_request)));
    CHECK(answer.outcome == AGENT_DENIES || (!answer.wants_credentials && is_empty(&answer.to_client)));
    check_fields(&answer.to_request, named, 2);
    check_fields(&answer.to_client, told, 2);
}

// ---- the question

// As codecs let them through.
static bool is_path(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] <= ' ' || text.at[i] == 0x7f)
            return false;
    return text.len > 0 && text.at[0] == '/';
}

static bool is_ascii(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] >= 0x80)
            return false;
    return true;
}

static void check_question(const struct head *request, struct bytes text) {
    json_error_t error;
    // Names of parameters that are no UTF-8 may come out alike, and then stand twice: no policy can go by them.
    json_t *question = json_loadb(text.at, text.len, JSON_ALLOW_NUL, &error);
    if (question == NULL && json_error_code(&error) == json_error_null_byte_in_key)
        return; // a parameter has a name with %00 in it, which is JSON, but not for this reader
    CHECK(question != NULL);
    const json_t *input = json_object_get(question, "input");
    const json_t *http = json_object_get(json_object_get(json_object_get(input, "attributes"), "request"), "http");
    const json_t *path = json_object_get(http, "path");
    CHECK(json_is_string(path) && json_is_array(json_object_get(input, "parsed_path")) && json_is_object(json_object_get(input, "parsed_query")));
    CHECK(!is_ascii(request->path) || bytes_equal(bytes_from(json_string_value(path), json_string_length(path)), request->path));
    const json_t *headers = json_object_get(http, "headers");
    size_t names = 0;
    FIELDS_EACH(&request->fields, field) {
        char lower[64];
        for (size_t i = 0; i < field->name.len && i < sizeof lower - 1; i++)
            lower[i] = ascii_lower(field->name.at[i]);
        lower[field->name.len < sizeof lower ? field->name.len : sizeof lower - 1] = '\0';
        CHECK(field->name.len >= sizeof lower || json_is_string(json_object_get(headers, lower)));
        names++;
    }
    CHECK(json_object_size(headers) <= names);
    json_decref(question);
}

static void ask(struct world *world, struct bytes text) {
    struct head request;
    field_lines_read_request(&request, &world->stream.pool, text);
    if (!is_path(request.path))
        return;
    world->stream.request = &request;
    const struct head *head = agent_opa_ask(&world->stream, &agent, &world->body);
    CHECK((size_t)head->content_length == world->body.length && bytes_equal(head->path, url.path));
    char *whole = pool_alloc(&world->stream.pool, world->body.length);
    size_t length = 0;
    while (!buffer_is_empty(&world->body)) {
        const struct bytes piece = buffer_front(&world->body);
        memcpy(whole + length, piece.at, piece.len);
        length += piece.len;
        buffer_consume(&world->body, piece.len);
    }
    check_question(&request, bytes_from(whole, length));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    static const unsigned statuses[] = {200, 200, 200, 200, 204, 401, 404, 500};
    static struct world world;
    if (size == 0 || size > AGENT_ANSWER_BYTES_MAX)
        return 0;
    const struct bytes text = bytes_from((const char *)input + 1, size - 1);
    world_init(&world);
    if ((input[0] & IS_QUESTION) != 0)
        ask(&world, text);
    else
        read_answer(&world, statuses[input[0] % 8], text);
    world_dispose(&world);
    return 0;
}
