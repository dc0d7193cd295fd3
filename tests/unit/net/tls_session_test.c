// Resumption: what a ticket is good for, and above all what it is not. (Libraries' facts on OpenSSL, threat 24.)
#include "net/tls.h"

#include "net/tls_private.h"
#include "net/tls_ticket_keys.h"
#include "tls_stranger.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct test_identity root;
static struct test_identity client_identity, server_identity;
static struct ticket_keys *keys;

static const struct bytes http1[] = {{"http/1.1", 8}};

static int set_up(void **state) {
    (void)state;
    root = test_root("spiffe://school.local");
    client_identity = test_svid(CLIENT_ID, &root);
    server_identity = test_svid(SERVER_ID, &root);
    keys = ticket_keys_create();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    ticket_keys_destroy(keys);
    test_identity_free(&client_identity);
    test_identity_free(&server_identity);
    test_identity_free(&root);
    return 0;
}

static struct credentials *make(const struct test_identity *identity, const struct test_identity *bundle_more) {
    return tls_make_credentials(identity, &root, bundle_more, keys, 1);
}

// A client of ours that speaks HTTP/1.1 with a server of ours, as strangers do: where sessions are resumed at all.
static void begin_with(struct tls_pair *pair, struct credentials *client, struct credentials *server) {
    tls_pair_init(pair, client, server);
    pair->client_options.protocols = (struct tls_protocols){http1, 1};
    pair->client_options.session_key = BYTES("10.0.0.5:15006 courses");
}

static void begin(struct tls_pair *pair) {
    begin_with(pair, make(&client_identity, NULL), make(&server_identity, NULL));
}

static void end(struct tls_pair *pair) {
    credentials_unref(pair->client_options.credentials);
    credentials_unref(pair->server_options.credentials);
    tls_pair_dispose(pair);
}

static void replace(struct credentials **credentials, struct credentials *next) {
    credentials_unref(*credentials);
    *credentials = next;
}

// One connection with a request, its answer and a ticket. Whether it was resumed, which both ends must agree on.
static bool connect_once(struct tls_pair *pair) {
    tls_pair_begin(pair, NULL);
    check_loop_settle(&pair->check);
    assert_int_equal(pair->client.ready_error, OK);
    assert_int_equal(pair->server.ready_error, OK);
    bool resumed = tls_was_resumed(pair->server.tls);
    assert_int_equal(tls_was_resumed(pair->client.tls), resumed);
    assert_true(bytes_equal(pair->client.tls->peer_id->text, BYTES(SERVER_ID)));
    assert_true(bytes_equal(pair->server.tls->peer_id->text, BYTES(CLIENT_ID)));
    tls_end_send(&pair->client, BYTES("request"));
    check_loop_settle(&pair->check);
    tls_end_send(&pair->server, BYTES("response"));
    tls_send_ticket(pair->server.tls);
    check_loop_settle(&pair->check);
    assert_true(tls_end_got(&pair->client, BYTES("response")));
    tls_pair_end(pair);
    return resumed;
}

static uint64_t tickets(const struct tls_pair *pair) {
    return metric_read(&pair->server.counters.tickets);
}

static void a_session_is_resumed_with_the_same_identities(void **state) {
    (void)state;
    struct tls_pair pair;
    begin(&pair);
    assert_false(connect_once(&pair));
    for (int i = 0; i < 5; i++)
        assert_true(connect_once(&pair));
    assert_int_equal(metric_read(&pair.server.counters.server.resumed), 5);
    assert_int_equal(metric_read(&pair.client.counters.client.resumed), 5);
    assert_int_equal(metric_read(&pair.server.counters.server.handshakes), 6);

    tls_pair_begin(&pair, NULL);
    check_loop_settle(&pair.check);
    assert_int_equal(tls_peer_end_s(pair.server.tls), credentials_not_after(pair.client_options.credentials));
    assert_int_equal(tls_peer_end_s(pair.client.tls), credentials_not_after(pair.server_options.credentials));
    assert_true(tls_peer_still_trusted(pair.server.tls, pair.server_options.credentials));
    assert_true(tls_peer_still_trusted(pair.client.tls, pair.client_options.credentials));
    tls_pair_end(&pair);
    end(&pair);
}

static bool thread_has_its_usual_library(void) {
    return OSSL_LIB_CTX_set0_default(NULL) == OSSL_LIB_CTX_get0_global_default();
}

// Changes the last byte of the ticket that the client is about to offer.
static void spoil_offered_ticket(struct tls_pair *pair) {
    SSL *ssl = tls_of(pair->client.tls)->ssl;
    const unsigned char *ticket;
    size_t length;
    SSL_SESSION_get0_ticket(SSL_get0_session(ssl), &ticket, &length);
    unsigned char *der = NULL;
    int size = i2d_SSL_SESSION(SSL_get0_session(ssl), &der);
    assert_true(size > 0 && length > 0);
    unsigned char *found = memmem(der, (size_t)size, ticket, length);
    assert_non_null(found);
    found[length - 1] ^= 1;
    const unsigned char *at = der;
    SSL_SESSION *spoilt = d2i_SSL_SESSION(NULL, &at, size);
    assert_int_equal(SSL_set_session(ssl, spoilt), 1);
    SSL_SESSION_free(spoilt);
    OPENSSL_free(der);
}

// Tickets are sealed and opened with another library context; whatever is in them, the thread has its own again behind it, and a bad one means a full handshake.
static void a_ticket_good_or_bad_leaves_the_thread_as_it_was(void **state) {
    (void)state;
    struct tls_pair pair;
    begin(&pair);
    assert_false(connect_once(&pair));
    assert_int_equal(tickets(&pair), 1);
    assert_true(thread_has_its_usual_library());
    for (int spoilt = 0; spoilt < 2; spoilt++) {
        tls_pair_begin(&pair, NULL);
        if (spoilt == 1)
            spoil_offered_ticket(&pair);
        check_loop_settle(&pair.check);
        assert_int_equal(pair.server.ready_error, OK);
        assert_int_equal(tls_was_resumed(pair.server.tls), spoilt == 0);
        assert_true(thread_has_its_usual_library());
        tls_pair_end(&pair);
    }
    end(&pair);
}

static nanoseconds half_an_hour_later(void) {
    return clock_wall_ns() + 1801 * NS_PER_S;
}

static void a_ticket_is_renewed_in_the_second_half_of_its_life(void **state) {
    (void)state;
    struct tls_pair pair;
    begin(&pair);
    for (int i = 0; i < 4; i++)
        assert_int_equal(connect_once(&pair), i > 0);
    assert_int_equal(tickets(&pair), 1);
    pair.server_options.credentials->wall_clock = half_an_hour_later;
    assert_true(connect_once(&pair));
    assert_int_equal(tickets(&pair), 2);
    assert_true(connect_once(&pair));
    assert_int_equal(tickets(&pair), 2);
    // Without a client's certificate a ticket is cheap, and always given.
    pair.server_options.require_client = false;
    for (int i = 0; i < 3; i++) {
        tls_pair_begin(&pair, NULL);
        check_loop_settle(&pair.check);
        assert_int_equal(tls_was_resumed(pair.server.tls), i > 0);
        tls_send_ticket(pair.server.tls);
        check_loop_settle(&pair.check);
        tls_pair_end(&pair);
    }
    assert_int_equal(tickets(&pair), 5);
    end(&pair);
}

static void no_ticket_is_part_of_a_handshake(void **state) {
    (void)state;
    struct tls_pair pair;
    begin(&pair);
    tls_pair_begin(&pair, NULL);
    check_loop_settle(&pair.check);
    uint64_t after_handshake = pair.server.lower->transport->bytes_out;
    tls_end_send(&pair.client, BYTES("request"));
    check_loop_settle(&pair.check);
    assert_int_equal(pair.server.lower->transport->bytes_out, after_handshake);
    tls_send_ticket(pair.server.tls);
    check_loop_settle(&pair.check);
    uint64_t after_ticket = pair.server.lower->transport->bytes_out;
    assert_true(after_ticket > after_handshake + 500); // with the client's leaf in it
    tls_send_ticket(pair.server.tls);                  // one is enough
    tls_send_ticket(pair.client.tls);                  // a client sends none
    check_loop_settle(&pair.check);
    assert_int_equal(pair.server.lower->transport->bytes_out, after_ticket);
    assert_int_equal(tickets(&pair), 1);
    tls_pair_end(&pair);
    end(&pair);
}

// What comes before the handshake is done may be a replay (RFC 8470): no ticket allows it, and a client that sends it all the same is not heard.
static void early_data_is_never_taken(void **state) {
    (void)state;
    struct credentials *credentials = make(&server_identity, NULL);
    SSL_SESSION *session = NULL;
    for (int early = 0; early < 2; early++) {
        struct check_loop check;
        struct tls_end ours = {.read_at_once = true};
        struct stranger stranger;
        check_loop_init(&check);
        stranger_init(&stranger, false, &client_identity, NULL);
        struct fake_peer *peer = fake_peer_create(&check.loop, NULL, NULL, NULL);
        struct tls_server_options options = {.credentials = credentials, .require_client = true, .counters = &ours.counters};
        ours.lower = peer;
        ours.tls = tls_server_create(peer->transport, &options, NULL, &tls_end_handler, &ours);
        stranger_begin(&stranger, false, peer);
        if (early) {
            size_t written;
            assert_int_equal(SSL_SESSION_set_max_early_data(session, 1000), 1);
            assert_int_equal(SSL_set_session(stranger.ssl, session), 1);
            assert_int_equal(SSL_write_early_data(stranger.ssl, "early", 5, &written), 1);
        }
        stranger_meet(&stranger, &check);
        assert_int_equal(ours.ready_error, OK);
        assert_int_equal(tls_was_resumed(ours.tls), early);
        assert_int_equal(SSL_get_early_data_status(stranger.ssl), early ? SSL_EARLY_DATA_REJECTED : SSL_EARLY_DATA_NOT_SENT);
        SSL_write(stranger.ssl, "late", 4);
        stranger_meet(&stranger, &check);
        assert_true(tls_end_got(&ours, BYTES("late")));
        tls_send_ticket(ours.tls);
        stranger_meet(&stranger, &check);
        if (!early) {
            assert_int_equal(stranger.sessions, 1);
            assert_int_equal(SSL_SESSION_get_max_early_data(stranger.session), 0);
            session = SSL_SESSION_dup(stranger.session);
        }
        tls_end_close(&ours, false);
        check_loop_settle(&check);
        tls_end_forget(&ours);
        stranger_end(&stranger);
        check_loop_dispose(&check);
    }
    SSL_SESSION_free(session);
    credentials_unref(credentials);
}

static void connections_of_the_mesh_get_no_ticket(void **state) {
    (void)state;
    struct tls_pair pair;
    begin(&pair);
    pair.client_options.protocols.count = 0;
    assert_false(connect_once(&pair));
    assert_false(connect_once(&pair));
    assert_int_equal(tickets(&pair), 0);
    end(&pair);
}

static void sessions_are_kept_by_their_key(void **state) {
    (void)state;
    struct tls_pair pair;
    begin(&pair);
    assert_false(connect_once(&pair));
    pair.client_options.session_key = BYTES("10.0.0.6:15006 courses");
    assert_false(connect_once(&pair));
    assert_true(connect_once(&pair));
    pair.client_options.session_key = BYTES("10.0.0.5:15006 courses");
    assert_true(connect_once(&pair));
    pair.client_options.session_key = BYTES_NONE; // nobody wants it kept
    assert_false(connect_once(&pair));
    assert_false(connect_once(&pair));
    end(&pair);
}

static void a_session_is_not_offered_where_another_peer_is_expected(void **state) {
    (void)state;
    struct tls_pair pair;
    begin(&pair);
    assert_false(connect_once(&pair));
    tls_pair_expect(&pair, pair.client_options.credentials);
    tls_pair_begin(&pair, NULL);
    check_loop_settle(&pair.check);
    assert_int_equal(pair.client.ready_error, ERROR_IDENTITY_MISMATCH);
    tls_pair_end(&pair);
    end(&pair);
}

static void the_sessions_kept_are_bounded_and_the_least_used_goes_first(void **state) {
    (void)state;
    struct tls_pair pair;
    begin(&pair);
    char key[32];
    for (unsigned i = 0; i <= TLS_SESSIONS_MAX; i++) {
        snprintf(key, sizeof(key), "endpoint %u", i);
        pair.client_options.session_key = bytes_from_text(key);
        assert_false(connect_once(&pair));
        if (i == 1) {
            pair.client_options.session_key = BYTES("endpoint 0");
            assert_true(connect_once(&pair));
        }
    }
    pair.client_options.session_key = BYTES("endpoint 0");
    assert_true(connect_once(&pair));
    pair.client_options.session_key = BYTES("endpoint 1");
    assert_false(connect_once(&pair));
    end(&pair);
}

static void threat_24_a_server_with_another_bundle_makes_a_full_handshake(void **state) {
    (void)state;
    struct test_identity other_root = test_root("spiffe://other.local");
    struct tls_pair pair;
    begin(&pair);
    assert_false(connect_once(&pair));
    replace(&pair.server_options.credentials, make(&server_identity, &other_root));
    assert_false(connect_once(&pair));
    assert_true(connect_once(&pair));
    end(&pair);
    test_identity_free(&other_root);
}

// The two guards against a session of another bundle, one at a time.
static void threat_24_the_bundle_is_in_the_session_context_and_in_the_ticket(void **state) {
    (void)state;
    struct test_identity other_root = test_root("spiffe://other.local");
    struct test_identity other = test_svid("spiffe://school.local/ns/school/sa/other", &root);
    struct credentials *one = make(&server_identity, NULL);
    struct credentials *more = make(&server_identity, &other_root);
    struct credentials *other_id = make(&other, NULL);
    for (int required = 0; required < 2; required++) {
        assert_memory_not_equal(one->session_context[required], more->session_context[required], TLS_SESSION_CONTEXT_SIZE);
        assert_memory_not_equal(one->session_context[required], other_id->session_context[required], TLS_SESSION_CONTEXT_SIZE);
    }
    assert_memory_not_equal(one->session_context[0], one->session_context[1], TLS_SESSION_CONTEXT_SIZE);

    struct tls_pair pair;
    begin_with(&pair, make(&client_identity, NULL), one);
    assert_false(connect_once(&pair));
    memcpy(more->session_context, one->session_context, sizeof(one->session_context));
    replace(&pair.server_options.credentials, more);
    assert_false(connect_once(&pair));
    end(&pair);
    credentials_unref(other_id);
    test_identity_free(&other);
    test_identity_free(&other_root);
}

static void threat_24_a_ticket_does_not_let_in_whose_root_was_taken_away(void **state) {
    (void)state;
    struct test_identity next_root = test_root("spiffe://school.local");
    struct test_identity next_server = test_svid(SERVER_ID, &next_root);
    struct tls_pair pair;
    // The client trusts both roots; the server first only the old, then only the new.
    begin_with(&pair, make(&client_identity, &next_root), make(&server_identity, NULL));
    assert_false(connect_once(&pair));
    assert_true(connect_once(&pair));
    replace(&pair.server_options.credentials, tls_make_credentials(&next_server, &next_root, NULL, keys, 2));
    tls_pair_begin(&pair, NULL);
    check_loop_settle(&pair.check);
    assert_int_equal(pair.server.ready_error, ERROR_TLS_FAILED);
    assert_int_equal(metric_read(&pair.server.counters.server.failed[TLS_FAILURE_UNTRUSTED]), 1);
    tls_pair_end(&pair);
    end(&pair);
    test_identity_free(&next_server);
    test_identity_free(&next_root);
}

static void a_ticket_stays_good_when_our_certificate_is_renewed(void **state) {
    (void)state;
    struct test_identity renewed = test_svid(SERVER_ID, &root);
    struct tls_pair pair;
    begin(&pair);
    assert_false(connect_once(&pair));
    replace(&pair.server_options.credentials, tls_make_credentials(&renewed, &root, NULL, keys, 2));
    assert_true(connect_once(&pair));
    end(&pair);
    test_identity_free(&renewed);
}

static void a_ticket_is_void_for_a_server_of_another_identity(void **state) {
    (void)state;
    struct test_identity other = test_svid("spiffe://school.local/ns/school/sa/other", &root);
    struct tls_pair pair;
    begin(&pair);
    assert_false(connect_once(&pair));
    replace(&pair.server_options.credentials, make(&other, NULL));
    struct spiffe_id either[2] = {pair.expected, *credentials_id(pair.server_options.credentials)};
    pair.client_options.identities = either;
    pair.client_options.identity_count = 2;
    tls_pair_begin(&pair, NULL);
    check_loop_settle(&pair.check);
    assert_int_equal(pair.client.ready_error, OK);
    assert_false(tls_was_resumed(pair.client.tls));
    assert_true(bytes_equal(pair.client.tls->peer_id->text, BYTES("spiffe://school.local/ns/school/sa/other")));
    tls_pair_end(&pair);
    end(&pair);
    test_identity_free(&other);
}

static void a_ticket_of_a_server_that_requires_no_certificate_is_void_where_one_is_required(void **state) {
    (void)state;
    struct tls_pair pair;
    begin(&pair);
    pair.server_options.require_client = false;
    for (int i = 0; i < 2; i++) {
        tls_pair_begin(&pair, NULL);
        check_loop_settle(&pair.check);
        assert_int_equal(tls_was_resumed(pair.server.tls), i == 1);
        assert_null(pair.server.tls->peer_id);
        tls_send_ticket(pair.server.tls);
        check_loop_settle(&pair.check);
        tls_pair_end(&pair);
    }
    pair.server_options.require_client = true;
    assert_false(connect_once(&pair));
    assert_true(connect_once(&pair));
    end(&pair);
}

static nanoseconds two_hours_later(void) {
    return clock_wall_ns() + 7200 * NS_PER_S;
}

static void a_ticket_is_void_once_the_path_behind_it_has_expired(void **state) {
    (void)state;
    struct tls_pair pair;
    begin(&pair);
    assert_false(connect_once(&pair));
    pair.server_options.credentials->wall_clock = two_hours_later;
    tls_pair_begin(&pair, NULL);
    check_loop_settle(&pair.check);
    assert_int_equal(pair.server.ready_error, ERROR_TLS_FAILED);
    assert_int_equal(metric_read(&pair.server.counters.server.failed[TLS_FAILURE_EXPIRED]), 1);
    tls_pair_end(&pair);
    end(&pair);
}

static void a_session_is_not_offered_once_the_path_behind_it_has_expired(void **state) {
    (void)state;
    struct tls_pair pair;
    begin(&pair);
    assert_false(connect_once(&pair));
    pair.client_options.credentials->wall_clock = two_hours_later;
    tls_pair_begin(&pair, NULL);
    check_loop_settle(&pair.check);
    assert_int_equal(pair.client.ready_error, ERROR_TLS_FAILED);
    assert_int_equal(metric_read(&pair.client.counters.client.failed[TLS_FAILURE_EXPIRED]), 1);
    tls_pair_end(&pair);
    end(&pair);
}

static void ticket_keys_are_renewed_every_hour_and_good_for_two(void **state) {
    (void)state;
    struct ticket_keys *own = ticket_keys_create();
    struct ticket_key first, again, second, found;
    nanoseconds hour = 3600 * NS_PER_S, start = 5 * NS_PER_S;
    ticket_keys_sealing(own, start, &first);
    ticket_keys_sealing(own, start + hour - 1, &again);
    assert_memory_equal(first.name, again.name, TICKET_NAME_SIZE);
    ticket_keys_sealing(own, start + hour, &second);
    assert_memory_not_equal(first.name, second.name, TICKET_NAME_SIZE);
    assert_memory_not_equal(first.cipher_secret, second.cipher_secret, TICKET_SECRET_SIZE);
    assert_memory_not_equal(first.mac_secret, second.mac_secret, TICKET_SECRET_SIZE);
    assert_true(ticket_keys_opening(own, start + 2 * hour - 1, first.name, &found));
    assert_memory_equal(found.cipher_secret, first.cipher_secret, TICKET_SECRET_SIZE);
    assert_false(ticket_keys_opening(own, start + 2 * hour, first.name, &found));
    assert_true(ticket_keys_opening(own, start + 2 * hour, second.name, &found));
    ticket_keys_sealing(own, start + 2 * hour, &again);
    ticket_keys_sealing(own, start + 3 * hour, &again);
    assert_false(ticket_keys_opening(own, start + 3 * hour, first.name, &found));
    // The current one is not good for ever either, when no ticket is sealed for long.
    assert_false(ticket_keys_opening(own, start + 5 * hour, again.name, &found));
    ticket_keys_destroy(own);
}

static void a_ticket_sealed_with_a_key_that_is_gone_means_a_full_handshake(void **state) {
    (void)state;
    struct tls_pair pair;
    begin(&pair);
    assert_false(connect_once(&pair));
    check_loop_pass(&pair.check, 3000 * NS_PER_S);
    assert_true(connect_once(&pair));
    check_loop_pass(&pair.check, 3300 * NS_PER_S);
    assert_true(connect_once(&pair)); // by the previous key
    check_loop_pass(&pair.check, 7201 * NS_PER_S);
    assert_false(connect_once(&pair));
    end(&pair);
}

static void ticket_keys_are_shared_by_versions_of_credentials_and_by_no_other_process(void **state) {
    (void)state;
    struct ticket_keys *other_keys = ticket_keys_create();
    struct tls_pair pair;
    begin(&pair);
    assert_false(connect_once(&pair));
    replace(&pair.server_options.credentials, tls_make_credentials(&server_identity, &root, NULL, other_keys, 1));
    assert_false(connect_once(&pair));
    end(&pair);
    ticket_keys_destroy(other_keys);
}

// What a stranger is told of a ticket's life.
static void a_ticket_lives_no_longer_than_any_leaf_behind_it(void **state) {
    (void)state;
    static const struct {
        int64_t client_life_s, server_life_s;
        unsigned long hint_max;
    } cases[] = {{3000, 7200, 3000}, {7200, 2000, 2000}, {86400, 86400, TLS_SESSION_LIFE_S}};
    for (size_t i = 0; i < 3; i++) {
        struct test_template template = test_template_svid(CLIENT_ID);
        template.not_after_s = cases[i].client_life_s;
        struct test_identity client = test_issue(&template, &root);
        template = test_template_svid(SERVER_ID);
        template.not_after_s = cases[i].server_life_s;
        struct test_identity server = test_issue(&template, &root);
        struct credentials *credentials = make(&server, NULL);
        struct check_loop check;
        struct stranger stranger;
        struct tls_end ours = {.read_at_once = true};
        struct tls_server_options options = {.credentials = credentials, .require_client = true};
        check_loop_init(&check);
        stranger_init(&stranger, false, &client, NULL);
        ours.lower = fake_peer_create(&check.loop, NULL, NULL, NULL);
        ours.tls = tls_server_create(ours.lower->transport, &options, NULL, &tls_end_handler, &ours);
        stranger_begin(&stranger, false, ours.lower);
        stranger_meet(&stranger, &check);
        assert_int_equal(stranger.sessions, 0);
        tls_send_ticket(ours.tls);
        stranger_meet(&stranger, &check);
        assert_int_equal(stranger.sessions, 1);
        unsigned long hint = SSL_SESSION_get_ticket_lifetime_hint(stranger.session);
        assert_in_range(hint, cases[i].hint_max - 60, cases[i].hint_max);
        tls_end_close(&ours, false);
        check_loop_settle(&check);
        tls_end_forget(&ours);
        stranger_end(&stranger);
        check_loop_dispose(&check);
        credentials_unref(credentials);
        test_identity_free(&client);
        test_identity_free(&server);
    }
}

// After a change of bundle every live peer is asked for again.
static void live_peers_are_judged_again_by_a_new_bundle(void **state) {
    (void)state;
    struct test_identity other_root = test_root("spiffe://other.local");
    struct test_identity next_root = test_root("spiffe://school.local");
    struct test_identity next_server = test_svid(SERVER_ID, &next_root);
    struct credentials *more = make(&server_identity, &other_root);
    struct credentials *rotated = tls_make_credentials(&next_server, &next_root, NULL, keys, 3);
    struct credentials *late = make(&server_identity, NULL);
    late->wall_clock = two_hours_later;
    struct tls_pair pair;
    begin(&pair);
    connect_once(&pair);
    for (int resumed = 0; resumed < 2; resumed++) {
        if (resumed == 0)
            pair.client_options.session_key = BYTES("another");
        tls_pair_begin(&pair, NULL);
        check_loop_settle(&pair.check);
        assert_int_equal(tls_was_resumed(pair.server.tls), resumed);
        assert_true(tls_peer_still_trusted(pair.server.tls, more));
        assert_true(tls_peer_still_trusted(pair.server.tls, more)); // from memory now
        assert_false(tls_peer_still_trusted(pair.server.tls, rotated));
        assert_false(tls_peer_still_trusted(pair.server.tls, late));
        assert_true(tls_peer_still_trusted(pair.client.tls, more));
        assert_false(tls_peer_still_trusted(pair.client.tls, rotated));
        tls_pair_end(&pair);
        pair.client_options.session_key = BYTES("10.0.0.5:15006 courses");
    }
    end(&pair);
    credentials_unref(more);
    credentials_unref(rotated);
    credentials_unref(late);
    test_identity_free(&next_server);
    test_identity_free(&next_root);
    test_identity_free(&other_root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_is_resumed_with_the_same_identities),
        cmocka_unit_test(a_ticket_good_or_bad_leaves_the_thread_as_it_was),
        cmocka_unit_test(a_ticket_is_renewed_in_the_second_half_of_its_life),
        cmocka_unit_test(no_ticket_is_part_of_a_handshake),
        cmocka_unit_test(early_data_is_never_taken),
        cmocka_unit_test(connections_of_the_mesh_get_no_ticket),
        cmocka_unit_test(sessions_are_kept_by_their_key),
        cmocka_unit_test(a_session_is_not_offered_where_another_peer_is_expected),
        cmocka_unit_test(the_sessions_kept_are_bounded_and_the_least_used_goes_first),
        cmocka_unit_test(threat_24_a_server_with_another_bundle_makes_a_full_handshake),
        cmocka_unit_test(threat_24_the_bundle_is_in_the_session_context_and_in_the_ticket),
        cmocka_unit_test(threat_24_a_ticket_does_not_let_in_whose_root_was_taken_away),
        cmocka_unit_test(a_ticket_stays_good_when_our_certificate_is_renewed),
        cmocka_unit_test(a_ticket_is_void_for_a_server_of_another_identity),
        cmocka_unit_test(a_ticket_of_a_server_that_requires_no_certificate_is_void_where_one_is_required),
        cmocka_unit_test(a_ticket_is_void_once_the_path_behind_it_has_expired),
        cmocka_unit_test(a_session_is_not_offered_once_the_path_behind_it_has_expired),
        cmocka_unit_test(ticket_keys_are_renewed_every_hour_and_good_for_two),
        cmocka_unit_test(a_ticket_sealed_with_a_key_that_is_gone_means_a_full_handshake),
        cmocka_unit_test(ticket_keys_are_shared_by_versions_of_credentials_and_by_no_other_process),
        cmocka_unit_test(a_ticket_lives_no_longer_than_any_leaf_behind_it),
        cmocka_unit_test(live_peers_are_judged_again_by_a_new_bundle),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
