// The fields that a request and its response gain and lose on their way, and the choice of protocol toward an endpoint.
#include "stream/forward.h"

#include "base/check.h"
#include "config/authentication_config.h"
#include "config/authorization_config.h"
#include "config/edge_fields.h"
#include "config/policy.h"
#include "http/canonical.h"
#include "http/headers.h"
#include "stream/edge.h"
#include "stream/error_reply.h"
#include "stream/stream.h"
#include "stream/tracing.h"
#include "stream/upgrade.h"
#include "upstream/upstream_conn.h"

// The name that we sign Via with (RFC 9110 section 7.6.3), and how often it may be met: a chain of services that all pass Via on is shorter, a loop is not.
#define PSEUDONYM "outrigger"
#define VIA_MEETINGS_MAX 24

static uint32_t count_meetings(struct bytes via) {
    uint32_t count = 0;
    struct bytes member;
    while (bytes_next(&via, ',', &member))
        count += bytes_ends_with(member, BYTES(" " PSEUDONYM));
    return count;
}

// One member for each proxy that the request has passed. The caller's sidecar adds none of its own to what it sends into the mesh: every field costs there, and
// the far sidecar knows that there was one.
static struct bytes via_of(const struct stream *stream) {
    static const struct bytes alone[] = {BYTES_OF("1.0 " PSEUDONYM), BYTES_OF("1.1 " PSEUDONYM), BYTES_OF("2 " PSEUDONYM)};
    static const struct bytes behind_mesh[] = {BYTES_OF("1.0 " PSEUDONYM ", 2 " PSEUDONYM), BYTES_OF("1.1 " PSEUDONYM ", 2 " PSEUDONYM),
                                               BYTES_OF("2 " PSEUDONYM ", 2 " PSEUDONYM)};
    int version = stream->spoken == HTTP_2 ? 2 : stream->spoken == HTTP_1_1 ? 1 : 0;
    return stream->client.mesh ? behind_mesh[version] : alone[version];
}

// Eight hexadecimal digits, one for each four bits, all at a time: each four bits get a byte of their own, then '0' is added, or for a to f some more.
static uint64_t hex_digits(uint32_t bits) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t digits = bits;
    digits = (digits | digits << 16) & UINT64_C(0x0000ffff0000ffff);
    digits = (digits | digits << 8) & UINT64_C(0x00ff00ff00ff00ff);
    digits = (digits | digits << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    uint64_t letters = (digits + 6 * ones) >> 4 & ones;
    return digits + '0' * ones + letters * ('a' - '0' - 10);
}

// 128 random bits as a UUID of version 4 looks.
static struct bytes make_request_id(struct stream *stream) {
    uint64_t random[2] = {rng_next(&stream->env->loop->rng), rng_next(&stream->env->loop->rng)};
    uint64_t digits[4] = {hex_digits((uint32_t)random[0]), hex_digits((uint32_t)(random[0] >> 32)), hex_digits((uint32_t)random[1]),
                          hex_digits((uint32_t)(random[1] >> 32))};
    char hex[sizeof(digits)];
    memcpy(hex, digits, sizeof(digits));
    hex[12] = '4';
    hex[16] = "89ab"[random[1] & 3];
    char *text = pool_alloc(&stream->pool, 36);
    memcpy(text, hex, 8);
    text[8] = '-';
    memcpy(text + 9, hex + 8, 4);
    text[13] = '-';
    memcpy(text + 14, hex + 12, 4);
    text[18] = '-';
    memcpy(text + 19, hex + 16, 4);
    text[23] = '-';
    memcpy(text + 24, hex + 20, 12);
    return bytes_from(text, 36);
}

// What the caller's application spoke (outrigger-protocol; on the mesh none means 1.1): the far application is spoken to alike.
static enum http_version read_marker(struct bytes value) {
    return bytes_equal(value, BYTES("1.0")) ? HTTP_1_0 : bytes_equal(value, BYTES("2")) ? HTTP_2 : HTTP_1_1;
}

// RFC 9110 section 7.6.2: how often an OPTIONS request may still be forwarded. What is no number says nothing.
static void count_forward(struct stream *stream, struct field *field) {
    uint64_t left;
    if (stream->request->method != METHOD_OPTIONS || !bytes_to_u64(field->value, UINT64_MAX, &left))
        return;
    stream->request_ends_here |= left == 0;
    if (left > 0)
        field->value = pool_format(&stream->pool, "%llu", (unsigned long long)left - 1);
}

// Which fields stay, what is added. Returns how often the request has met a proxy of ours.
static uint32_t prepare_fields(struct stream *stream) {
    struct head *request = stream->request;
    uint32_t meetings = 0;
    bool has_id = false;
    stream->spoken = stream->client.mesh ? HTTP_1_1 : request->version;
    FIELDS_EACH(&request->fields, field) {
        switch (field->id) {
        case FIELD_OUTRIGGER_PROTOCOL:
            if (stream->client.mesh)
                stream->spoken = read_marker(field->value);
            field->removed = true;
            break;
        case FIELD_OUTRIGGER_REFUSED:
        case FIELD_OUTRIGGER_OTHER:
            field->removed = true;
            break;
        case FIELD_X_FORWARDED_CLIENT_CERT:
            field->removed = true; // never passed on from a client: set from the handshake alone
            break;
        case FIELD_X_REQUEST_ID:
            has_id = true;
            break;
        case FIELD_VIA:
            meetings += count_meetings(field->value);
            break;
        case FIELD_MAX_FORWARDS:
            count_forward(stream, field);
            break;
        default:
            break;
        }
    }
    if (!has_id)
        fields_add_known(&request->fields, FIELD_X_REQUEST_ID, make_request_id(stream));
    request->as_http_1_0 = stream->client.mesh && stream->spoken == HTTP_1_0;
    request->title_case = stream->client.mesh && stream->spoken != HTTP_2;
    if (stream->client.forwarded_cert.len > 0)
        fields_add_known(&request->fields, FIELD_X_FORWARDED_CLIENT_CERT, stream->client.forwarded_cert);
    return meetings;
}

enum error forward_prepare(struct stream *stream) {
    struct head *request = stream->request;
    enum error error = canonical_path(request->path, &stream->pool, &request->path);
    if (error != OK)
        return error;
    forwarded_for_read(stream);
    if (stream->listener->role == ROLE_GATEWAY)
        edge_prepare(stream);
    return prepare_fields(stream) >= VIA_MEETINGS_MAX ? ERROR_LOOP : OK;
}

static bool is_of_the_mesh(enum field_id id) {
    return id == FIELD_OUTRIGGER_PROTOCOL || id == FIELD_OUTRIGGER_REFUSED || id == FIELD_OUTRIGGER_OTHER;
}

// What may not be said in a head may not be said behind it: some servers put the two together.
static bool may_trail(const struct stream *stream, const struct field *field) {
    if (is_of_the_mesh(field->id) || field->id == FIELD_X_FORWARDED_CLIENT_CERT)
        return false;
    return stream->listener->role != ROLE_GATEWAY || !edge_field_is_guarded(field->name);
}

// Those that `may` pass; NULL: none.
static const struct fields *sift(struct stream *stream, const struct fields *trailers, bool (*may)(const struct stream *, const struct field *)) {
    uint32_t kept = 0;
    uint32_t all = 0;
    FIELDS_EACH(trailers, field) {
        all++;
        kept += may(stream, field);
    }
    if (kept == 0 || kept == all)
        return kept == 0 ? NULL : trailers;
    struct fields *rest = pool_alloc_zeroed(&stream->pool, sizeof *rest);
    fields_copy(rest, trailers, &stream->pool);
    FIELDS_EACH(rest, field)
        field->removed = !may(stream, field);
    return rest;
}

const struct fields *forward_trailers(struct stream *stream, const struct fields *trailers) {
    return sift(stream, trailers, may_trail);
}

// What a filter sets from a token or an agent's answer, and takes off whoever sent it. Once the documents are gone nobody knows the names any more: then it may be any.
static bool is_set_by(const struct filter *filter, struct bytes name) {
    switch (filter->type->policy) {
    case POLICY_AUTHENTICATION:
        return !filter->is_dry_run && (filter->policy == NULL || authentication_takes_off(filter->policy->config, name));
    case POLICY_AUTHORIZATION:
        return !filter->is_dry_run && (filter->policy == NULL || authorization_takes_off(filter->policy->config, name));
    default:
        return false;
    }
}

static bool is_a_client_s(const struct stream *stream, const struct field *field) {
    const struct chain *chain = stream->filters.chain;
    for (uint32_t i = 0; chain != NULL && i < chain->count; i++)
        if (is_set_by(&chain->filters[i], field->name))
            return false;
    return true;
}

const struct fields *forward_request_trailers(struct stream *stream) {
    if (stream->request_trailers != NULL)
        stream->request_trailers = sift(stream, stream->request_trailers, is_a_client_s);
    return stream->request_trailers;
}

enum pool_kind forward_pool_kind(const struct stream *stream, const struct endpoint *endpoint) {
    if (stream->request->opaque)
        return POOL_RAW;
    switch (stream->destination->config->service->protocol) {
    case PROTOCOL_HTTP2:
    case PROTOCOL_GRPC:
        return POOL_HTTP2;
    case PROTOCOL_HTTP1:
        return POOL_HTTP1;
    case PROTOCOL_HTTP:
    case PROTOCOL_TCP: // no HTTP request is led to these
    case PROTOCOL_TLS:
        break;
    }
    if (stream->asks_tunnel && (endpoint->peer->tls == TLS_NONE || endpoint->links->upgrades_by_http1))
        return POOL_HTTP1;
    // What a peer speaks is learnt from a TLS handshake alone: without one it is HTTP/1.1, but for gRPC, which has no other form than HTTP/2.
    return endpoint->peer->tls != TLS_NONE || stream->request_is_grpc ? POOL_HTTP2 : POOL_HTTP1;
}

void forward_attempt_head(struct attempt *attempt, const struct upstream_conn *conn) {
    struct stream *stream = attempt->stream;
    attempt->mesh = conn->mesh;
    if (stream->request->opaque)
        return;
    head_copy(&attempt->head, stream->request, &attempt->pool);
    if (attempt->endpoint->peer->tls == TLS_SIMPLE)
        attempt->head.scheme = BYTES("https"); // servers look whether it is what the connection is (RFC 9113 section 8.3.1)
    if (stream->asks_tunnel)
        upgrade_attempt_head(attempt, conn->codec->version);
    if (!conn->mesh)
        fields_add_known(&attempt->head.fields, FIELD_VIA, via_of(stream));
    else if (stream->spoken != HTTP_1_1)
        fields_add_known(&attempt->head.fields, FIELD_OUTRIGGER_PROTOCOL, stream->spoken == HTTP_2 ? BYTES("2") : BYTES("1.0"));
    if (stream->tracing != NULL)
        tracing_tell(attempt);
    chain_attempt_head(stream, &stream->filters, &attempt->head, &attempt->pool);
    chain_attempt_head(stream, &attempt->filters, &attempt->head, &attempt->pool);
}

void forward_response_head(struct stream *stream, struct attempt *attempt) {
    struct head *head = &attempt->up.codec_stream.head;
    if (head->opaque)
        return;
    // Over the mesh's HTTP/2 names are in lower case: an HTTP/1 application gets them back in the form it knows.
    head->title_case = attempt->mesh && head->version == HTTP_2 && stream->request->version != HTTP_2;
    if (head->status == 101)
        upgrade_response_head(stream, attempt);
    const bool tells = error_reply_tells(stream);
    FIELDS_EACH(&head->fields, field) {
        if (attempt->mesh && field->id == FIELD_OUTRIGGER_REFUSED)
            stream->detail = field->value;
        if (is_of_the_mesh(field->id) || (field->id == FIELD_PROXY_STATUS && !tells))
            field->removed = true;
    }
}
