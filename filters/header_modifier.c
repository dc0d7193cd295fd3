// Filters RequestHeaderModifier and ResponseHeaderModifier of Gateway API, of a rule and of a backend: the rule's changes come first on the way up, last on the way down.
// The request itself stays as it came: each attempt's own head is changed.
#include "filters/header_changes.h"
#include "filters/registry.h"
#include "stream/explanation.h"
#include "stream/stream.h"

struct header_modifier_config {
    const struct header_changes *request[2];
    const struct header_changes *response[2];
};

static const void *configure(const struct filter_scope *scope, struct pool *pool) {
    const struct route_rule *rule = scope->destination->rule;
    struct header_modifier_config config = {.request = {rule == NULL ? NULL : rule->request_headers, scope->destination->request_headers},
                                            .response = {scope->destination->response_headers, rule == NULL ? NULL : rule->response_headers}};
    if (config.request[0] == NULL && config.request[1] == NULL && config.response[0] == NULL && config.response[1] == NULL)
        return NULL;
    struct header_modifier_config *kept = pool_alloc(pool, sizeof *kept);
    *kept = config;
    return kept;
}

static void tell(struct stream *stream, const struct header_changes *changes) {
    for (uint32_t i = 0; i < changes->set_count; i++)
        explain_text(stream, "sets", changes->set[i].name);
    for (uint32_t i = 0; i < changes->add_count; i++)
        explain_text(stream, "adds", changes->add[i].name);
    for (uint32_t i = 0; i < changes->remove_count; i++)
        explain_text(stream, "removes", changes->remove[i]);
}

static enum filter_result decide(struct stream *stream, const void *config_pointer, void *state) {
    (void)state;
    const struct header_modifier_config *config = config_pointer;
    for (int i = 0; i < 2 && stream->explanation != NULL; i++)
        if (config->request[i] != NULL)
            tell(stream, config->request[i]);
    return FILTER_CONTINUE;
}

static void attempt_head(struct stream *stream, const void *config_pointer, void *state, struct head *head, struct pool *pool) {
    (void)stream;
    (void)state;
    (void)pool;
    const struct header_modifier_config *config = config_pointer;
    for (int i = 0; i < 2; i++)
        if (config->request[i] != NULL)
            header_changes_apply(config->request[i], &head->fields);
}

static enum filter_result response_head(struct stream *stream, const void *config_pointer, void *state, struct head *head) {
    (void)stream;
    (void)state;
    const struct header_modifier_config *config = config_pointer;
    for (int i = 0; i < 2; i++)
        if (config->response[i] != NULL)
            header_changes_apply(config->response[i], &head->fields);
    return FILTER_CONTINUE;
}

const struct filter_type filter_header_modifier = {
    .name = "header_modifier",
    .configure = configure,
    .ops = {.decide = decide, .attempt_head = attempt_head, .response_head = response_head},
};
