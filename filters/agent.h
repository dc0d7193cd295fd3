// Agents that decide about requests in the place of rules: how each type is asked, and what its answer means. Who asks, and waits, is external_authorization.c.
#ifndef FILTERS_AGENT_H
#define FILTERS_AGENT_H

#include "config/authorization_config.h"
#include "stream/subrequest.h"

// An answer is a few words, or a few fields.
#define AGENT_ANSWER_BYTES_MAX (64 * 1024)

enum agent_outcome {
    AGENT_ALLOWS,
    AGENT_DENIES,
    AGENT_FAILS // what came is no decision
};

// In the pool of the stream that it is about.
struct agent_answer {
    enum agent_outcome outcome;
    bool wants_credentials;   // DENIES: 401 in the place of 403
    struct bytes reason;      // DENIES, FAILS: in few words
    struct fields to_request; // ALLOWS: take the place of those of the request
    struct fields to_client;  // DENIES: of the reply
};

// The head and body of the question about the stream's request, in its pool; `body` is an empty buffer.
struct head *agent_opa_ask(struct stream *stream, const struct agent_config *agent, struct buffer *body);
struct head *agent_forward_ask(struct stream *stream, const struct agent_config *agent);

// What came, whole: any status, any bytes.
void agent_opa_read(struct stream *stream, const struct agent_config *agent, const struct head *head, struct buffer *body,
                    struct agent_answer *answer);
void agent_forward_read(struct stream *stream, const struct agent_config *agent, const struct head *head, struct agent_answer *answer);

// For both: a head without fields, that leads to the agent.
struct head *agent_head(struct stream *stream, const struct agent_config *agent, enum http_method method);

// The host that the request is for, in the one form that rules compare.
struct bytes agent_host(struct stream *stream);

// For all: it is no decision, since ...
void agent_fail(struct agent_answer *answer, struct bytes reason);

#endif
