// Two ends of TLS over a pair of transports without sockets, and what each of them saw, for tests of net/tls.
#ifndef TESTS_TLS_DRIVE_H
#define TESTS_TLS_DRIVE_H

#include "base/check.h"
#include "base/pool.h"
#include "net/tls.h"
#include "net/tls_counters.h"
#include "net/tls_private.h"
#include "support/check_loop.h"
#include "support/fake_transport.h"
#include "support/test_ca.h"

#include <stdlib.h>

#define SERVER_ID "spiffe://school.local/ns/school/sa/courses"
#define CLIENT_ID "spiffe://school.local/ns/school/sa/frontend"

struct tls_end {
    struct transport *tls; // NULL once closed
    struct fake_peer *lower;
    struct tls_counters counters;
    enum error ready_error;
    enum error ended_error; // the last
    unsigned ready, ended, drained, closed;
    char *received;
    size_t received_length;
    char failure[256];
    bool read_at_once;  // read_start in `ready`
    bool stop_in_bytes; // read_stop in `bytes`
    bool close_when_ready, close_when_bytes, close_when_ended, close_when_drained;
    struct block *kept; // with keep_block: a reference to what was delivered last
    struct bytes kept_bytes;
    bool keep_block;
};

static inline nanoseconds tls_at_epoch(void) {
    return 0;
}

// When the peer's leaf ends, seconds since 1970: what is left of it there.
static inline int64_t tls_peer_end_s(struct transport *tls) {
    struct credentials *credentials = tls_of(tls)->credentials;
    nanoseconds (*wall_clock)(void) = credentials->wall_clock;
    credentials->wall_clock = tls_at_epoch;
    nanoseconds left = tls_peer_left(tls);
    credentials->wall_clock = wall_clock;
    return (int64_t)(left / NS_PER_S);
}

static inline void tls_end_note_failure(struct tls_end *end) {
    const char *text = end->tls->failure;
    snprintf(end->failure, sizeof(end->failure), "%s", text == NULL ? "" : text);
}

static inline void tls_end_close(struct tls_end *end, bool reset) {
    struct transport *tls = end->tls;
    end->tls = NULL;
    if (tls != NULL)
        tls->ops->close(tls, reset);
}

static inline void tls_end_on_ready(void *user, enum error error) {
    struct tls_end *end = user;
    end->ready++;
    end->ready_error = error;
    tls_end_note_failure(end);
    if (error == OK && end->read_at_once)
        end->tls->ops->read_start(end->tls);
    if (end->close_when_ready)
        tls_end_close(end, false);
}

static inline void tls_end_on_bytes(void *user, struct block *block, struct bytes in) {
    struct tls_end *end = user;
    CHECK(in.len > 0 && in.at >= block->bytes && in.at + in.len <= block->bytes + block->filled);
    end->received = realloc(end->received, end->received_length + in.len);
    memcpy(end->received + end->received_length, in.at, in.len);
    end->received_length += in.len;
    if (end->keep_block) {
        if (end->kept != NULL)
            block_unref(end->kept);
        end->kept = block_ref(block);
        end->kept_bytes = in;
    }
    if (end->stop_in_bytes)
        end->tls->ops->read_stop(end->tls);
    if (end->close_when_bytes)
        tls_end_close(end, false);
}

static inline void tls_end_on_ended(void *user, enum error error) {
    struct tls_end *end = user;
    end->ended++;
    end->ended_error = error;
    tls_end_note_failure(end);
    if (end->close_when_ended)
        tls_end_close(end, false);
}

static inline void tls_end_on_drained(void *user) {
    struct tls_end *end = user;
    end->drained++;
    if (end->close_when_drained)
        tls_end_close(end, false);
}

static inline void tls_end_on_closed(void *user) {
    struct tls_end *end = user;
    end->closed++;
}

static const struct transport_handler tls_end_handler = {
    .ready = tls_end_on_ready,
    .bytes = tls_end_on_bytes,
    .ended = tls_end_on_ended,
    .drained = tls_end_on_drained,
    .closed = tls_end_on_closed,
};

static inline struct credentials *tls_make_credentials(const struct test_identity *identity, const struct test_identity *bundle,
                                                       const struct test_identity *bundle_more, struct ticket_keys *keys, uint64_t generation) {
    char *certificate = test_certificates_pem(identity, NULL);
    char *key = test_key_pem(identity);
    char *roots = test_certificates_pem(bundle, bundle_more, NULL);
    char reason[256];
    struct credentials *credentials = NULL;
    if (credentials_create(bytes_from_text(certificate), bytes_from_text(key), bytes_from_text(roots), keys, generation, test_now_s(), &credentials,
                           reason, sizeof(reason)) != OK)
        fprintf(stderr, "credentials: %s\n", reason);
    CHECK(credentials != NULL);
    free(certificate);
    free(key);
    free(roots);
    return credentials;
}

// An identity made for one credentials object.
static inline struct credentials *tls_issue_credentials(const char *id, const struct test_identity *root, struct ticket_keys *keys) {
    struct test_identity identity = test_svid(id, root);
    struct credentials *credentials = tls_make_credentials(&identity, root, NULL, keys, 1);
    test_identity_free(&identity);
    return credentials;
}

struct tls_pair {
    struct check_loop check;
    struct tls_end client, server;
    struct tls_client_options client_options; // credentials are borrowed
    struct tls_server_options server_options;
    struct spiffe_id expected; // of the text
    char expected_text[128];
};

static inline void tls_pair_expect(struct tls_pair *pair, const struct credentials *server) {
    const struct spiffe_id *id = credentials_id(server);
    const char *reason;
    CHECK(id->text.len <= sizeof(pair->expected_text));
    memcpy(pair->expected_text, id->text.at, id->text.len);
    CHECK(spiffe_id_parse(bytes_from(pair->expected_text, id->text.len), &pair->expected, &reason) == OK);
}

static inline void tls_pair_init(struct tls_pair *pair, struct credentials *client, struct credentials *server) {
    *pair = (struct tls_pair){.client = {.read_at_once = true}, .server = {.read_at_once = true}};
    check_loop_init(&pair->check);
    tls_pair_expect(pair, server);
    pair->client_options =
        (struct tls_client_options){.credentials = client, .identities = &pair->expected, .identity_count = 1, .counters = &pair->client.counters};
    pair->server_options = (struct tls_server_options){.credentials = server, .require_client = true, .counters = &pair->server.counters};
}

// Makes both ends; nothing has run yet.
static inline void tls_pair_begin(struct tls_pair *pair, const struct fake_options *options) {
    struct fake_peer *peers[2];
    const struct transport_handler *const handlers[2] = {NULL, NULL};
    void *const users[2] = {NULL, NULL};
    fake_pair_create(&pair->check.loop, options, handlers, users, peers);
    pair->client.lower = peers[0];
    pair->server.lower = peers[1];
    pair->server.tls = tls_server_create(peers[1]->transport, &pair->server_options, NULL, &tls_end_handler, &pair->server);
    pair->client.tls = tls_client_create(peers[0]->transport, &pair->client_options, &tls_end_handler, &pair->client);
    CHECK(pair->client.ready == 0 && pair->server.ready == 0);
}

static inline void tls_end_forget(struct tls_end *end) {
    if (end->kept != NULL)
        block_unref(end->kept);
    free(end->received);
    fake_peer_destroy(end->lower);
    bool read_at_once = end->read_at_once;
    struct tls_counters counters = end->counters;
    *end = (struct tls_end){.read_at_once = read_at_once, .counters = counters};
}

// Closes what is open and forgets the connection; another may begin.
static inline void tls_pair_end(struct tls_pair *pair) {
    tls_end_close(&pair->client, false);
    tls_end_close(&pair->server, false);
    check_loop_settle(&pair->check);
    CHECK(pair->client.closed == 1 && pair->server.closed == 1);
    tls_end_forget(&pair->client);
    tls_end_forget(&pair->server);
}

static inline void tls_pair_dispose(struct tls_pair *pair) {
    check_loop_dispose(&pair->check);
}

static inline void tls_end_send(struct tls_end *end, struct bytes text) {
    buffer_append(&end->tls->out, text);
    end->tls->ops->flush(end->tls);
}

static inline bool tls_end_got(const struct tls_end *end, struct bytes text) {
    return bytes_equal(bytes_from(end->received, end->received_length), text);
}

#endif
