// What all types of agents have alike: the head that leads to one, and an answer that is none.
#include "filters/agent.h"

#include "config/url_service.h"
#include "http/canonical.h"
#include "http/headers.h"

struct head *agent_head(struct stream *stream, const struct agent_config *agent, enum http_method method) {
    struct head *head = pool_alloc_zeroed(&stream->pool, sizeof *head);
    head_init(head, &stream->pool);
    head->version = HTTP_1_1;
    head->method = method;
    head->method_text = method_text(method);
    head->scheme = agent->url->is_https ? BYTES("https") : BYTES("http");
    head->authority = agent->url->authority;
    head->path = agent->url->path;
    head->content_length = -1;
    return head;
}

struct bytes agent_host(struct stream *stream) {
    const struct head *request = stream->request;
    return authority_is_valid(request->authority) ? canonical_authority(request->authority, request->scheme, &stream->pool) : request->authority;
}

void agent_fail(struct agent_answer *answer, struct bytes reason) {
    answer->outcome = AGENT_FAILS;
    FIELDS_EACH(&answer->to_request, field)
        field->removed = true; // of half an answer nothing counts
    answer->reason = reason;
}
