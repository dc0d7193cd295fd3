// An agent that is asked by a request like the one it is about, as nginx's auth_request and Traefik's forwardAuth do: GET with its fields, and what it was for in X-Original-* and X-Forwarded-*. See
// agent.h.
#include "filters/agent.h"

#include "http/headers.h"
#include "net/tcp.h"
#include "stream/forwarded_for.h"
#include "stream/stream.h"

// By which a client would say who it is; a gateway has judged them (edge_prepare).
static bool is_of_an_edge(const struct stream *stream, const struct field *field) {
    return stream->listener->role != ROLE_GATEWAY &&
           (field_name_reads_as(field->name, BYTES("forwarded")) || field_name_reads_as(field->name, BYTES("x-real-ip")));
}

// What a request says of its body, and what would make of the agent's answer something else than a decision. Fields by which the agent learns what the request is are ours to set.
static bool is_passed_on(const struct field *field) {
    static const char *const dropped[] = {"content-length",
                                          "content-encoding",
                                          "expect",
                                          "range",
                                          "if-range",
                                          "if-match",
                                          "if-none-match",
                                          "if-modified-since",
                                          "if-unmodified-since",
                                          "x-original-method",
                                          "x-original-uri",
                                          "x-original-url",
                                          "x-forwarded-method",
                                          "x-forwarded-uri",
                                          "x-forwarded-host",
                                          "x-forwarded-proto",
                                          "x-forwarded-for",
                                          "x-forwarded-client-cert"};
    for (size_t i = 0; i < sizeof dropped / sizeof dropped[0]; i++)
        if (field_name_reads_as(field->name, bytes_from_text(dropped[i])))
            return false;
    return true;
}

static void add(struct head *head, struct bytes name, struct bytes value) {
    if (value.len > 0)
        fields_add(&head->fields, name, value);
}

static void add_client(struct stream *stream, struct head *head) {
    const union address *address = stream_client_address(stream);
    char text[ADDRESS_TEXT_MAX];
    if (address != NULL)
        add(head, BYTES("x-forwarded-for"), pool_copy(&stream->pool, bytes_from(text, address_print_ip(address, text, sizeof text))));
    add(head, BYTES("x-forwarded-client-cert"), pool_copy(&stream->pool, stream->client.forwarded_cert));
}

struct head *agent_forward_ask(struct stream *stream, const struct agent_config *agent) {
    const struct head *request = stream->request;
    struct head *head = agent_head(stream, agent, METHOD_GET);
    FIELDS_EACH(&request->fields, field) {
        if (is_passed_on(field) && !is_of_an_edge(stream, field))
            fields_add_as(&head->fields, field->id, field->name, field->value);
    }
    add(head, BYTES("x-original-method"), request->method_text);
    add(head, BYTES("x-original-uri"), request->path);
    add(head, BYTES("x-forwarded-method"), request->method_text);
    add(head, BYTES("x-forwarded-uri"), request->path);
    add(head, BYTES("x-forwarded-host"), agent_host(stream));
    add(head, BYTES("x-forwarded-proto"), request->scheme);
    add_client(stream, head);
    return head;
}

static void copy_named(struct stream *stream, const struct head *head, struct bytes name, struct fields *to) {
    FIELDS_EACH(&head->fields, field) {
        if (bytes_equal_nocase(field->name, name))
            fields_add(to, pool_copy(&stream->pool, name), pool_copy(&stream->pool, field->value));
    }
}

void agent_forward_read(struct stream *stream, const struct agent_config *agent, const struct head *head, struct agent_answer *answer) {
    if (head->status >= 200 && head->status < 300) {
        answer->outcome = AGENT_ALLOWS;
        for (uint32_t i = 0; i < agent->header_count; i++)
            copy_named(stream, head, agent->headers[i], &answer->to_request);
    } else if (head->status >= 300 && head->status < 500) {
        answer->outcome = AGENT_DENIES;
        answer->wants_credentials = head->status == 401;
        answer->reason = pool_format(&stream->pool, "the agent says %u", head->status);
        copy_named(stream, head, BYTES("WWW-Authenticate"), &answer->to_client);
        copy_named(stream, head, BYTES("Location"), &answer->to_client);
    } else {
        agent_fail(answer, pool_format(&stream->pool, "its status is %u", head->status));
    }
}
