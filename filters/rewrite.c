// Filter URLRewrite of Gateway API: the backend gets another path or host. The request itself stays as it came, for logs and for all that decides by it.
#include "filters/path_change.h"
#include "filters/registry.h"
#include "stream/explanation.h"
#include "stream/stream.h"

static const void *configure(const struct filter_scope *scope, struct pool *pool) {
    (void)pool;
    return scope->destination->rule == NULL ? NULL : scope->destination->rule->rewrite;
}

static void tell(struct stream *stream, const struct route_rewrite *rewrite) {
    struct head head;
    head_copy(&head, stream->request, &stream->pool);
    rewrite_apply(rewrite, &head, &stream->pool);
    explain_text(stream, "host", head.authority);
    explain_text(stream, "path", head.path);
}

static enum filter_result decide(struct stream *stream, const void *config, void *state) {
    (void)state;
    if (stream->explanation != NULL)
        tell(stream, config);
    return FILTER_CONTINUE;
}

static void attempt_head(struct stream *stream, const void *config, void *state, struct head *head, struct pool *pool) {
    (void)stream;
    (void)state;
    rewrite_apply(config, head, pool);
}

const struct filter_type filter_rewrite = {
    .name = "rewrite",
    .configure = configure,
    .ops = {.decide = decide, .attempt_head = attempt_head},
};
