// What a client's connection begins with: where it was going, the PROXY protocol's header, then what is spoken on it, as the configuration says or as its first bytes
// do, and the codec for that. A connection of which the configuration says that it is opaque waits for no byte, so that a server may speak first.
#include "downstream/detect.h"
#include "downstream/proxy_header.h"
#include "downstream/server_conn_private.h"

#include "base/limits.h"
#include "base/log.h"
#include "http/h1_codec.h"
#include "http/raw_codec.h"
#include "net/tcp.h"
#include "upstream/codec_limits.h"

#include <stdio.h>

#define HANDSHAKE_TIMEOUT_NS (10 * NS_PER_S)

// `failure` and `reason` as they stand in the line.
static void log_tls_failed(const struct server_conn *conn, enum log_level level, const char *failure, const char *reason) {
    char peer[ADDRESS_TEXT_MAX];
    const int length = (int)address_print(&conn->address, peer, sizeof peer);
    log_event(level, "client_tls_failed", "listener=%.*s peer=%.*s error=%s reason=\"%s\"", BYTES_FORMAT(conn->listener->name), length, peer, failure,
              reason);
}

// --- what the configuration says ---

enum spoken { SPOKEN_HTTP, SPOKEN_OPAQUE, SPOKEN_UNKNOWN };

static const struct listener_config *config_of(const struct server_conn *conn) {
    return conn->listener->config;
}

static enum app_protocol app_protocol_of(const struct server_conn *conn) {
    const struct listener_config *listener = config_of(conn);
    const struct forward_config *forward = conn->client.destination == NULL ? NULL : listener_forward(listener, &conn->destination.any);
    return forward != NULL ? forward->protocol : listener->app_protocol;
}

static enum spoken spoken_of(const struct server_conn *conn) {
    const enum spoken undecided = listener_detects(config_of(conn)) ? SPOKEN_UNKNOWN : SPOKEN_HTTP;
    if (config_of(conn)->role == ROLE_TCP || gateway_is_opaque(config_of(conn)->gateway))
        return SPOKEN_OPAQUE;
    if (config_of(conn)->role == ROLE_INBOUND) {
        enum app_protocol protocol = app_protocol_of(conn);
        return protocol == APP_PROTOCOL_TCP ? SPOKEN_OPAQUE : protocol == APP_PROTOCOL_AUTO ? undecided : SPOKEN_HTTP;
    }
    if (conn->client.destination == NULL)
        return undecided;
    const struct service_config *service = snapshot_find_destination(conn->listener->bound->snapshot, &conn->destination.any);
    return service == NULL ? undecided : protocol_is_opaque(service->protocol) ? SPOKEN_OPAQUE : SPOKEN_HTTP;
}

// Plain text is all that there is to speak on an Outbound listener for which no TLS was foreseen: TLS is then a bad request.
static bool expects_tls_through(const struct server_conn *conn) {
    return config_of(conn)->role == ROLE_OUTBOUND && (config_of(conn)->transparent || conn->listener->bound->snapshot->tls_hosts.count > 0);
}

// The service that all of an opaque connection is for, whatever is said on it; NULL: not known, or at a gateway.
static const struct service_config *opaque_service_of(const struct server_conn *conn) {
    if (config_of(conn)->role == ROLE_TCP)
        return config_of(conn)->service;
    if (config_of(conn)->role != ROLE_OUTBOUND || conn->client.destination == NULL)
        return NULL;
    return snapshot_find_destination(conn->listener->bound->snapshot, &conn->destination.any);
}

// Where it goes depends on the name in a ClientHello: whatever else comes is of no use, and nobody's server speaks first.
static bool needs_server_name(const struct server_conn *conn) {
    const struct service_config *service = opaque_service_of(conn);
    return gateway_passes_tls(config_of(conn)->gateway) || (service != NULL && service->routes != NULL && service->routes->kind == ROUTES_TLS);
}

static bool is_permissive(const struct server_conn *conn) {
    return config_of(conn)->role == ROLE_INBOUND && config_of(conn)->mtls == MTLS_PERMISSIVE;
}

// Silence, or an early end, may be what its protocol begins with.
static bool may_wait_for_server(const struct server_conn *conn) {
    return spoken_of(conn) != SPOKEN_HTTP && !needs_server_name(conn);
}

// Opaque bytes find their way: there is one application, or the kernel says where they were going.
static bool has_destination(const struct server_conn *conn) {
    return config_of(conn)->role != ROLE_OUTBOUND || conn->client.destination != NULL;
}

// --- codecs ---

static void open_with(struct server_conn *conn, struct codec *codec) {
    const struct downstream *downstream = conn->listener->downstream;
    conn->codec = codec;
    conn->codec->scheme = conn->client.secure ? BYTES("https") : BYTES("http");
    conn->phase = CONN_OPEN;
    conn->awaits_protocol = false;
    conn->idle_since = loop_of(conn)->now;
    if (conn->draining || (downstream->draining && role_is_reached(config_of(conn)->role)))
        server_conn_drain(conn);
    flush_later(conn);
}

// What was read goes to the codec in a turn of its own.
static void go_on(struct server_conn *conn) {
    if (buffer_is_empty(&conn->pending) && !conn->input_ended) {
        conn->transport->ops->read_start(conn->transport);
        return;
    }
    conn->paused = true; // until `pending` was fed
    loop_wake(loop_of(conn), &conn->resume);
}

static void become_http(struct server_conn *conn, bool http2) {
    struct codec_limits codec_limits = codec_limits_of(limits_of(conn), LIMIT_BODY_BEFORE_DECISION);
    struct buffer *out = &conn->transport->out;
    open_with(conn, http2 ? h2_codec_create(CODEC_SERVER, &codec_limits, &server_codec_handler, conn, out, conn->listener->downstream->h2_memory)
                          : h1_codec_create(CODEC_SERVER, &codec_limits, &server_codec_handler, conn, out));
}

static void become_raw(struct server_conn *conn, enum raw_form form) {
    conn->relay_begun_at = loop_of(conn)->now;
    open_with(conn, raw_codec_create(CODEC_SERVER, form, &server_codec_handler, conn, &conn->transport->out));
    raw_codec_begin(conn->codec, conn->server_name);
}

// --- TLS ---

// A caller that may say which protocol it is (ALPN) cannot make opaque what the configuration says is HTTP: rules on requests would be passed by.
static struct tls_protocols protocols_of(const struct server_conn *conn) {
    static const struct bytes edge[] = {BYTES_OF("h2"), BYTES_OF("http/1.1")};
    if (conn->is_edge && gateway_is_opaque(config_of(conn)->gateway))
        return (struct tls_protocols){.takes_any = true}; // what is spoken inside is not ours to say
    if (conn->is_edge)
        return (struct tls_protocols){edge, sizeof edge / sizeof edge[0]};
    static const struct bytes raw[] = {BYTES_OF(ALPN_MESH_TCP)};
    static const struct bytes any[] = {BYTES_OF(ALPN_MESH), BYTES_OF(ALPN_MESH_TCP), BYTES_OF("h2"), BYTES_OF("http/1.1")};
    switch (app_protocol_of(conn)) {
    case APP_PROTOCOL_TCP:
        return (struct tls_protocols){raw, 1};
    case APP_PROTOCOL_AUTO:
        return (struct tls_protocols){any, sizeof any / sizeof any[0]};
    default:
        return (struct tls_protocols){.count = 0};
    }
}

// What the Gateway may no longer use is not shown, though it is still there.
static struct credentials *edge_of(const struct server_conn *conn) {
    return gateway_has_certificates(config_of(conn)->gateway) ? conn->listener->edge : NULL;
}

// A handshake that takes longer is none of a burst, and may be one of a client that says nothing: such keep nobody out.
#define HANDSHAKE_COUNTED_NS NS_PER_S

// At a gateway clients show no certificate, and speak what strangers speak.
static void begin_tls(struct server_conn *conn) {
    struct downstream *downstream = conn->listener->downstream;
    // OpenSSL takes for each about what a stream does, but when the client's bytes come, all at once in a burst: were all begun none could be ended.
    if (downstream->handshakes >= downstream->env->unanswered_max) {
        server_conn_close(conn, ERROR_MEMORY_LIMIT);
        return;
    }
    conn->is_edge = gateway_ends_tls(config_of(conn)->gateway);
    struct credentials *credentials = conn->is_edge ? edge_of(conn) : downstream->credentials;
    if (credentials == NULL) {
        log_tls_failed(conn, LOG_WARN, error_name(ERROR_TLS_FAILED), "no identity yet");
        server_conn_close(conn, ERROR_TLS_FAILED);
        return;
    }
    conn->shakes_hands = true;
    downstream->handshakes++;
    struct tls_server_options options = {
        .credentials = credentials,
        .require_client = !conn->is_edge,
        .protocols = protocols_of(conn),
        .handshake_timeout = HANDSHAKE_TIMEOUT_NS,
        .counters = &downstream->env->upstream->tls_counters,
    };
    conn->phase = CONN_HANDSHAKE;
    conn->awaits_protocol = false;
    loop_timer_start(loop_of(conn), &conn->timer, HANDSHAKE_COUNTED_NS); // in the place of that of first bytes; the handshake has its own
    conn->credentials_generation = credentials_generation(credentials);
    conn->transport = tls_server_create(conn->transport, &options, &conn->pending, &server_conn_transport_events, conn);
    conn->transport->ops->read_start(conn->transport);
}

void server_conn_end_handshake(struct server_conn *conn) {
    if (!conn->shakes_hands)
        return;
    conn->shakes_hands = false;
    loop_timer_stop(loop_of(conn), &conn->timer);
    conn->listener->downstream->handshakes--;
}

static void keep_identity(struct server_conn *conn, const struct spiffe_id *id) {
    const char *reason;
    struct bytes text = bytes_keep(id->text);
    enum error error = spiffe_id_parse(text, &conn->identity, &reason);
    CHECK(error == OK); // the handshake has checked it
    const struct spiffe_id *own = credentials_id(conn->listener->downstream->credentials);
    conn->client.identity = &conn->identity;
    conn->client.is_kin = spiffe_id_same_trust_domain(&conn->identity, own);
    if (config_of(conn)->role != ROLE_INBOUND)
        return;
    // As Envoy writes it, so that applications can read it alike.
    struct bytes ours = own->text;
    char forwarded[2 * SPIFFE_ID_MAX + sizeof "By=;URI="];
    int length = snprintf(forwarded, sizeof forwarded, "By=%.*s;URI=%.*s", BYTES_FORMAT(ours), BYTES_FORMAT(text));
    conn->client.forwarded_cert = bytes_keep(bytes_from(forwarded, (size_t)length));
}

// At a gateway it decides where bytes go, and what requests may be for.
static void keep_server_name(struct server_conn *conn) {
    char name[SERVER_NAME_MAX];
    const struct bytes asked = bytes_from(name, server_name_read(tls_server_name(conn->transport), name));
    const bool has_dot = asked.len > 0 && asked.at[asked.len - 1] == '.'; // the root's, which the handshake has passed over too
    if (asked.len > has_dot)
        conn->server_name = bytes_keep(bytes_from(asked.at, asked.len - has_dot));
}

static void open_secure(struct server_conn *conn) {
    if (conn->is_edge)
        keep_server_name(conn);
    if (conn->is_edge && gateway_is_opaque(config_of(conn)->gateway)) {
        become_raw(conn, RAW_PLAIN);
        return;
    }
    conn->client.server_name = conn->server_name;
    const struct bytes alpn = conn->transport->alpn;
    const bool is_mesh_tcp = bytes_equal(alpn, BYTES(ALPN_MESH_TCP));
    conn->client.mesh = !conn->is_edge && (is_mesh_tcp || bytes_equal(alpn, BYTES(ALPN_MESH)));
    if (is_mesh_tcp || app_protocol_of(conn) == APP_PROTOCOL_TCP)
        become_raw(conn, is_mesh_tcp ? RAW_ANNOUNCED : RAW_PLAIN);
    else
        become_http(conn, conn->client.mesh || bytes_equal(alpn, BYTES("h2")));
}

void server_conn_on_ready(void *user, enum error error) {
    struct server_conn *conn = user;
    CHECK(conn->phase == CONN_HANDSHAKE);
    if (error != OK) {
        log_tls_failed(conn, LOG_INFO, error_name(error), conn->transport->failure == NULL ? "" : conn->transport->failure);
        server_conn_close(conn, error);
        return;
    }
    // The bundle that the client was checked against may have been replaced meanwhile.
    const struct credentials *credentials = conn->listener->downstream->credentials;
    if (!conn->is_edge && conn->credentials_generation != credentials_generation(credentials) &&
        !tls_peer_still_trusted(conn->transport, credentials)) {
        server_conn_close(conn, ERROR_UNAUTHENTICATED);
        return;
    }
    server_conn_end_handshake(conn);
    conn->client.secure = true;
    if (conn->transport->peer_id != NULL)
        keep_identity(conn, conn->transport->peer_id);
    nanoseconds left = tls_peer_left(conn->transport);
    if (left != UINT64_MAX) {
        conn->ends_at = loop_of(conn)->now + left;
        conn->drains_at = conn->ends_at - tls_last_call(left);
        watch_by(conn, conn->drains_at);
    }
    open_secure(conn);
}

// --- first bytes ---

// A server that the client waits for has the word.
static void relay_in_silence(struct server_conn *conn) {
    conn->was_silent = true;
    become_raw(conn, RAW_PLAIN);
    go_on(conn);
}

static void pass_tls_through(struct server_conn *conn, const struct client_hello *hello) {
    metric_add(&metrics_of(conn)->detected_tls, 1);
    conn->server_name = bytes_keep(bytes_from(hello->server_name, hello->server_name_length));
    become_raw(conn, RAW_TLS);
    go_on(conn);
}

static void relay_bytes(struct server_conn *conn) {
    if (needs_server_name(conn)) {
        log_tls_failed(conn, LOG_INFO, error_name(ERROR_BAD_REQUEST), "what came is no TLS");
        server_conn_close(conn, ERROR_BAD_REQUEST);
        return;
    }
    metric_add(&metrics_of(conn)->detected_tcp, 1);
    become_raw(conn, RAW_PLAIN);
    go_on(conn);
}

static void detect_now(struct server_conn *conn) {
    struct bytes in = buffer_front(&conn->pending);
    const enum spoken spoken = spoken_of(conn);
    const struct detect_options options = {
        .tls = is_permissive(conn) || expects_tls_through(conn) || needs_server_name(conn),
        .opaque = spoken == SPOKEN_UNKNOWN && has_destination(conn),
        .no_http = spoken == SPOKEN_OPAQUE,
        .waited = !conn->awaits_protocol,
    };
    struct client_hello hello;
    enum detected detected = detect(in, options, &hello);
    switch (detected) {
    case DETECTED_MORE:
        if (in.len < conn->pending.length)
            server_conn_close(conn, ERROR_BAD_REQUEST); // so little in so many pieces
        return;
    case DETECTED_TLS:
        if (is_permissive(conn) && hello.offers_mesh)
            begin_tls(conn);
        else
            pass_tls_through(conn, &hello);
        return;
    case DETECTED_OPAQUE:
        relay_bytes(conn);
        return;
    case DETECTED_HTTP1:
    case DETECTED_HTTP2:
        metric_add(detected == DETECTED_HTTP1 ? &metrics_of(conn)->detected_http1 : &metrics_of(conn)->detected_http2, 1);
        become_http(conn, detected == DETECTED_HTTP2);
        go_on(conn);
        return;
    }
}

static bool is_known_server_first(const struct server_conn *conn) {
    return server_first_knows(&conn->listener->downstream->server_first, conn->listener->name, &conn->destination, loop_of(conn)->now);
}

// How long the first byte may take, or what is wanted behind those that came with a PROXY header.
static nanoseconds patience_of(const struct server_conn *conn) {
    if (conn->awaits_protocol)
        return config_of(conn)->detection.timeout;
    const bool has_begun = needs_server_name(conn) || !buffer_is_empty(&conn->pending);
    return has_begun ? limits_of(conn)->header_timeout : limits_of(conn)->idle_timeout;
}

// Behind the PROXY protocol's header, if there is one.
static void begin_protocol(struct server_conn *conn) {
    const enum spoken spoken = spoken_of(conn);
    if ((config_of(conn)->role == ROLE_INBOUND && config_of(conn)->mtls == MTLS_STRICT) || gateway_ends_tls(config_of(conn)->gateway)) {
        begin_tls(conn);
        return;
    }
    if (spoken == SPOKEN_OPAQUE && !is_permissive(conn) && !needs_server_name(conn)) {
        become_raw(conn, RAW_PLAIN);
        go_on(conn);
        return;
    }
    if (spoken == SPOKEN_UNKNOWN && !is_permissive(conn) && buffer_is_empty(&conn->pending) && has_destination(conn) && is_known_server_first(conn)) {
        metric_add(&metrics_of(conn)->detected_remembered, 1);
        relay_in_silence(conn);
        return;
    }
    conn->phase = CONN_DETECT;
    conn->awaits_protocol = may_wait_for_server(conn);
    nanoseconds patience = patience_of(conn);
    if (patience > 0)
        timer_start(&loop_of(conn)->timers, &conn->timer, loop_of(conn)->now + patience);
    conn->transport->ops->read_start(conn->transport);
    if (!buffer_is_empty(&conn->pending))
        detect_now(conn);
}

// --- the PROXY protocol ---

static void refuse_header(struct server_conn *conn, const char *reason) {
    metric_add(&metrics_of(conn)->proxy_headers_bad, 1);
    log_event(LOG_INFO, "proxy_header_refused", "listener=%.*s reason=\"%s\"", BYTES_FORMAT(conn->listener->name), reason);
    server_conn_close(conn, ERROR_BAD_REQUEST);
}

static void read_header(struct server_conn *conn) {
    struct proxy_header header;
    switch (proxy_header_read(buffer_front(&conn->pending), &header)) {
    case PROXY_HEADER_MORE:
        return;
    case PROXY_HEADER_BAD:
        refuse_header(conn, "malformed or too long");
        return;
    case PROXY_HEADER_NONE:
        if (config_of(conn)->proxy_protocol == PROXY_PROTOCOL_REQUIRE) {
            refuse_header(conn, "there is none");
            return;
        }
        break;
    case PROXY_HEADER_READ:
        metric_add(&metrics_of(conn)->proxy_headers_read, 1);
        if (header.has_source)
            conn->address = header.source;
        buffer_consume(&conn->pending, header.length);
        break;
    }
    begin_protocol(conn);
}

// --- for server_conn.c ---

void server_conn_on_first_bytes(struct server_conn *conn, struct bytes in) {
    if (buffer_is_empty(&conn->pending) && !conn->awaits_protocol) // whatever was waited for so far
        timer_start(&loop_of(conn)->timers, &conn->timer, loop_of(conn)->now + limits_of(conn)->header_timeout);
    buffer_append(&conn->pending, in); // by copy: behind each other in one block
    if (conn->phase == CONN_HEADER)
        read_header(conn);
    else
        detect_now(conn);
}

// A client that has begun a request, or a ClientHello, waits for nobody: it is slow, and its bytes are no others' for that.
static void stop_waiting_for_protocol(struct server_conn *conn) {
    conn->awaits_protocol = false;
    timer_start(&loop_of(conn)->timers, &conn->timer, loop_of(conn)->now + limits_of(conn)->header_timeout);
    detect_now(conn);
}

bool server_conn_on_silence(struct server_conn *conn) {
    if (conn->phase == CONN_HEADER && conn->awaits_protocol && buffer_is_empty(&conn->pending)) {
        conn->awaits_protocol = false;
        begin_protocol(conn); // a client that waits for its server sends no header either
        return true;
    }
    if (conn->phase != CONN_DETECT || !conn->awaits_protocol)
        return false;
    if (!buffer_is_empty(&conn->pending)) {
        stop_waiting_for_protocol(conn);
        return true;
    }
    const bool closes = config_of(conn)->detection.on_timeout == DETECTION_CLOSE || !has_destination(conn);
    metric_add(closes ? &metrics_of(conn)->detected_closed : &metrics_of(conn)->detected_silent, 1);
    if (closes)
        server_conn_close(conn, ERROR_HEADER_TIMEOUT);
    else
        relay_in_silence(conn);
    return true;
}

bool server_conn_on_early_end(struct server_conn *conn) {
    if (conn->phase != CONN_DETECT || !may_wait_for_server(conn) || buffer_is_empty(&conn->pending) || !has_destination(conn))
        return false;
    become_raw(conn, RAW_PLAIN); // all that it had to say, and no whole request: of that the beginning would have told
    go_on(conn);
    return true;
}

void server_conn_begin(struct server_conn *conn) {
    if (config_of(conn)->proxy_protocol == PROXY_PROTOCOL_DISABLE) {
        begin_protocol(conn);
        return;
    }
    conn->phase = CONN_HEADER;
    conn->awaits_protocol = config_of(conn)->proxy_protocol == PROXY_PROTOCOL_ACCEPT && spoken_of(conn) != SPOKEN_HTTP && !is_permissive(conn);
    nanoseconds patience = conn->awaits_protocol ? config_of(conn)->detection.timeout : limits_of(conn)->header_timeout;
    timer_start(&loop_of(conn)->timers, &conn->timer, loop_of(conn)->now + patience);
    conn->transport->ops->read_start(conn->transport);
}
