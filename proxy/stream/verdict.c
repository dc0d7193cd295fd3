// What becomes of a verdict: the reply of errors.md, or a word in the access log.
#include "stream/verdict.h"

#include "base/check.h"
#include "stream/stream.h"

// "RateLimitPolicy/school/auth: login: rate_limited, ..." for the access log.
static void tell_dry_run(struct stream *stream, const struct policy *policy, const struct verdict *verdict) {
    stream->dry_run = pool_format(&stream->pool, "%.*s%s%.*s: %.*s: %s", BYTES_FORMAT(stream->dry_run), stream->dry_run.len > 0 ? ", " : "",
                                  BYTES_FORMAT(policy->label), BYTES_FORMAT(verdict->rule), error_name(verdict->end));
}

enum filter_result verdict_refuse(struct stream *stream, const struct verdict *verdict) {
    const struct filter *filter = stream->filters.asked;
    CHECK(filter != NULL && filter->policy != NULL && verdict->end != OK);
    atomic_fetch_add_explicit(&verdict->state->refusals, 1, memory_order_relaxed);
    if (filter->policy->is_dry_run) {
        tell_dry_run(stream, filter->policy, verdict);
        return FILTER_CONTINUE;
    }
    stream->policy = pool_format(&stream->pool, "%.*s: %.*s", BYTES_FORMAT(filter->policy->label), BYTES_FORMAT(verdict->rule));
    stream->refusal = (struct refusal){.rule = verdict->rule, .retry_after = verdict->retry_after, .fields = verdict->fields};
    stream_fail(stream, verdict->end, verdict->reason);
    return FILTER_REPLIED;
}
