// Filter RequestRedirect of Gateway API: the answer leads the client elsewhere.
#include "filters/path_change.h"
#include "filters/registry.h"
#include "config/value.h"
#include "http/canonical.h"
#include "http/headers.h"
#include "stream/stream.h"

static const void *configure(const struct filter_scope *scope, struct pool *pool) {
    (void)pool;
    return scope->destination->rule == NULL ? NULL : scope->destination->rule->redirect;
}

static bool is_of_scheme(struct bytes scheme, struct bytes port) {
    return bytes_equal(port, bytes_equal(scheme, BYTES("https")) ? BYTES("443") : BYTES("80"));
}

// The port that Location names; empty: that of the scheme. One that is said counts, then that of a scheme that is said, then the request's, or at a gateway that of its listener.
static struct bytes port_of(const struct route_redirect *redirect, struct bytes scheme, struct bytes requested, struct pool *pool) {
    struct bytes port = redirect->port != 0 ? pool_format(pool, "%u", redirect->port) : redirect->scheme.len > 0 ? BYTES_NONE : requested;
    return port.len == 0 || is_of_scheme(scheme, port) ? BYTES_NONE : pool_format(pool, ":%.*s", BYTES_FORMAT(port));
}

static struct bytes location_of(const struct route_redirect *redirect, const struct stream *stream, struct pool *pool) {
    const struct head *request = stream->request;
    struct bytes scheme = redirect->scheme.len > 0 ? redirect->scheme : stream->client.secure ? BYTES("https") : BYTES("http");
    struct bytes path = bytes_equal(request->path, BYTES("*")) ? BYTES("/") : path_change_apply(&redirect->path, request->path, pool);
    struct bytes host = BYTES_NONE, port = BYTES_NONE;
    if (request->authority.len > 0)
        authority_split(request->authority, &host, &port);
    if (stream->listener->role == ROLE_GATEWAY)
        port = pool_format(pool, "%u", address_port(&stream->listener->address));
    if (redirect->hostname.len > 0)
        host = redirect->hostname;
    if (host.len ==
        0) { // an HTTP/1.0 client that named no host: relative to what it asked (RFC 9110 section 10.2.2), where two slashes would begin a host
        while (path.len > 1 && path.at[1] == '/')
            path = bytes_from(path.at + 1, path.len - 1);
        return path;
    }
    struct bytes with_port = port_of(redirect, scheme, port, pool);
    return pool_format(pool, "%.*s://%.*s%.*s%.*s", BYTES_FORMAT(scheme), BYTES_FORMAT(host), BYTES_FORMAT(with_port), BYTES_FORMAT(path));
}

static enum filter_result decide(struct stream *stream, const void *config, void *state) {
    (void)state;
    const struct route_redirect *redirect = config;
    struct head *head = pool_alloc_zeroed(&stream->pool, sizeof *head);
    head_init(head, &stream->pool);
    head->status = redirect->status;
    head->content_length = 0;
    fields_add(&head->fields, BYTES("Location"), location_of(redirect, stream, &stream->pool));
    stream_reply(stream, head, NULL, NULL, BYTES("redirect"));
    return FILTER_REPLIED;
}

const struct filter_type filter_redirect = {
    .name = "redirect",
    .configure = configure,
    .ops = {.decide = decide},
};
