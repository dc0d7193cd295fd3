// Filter CORS of Gateway API (Fetch section 3.2): answers preflights, and says on every answer whose pages may read it. What the backend says of that is taken out: two
// voices would be none, since a browser refuses an answer with two of these fields.
#include "filters/registry.h"

#include "config/cors_origin.h"
#include "http/headers.h"
#include "stream/explanation.h"
#include "stream/stream.h"

struct cors_state {
    struct bytes origin; // of the request, which may read the answer; empty: none, or none that may
};

static const void *configure(const struct filter_scope *scope, struct pool *pool) {
    (void)pool;
    return scope->destination->rule == NULL ? NULL : scope->destination->rule->cors;
}

static struct bytes value_of(const struct head *request, struct bytes name) {
    const struct field *field = fields_find_name(&request->fields, name);
    return field == NULL ? BYTES_NONE : field->value;
}

// "null" (a sandboxed frame, a file) is allowed by `*` alone.
static bool is_allowed(const struct route_cors *cors, struct bytes text) {
    struct cors_origin origin;
    if (cors->any_origin)
        return text.len > 0;
    if (!cors_origin_parse(text, &origin))
        return false;
    for (uint32_t i = 0; i < cors->origin_count; i++)
        if (cors_origin_matches(&cors->origins[i], &origin))
            return true;
    return false;
}

static void add_origin(const struct route_cors *cors, struct bytes origin, struct fields *fields) {
    fields_add(fields, BYTES("Access-Control-Allow-Origin"), cors->any_origin && !cors->allows_credentials ? BYTES("*") : origin);
    if (cors->allows_credentials)
        fields_add(fields, BYTES("Access-Control-Allow-Credentials"), BYTES("true"));
    if (cors->exposed_value.len > 0)
        fields_add(fields, BYTES("Access-Control-Expose-Headers"), pool_copy(fields->pool, cors->exposed_value));
}

// What `*` allows is what was asked for: so it holds with credentials too, where browsers take `*` for a name.
static void add_answer(const struct route_cors *cors, const struct head *request, struct fields *fields) {
    struct bytes methods = cors->any_method ? value_of(request, BYTES("Access-Control-Request-Method")) : cors->methods_value;
    struct bytes headers = cors->any_header ? value_of(request, BYTES("Access-Control-Request-Headers")) : cors->headers_value;
    if (methods.len > 0)
        fields_add(fields, BYTES("Access-Control-Allow-Methods"), methods);
    if (headers.len > 0)
        fields_add(fields, BYTES("Access-Control-Allow-Headers"), headers);
    fields_add(fields, BYTES("Access-Control-Max-Age"), cors->max_age_value);
}

static bool is_preflight(const struct head *request) {
    return request->method == METHOD_OPTIONS && value_of(request, BYTES("Access-Control-Request-Method")).len > 0;
}

static void answer_preflight(struct stream *stream, const struct route_cors *cors, struct bytes origin) {
    struct head *head = pool_alloc_zeroed(&stream->pool, sizeof *head);
    head_init(head, &stream->pool);
    head->status = 204;
    if (origin.len > 0) {
        add_origin(cors, origin, &head->fields);
        add_answer(cors, stream->request, &head->fields);
    }
    fields_add(&head->fields, BYTES("Vary"), BYTES("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"));
    stream_reply(stream, head, NULL, NULL, BYTES("cors"));
}

static enum filter_result decide(struct stream *stream, const void *config, void *state_pointer) {
    const struct route_cors *cors = config;
    struct cors_state *state = state_pointer;
    struct bytes origin = value_of(stream->request, BYTES("Origin"));
    if (is_allowed(cors, origin))
        state->origin = origin;
    if (origin.len > 0)
        explain_text(stream, "origin_is", state->origin.len > 0 ? BYTES("allowed") : BYTES("not allowed"));
    if (origin.len == 0 || !is_preflight(stream->request))
        return FILTER_CONTINUE;
    answer_preflight(stream, cors, state->origin);
    return FILTER_REPLIED;
}

static void remove_backends(struct fields *fields) {
    static const struct bytes names[] = {
        BYTES_OF("Access-Control-Allow-Origin"),  BYTES_OF("Access-Control-Allow-Credentials"), BYTES_OF("Access-Control-Expose-Headers"),
        BYTES_OF("Access-Control-Allow-Methods"), BYTES_OF("Access-Control-Allow-Headers"),     BYTES_OF("Access-Control-Max-Age"),
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        fields_remove_name(fields, names[i]);
}

static bool varies_by_origin(const struct fields *fields) {
    FIELDS_EACH(fields, field) {
        if (!bytes_equal_nocase(field->name, BYTES("Vary")))
            continue;
        struct bytes rest = field->value, member;
        while (bytes_next(&rest, ',', &member))
            if (bytes_equal(member, BYTES("*")) || bytes_equal_nocase(member, BYTES("Origin")))
                return true;
    }
    return false;
}

static enum filter_result response_head(struct stream *stream, const void *config, void *state_pointer, struct head *head) {
    (void)stream;
    const struct cors_state *state = state_pointer;
    remove_backends(&head->fields);
    if (state->origin.len > 0)
        add_origin(config, state->origin, &head->fields);
    if (!varies_by_origin(&head->fields)) // also where the request had none: a cache must not give this answer to one that has
        fields_add(&head->fields, BYTES("Vary"), BYTES("Origin"));
    return FILTER_CONTINUE;
}

const struct filter_type filter_cors = {
    .name = "cors",
    .state_size = sizeof(struct cors_state),
    .configure = configure,
    .ops = {.decide = decide, .response_head = response_head},
};
