// Handshakes between two ends of ours: who is let in, who is not, and what is said about it.
#include "net/tls.h"

#include "net/tls_private.h"
#include "tls_two_ends.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint64_t failures(const struct tls_role_counters *counters, enum tls_failure failure) {
    return metric_read(&counters->failed[failure]);
}

static void both_ends_learn_who_the_other_is(void **state) {
    (void)state;
    struct tls_pair pair;
    tls_pair_init(&pair, client_credentials, server_credentials);
    tls_pair_begin(&pair, NULL);
    assert_true(pair.client.tls->secure && pair.server.tls->secure);
    check_loop_settle(&pair.check);
    struct transport *client = pair.client.tls, *server = pair.server.tls;
    assert_int_equal(pair.client.ready, 1);
    assert_int_equal(pair.server.ready, 1);
    assert_int_equal(pair.client.ready_error, OK);
    assert_int_equal(pair.server.ready_error, OK);
    assert_true(bytes_equal(client->peer_id->text, BYTES(SERVER_ID)));
    assert_true(bytes_equal(server->peer_id->text, BYTES(CLIENT_ID)));
    assert_true(bytes_equal(client->alpn, BYTES(ALPN_MESH)));
    assert_true(bytes_equal(server->alpn, BYTES(ALPN_MESH)));
    assert_int_equal(tls_peer_end_s(client), credentials_not_after(server_credentials));
    assert_int_equal(tls_peer_end_s(server), credentials_not_after(client_credentials));
    assert_false(tls_was_resumed(client) || tls_was_resumed(server));
    assert_int_equal(client->peer.v4.sin_port, htons(40000)); // of the transport below
    assert_int_equal(metric_read(&pair.client.counters.client.handshakes), 1);
    assert_int_equal(metric_read(&pair.server.counters.server.handshakes), 1);
    assert_int_equal(metric_read(&pair.server.counters.server.resumed), 0);
    tls_pair_end(&pair);
    tls_pair_dispose(&pair);
}

static void a_peer_that_is_none_of_those_expected_is_refused(void **state) {
    (void)state;
    static const char *const others[] = {"spiffe://school.local/ns/school/sa/coursesX", "spiffe://school.local/ns/school/sa/COURSES",
                                         "spiffe://school.local/ns/school"};
    struct tls_pair pair;
    tls_pair_init(&pair, client_credentials, server_credentials);
    struct spiffe_id expected[3];
    const char *reason;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(spiffe_id_parse(bytes_from_text(others[i]), &expected[i], &reason), OK);
    pair.client_options.identities = expected;
    for (uint32_t count = 0; count <= 3; count++) {
        pair.client_options.identity_count = count;
        tls_pair_begin(&pair, NULL);
        check_loop_settle(&pair.check);
        assert_int_equal(pair.client.ready_error, ERROR_IDENTITY_MISMATCH);
        assert_non_null(strstr(pair.client.failure, SERVER_ID));
        assert_int_equal(pair.server.ready_error, ERROR_TLS_FAILED);
        assert_string_equal(pair.server.failure, "the peer refused: bad certificate");
        tls_pair_end(&pair);
    }
    assert_int_equal(failures(&pair.client.counters.client, TLS_FAILURE_IDENTITY), 4);
    assert_int_equal(failures(&pair.server.counters.server, TLS_FAILURE_PEER_ALERT), 4);

    // One of several suffices; the trust domain's case does not matter.
    assert_int_equal(spiffe_id_parse(BYTES("spiffe://School.Local/ns/school/sa/courses"), &expected[1], &reason), OK);
    tls_pair_begin(&pair, NULL);
    check_loop_settle(&pair.check);
    assert_int_equal(pair.client.ready_error, OK);
    tls_pair_end(&pair);
    tls_pair_dispose(&pair);
}

static void an_identity_is_checked_although_its_path_is_known(void **state) {
    (void)state;
    struct tls_pair pair;
    tls_pair_init(&pair, client_credentials, server_credentials);
    tls_pair_begin(&pair, NULL);
    check_loop_settle(&pair.check);
    assert_int_equal(pair.client.ready_error, OK);
    tls_pair_end(&pair);
    uint64_t reused = metric_read(&pair.client.counters.path_reused);
    tls_pair_expect(&pair, client_credentials);
    tls_pair_begin(&pair, NULL);
    check_loop_settle(&pair.check);
    assert_int_equal(metric_read(&pair.client.counters.path_reused), reused + 1);
    assert_int_equal(pair.client.ready_error, ERROR_IDENTITY_MISMATCH);
    tls_pair_end(&pair);
    tls_pair_dispose(&pair);
}

// Where a server remembers a client that shows this leaf alone.
static unsigned place_of(const struct test_identity *identity) {
    unsigned char digest[CERTIFICATE_DIGEST_SIZE];
    assert_true(certificates_digest(identity->certificate, NULL, digest));
    return ((unsigned)digest[1] << 8 | digest[2]) % TLS_PEERS_MAX;
}

static void a_peer_is_not_taken_for_another_that_is_remembered_in_its_place(void **state) {
    (void)state;
    static struct test_identity seen[TLS_PEERS_MAX]; // by place
    struct test_identity second;
    char id[64];
    for (unsigned count = 0;; count++) {
        snprintf(id, sizeof(id), "spiffe://school.local/client/%u", count);
        second = test_svid(id, &root);
        if (seen[place_of(&second)].certificate != NULL)
            break; // after some 30 by chance, 512 at the latest
        seen[place_of(&second)] = second;
    }
    const struct test_identity *const both[] = {&seen[place_of(&second)], &second};
    struct tls_pair pair;
    tls_pair_init(&pair, client_credentials, server_credentials);
    for (unsigned i = 0; i < 6; i++) {
        pair.client_options.credentials = tls_make_credentials(both[i % 2], &root, NULL, keys, 1);
        tls_pair_begin(&pair, NULL);
        check_loop_settle(&pair.check);
        assert_int_equal(pair.server.ready_error, OK);
        assert_true(spiffe_id_equal(pair.server.tls->peer_id, credentials_id(pair.client_options.credentials)));
        tls_pair_end(&pair);
        credentials_unref(pair.client_options.credentials);
    }
    assert_int_equal(metric_read(&pair.server.counters.path_reused), 0); // they push each other out
    tls_pair_dispose(&pair);
    for (unsigned i = 0; i < TLS_PEERS_MAX; i++)
        test_identity_free(&seen[i]);
    test_identity_free(&second);
}

static nanoseconds two_hours_later(void) {
    return clock_wall_ns() + 7200 * NS_PER_S;
}

static void a_path_that_was_verified_before_is_refused_once_it_has_expired(void **state) {
    (void)state;
    struct credentials *server = tls_issue_credentials(SERVER_ID, &root, keys);
    struct tls_pair pair;
    tls_pair_init(&pair, client_credentials, server);
    for (unsigned i = 0; i < 3; i++) {
        tls_pair_begin(&pair, NULL);
        check_loop_settle(&pair.check);
        assert_int_equal(pair.server.ready_error, OK);
        assert_int_equal(metric_read(&pair.server.counters.path_reused), i);
        tls_pair_end(&pair);
    }
    server->wall_clock = two_hours_later;
    tls_pair_begin(&pair, NULL);
    check_loop_settle(&pair.check);
    assert_int_equal(pair.server.ready_error, ERROR_TLS_FAILED);
    assert_non_null(strstr(pair.server.failure, "has expired"));
    assert_int_equal(failures(&pair.server.counters.server, TLS_FAILURE_EXPIRED), 1);
    tls_pair_end(&pair);
    credentials_unref(server);
    tls_pair_dispose(&pair);
}

static void a_server_under_another_root_is_refused(void **state) {
    (void)state;
    struct test_identity other_root = test_root("spiffe://school.local");
    struct test_identity identity = test_svid(SERVER_ID, &other_root);
    struct credentials *server = tls_make_credentials(&identity, &other_root, &root, keys, 1);
    struct tls_pair pair;
    tls_pair_init(&pair, client_credentials, server);
    tls_pair_begin(&pair, NULL);
    check_loop_settle(&pair.check);
    assert_int_equal(pair.client.ready_error, ERROR_TLS_FAILED);
    assert_non_null(strstr(pair.client.failure, SERVER_ID ": "));
    assert_int_equal(failures(&pair.client.counters.client, TLS_FAILURE_UNTRUSTED), 1);
    assert_string_equal(pair.server.failure, "the peer refused: unknown CA");
    tls_pair_end(&pair);
    tls_pair_dispose(&pair);
    credentials_unref(server);
    test_identity_free(&identity);
    test_identity_free(&other_root);
}

static void a_client_under_another_root_learns_it_after_its_handshake(void **state) {
    (void)state;
    struct test_identity other_root = test_root("spiffe://school.local");
    struct test_identity identity = test_svid(CLIENT_ID, &other_root);
    struct credentials *client = tls_make_credentials(&identity, &other_root, &root, keys, 1);
    struct tls_pair pair;
    tls_pair_init(&pair, client, server_credentials);
    tls_pair_begin(&pair, NULL);
    check_loop_settle(&pair.check);
    assert_int_equal(pair.server.ready_error, ERROR_TLS_FAILED);
    assert_int_equal(failures(&pair.server.counters.server, TLS_FAILURE_UNTRUSTED), 1);
    assert_int_equal(pair.client.ready_error, OK); // TLS 1.3: the client is done before the server looks
    assert_int_equal(pair.client.ended, 1);
    assert_int_equal(pair.client.ended_error, ERROR_TLS_FAILED);
    assert_string_equal(pair.client.failure, "the peer refused: unknown CA");
    assert_int_equal(failures(&pair.client.counters.client, TLS_FAILURE_PEER_ALERT), 1);
    tls_pair_end(&pair);
    tls_pair_dispose(&pair);
    credentials_unref(client);
    test_identity_free(&identity);
    test_identity_free(&other_root);
}

static void trust_domains_meet_where_each_has_the_others_roots(void **state) {
    (void)state;
    struct test_identity other_root = test_root("spiffe://other.local");
    struct test_identity identity = test_svid("spiffe://other.local/a", &other_root);
    struct test_identity here = test_svid(SERVER_ID, &root);
    struct credentials *there_credentials = tls_make_credentials(&identity, &other_root, &root, keys, 1);
    struct credentials *here_credentials = tls_make_credentials(&here, &root, &other_root, keys, 1);
    struct tls_pair pair;
    tls_pair_init(&pair, there_credentials, here_credentials);
    tls_pair_begin(&pair, NULL);
    check_loop_settle(&pair.check);
    assert_int_equal(pair.server.ready_error, OK);
    assert_true(bytes_equal(pair.server.tls->peer_id->text, BYTES("spiffe://other.local/a")));
    tls_pair_end(&pair);

    pair.server_options.credentials = server_credentials; // which knows its own domain alone
    tls_pair_begin(&pair, NULL);
    check_loop_settle(&pair.check);
    assert_int_equal(pair.server.ready_error, ERROR_TLS_FAILED);
    assert_string_equal(pair.server.failure, "spiffe://other.local/a: no root for its trust domain");
    tls_pair_end(&pair);
    tls_pair_dispose(&pair);
    credentials_unref(here_credentials);
    credentials_unref(there_credentials);
    test_identity_free(&here);
    test_identity_free(&identity);
    test_identity_free(&other_root);
}

// A client whose leaf was signed by an intermediate; it is given the root as well.
static struct credentials *issue_by_intermediate(void) {
    struct test_identity issuer = test_intermediate("spiffe://school.local", &root);
    struct test_identity leaf = test_svid(CLIENT_ID, &issuer);
    char *chain = test_certificates_pem(&leaf, &issuer, &root, NULL);
    char *key = test_key_pem(&leaf);
    char *bundle = test_certificates_pem(&root, NULL);
    char reason[128];
    struct credentials *client;
    assert_int_equal(credentials_create(bytes_from_text(chain), bytes_from_text(key), bytes_from_text(bundle), keys, 1, test_now_s(), &client, reason,
                                        sizeof(reason)),
                     OK);
    free(chain);
    free(key);
    free(bundle);
    test_identity_free(&leaf);
    test_identity_free(&issuer);
    return client;
}

static void intermediates_are_sent_and_the_root_is_not(void **state) {
    (void)state;
    struct credentials *client = issue_by_intermediate();
    struct tls_pair pair;
    tls_pair_init(&pair, client, server_credentials);
    tls_pair_begin(&pair, NULL);
    check_loop_settle(&pair.check);
    assert_int_equal(pair.server.ready_error, OK);
    assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(tls_of(pair.server.tls)->ssl)), 1); // on a server the leaf stands apart
    assert_true(tls_peer_still_trusted(pair.server.tls, server_credentials));
    tls_pair_end(&pair);
    tls_pair_dispose(&pair);
    credentials_unref(client);
}

static X509 *leaf_of(const struct tls_end *end) {
    return SSL_get0_peer_certificate(tls_of(end->tls)->ssl);
}

static X509 *shown_by(const struct tls_end *end, int index) {
    return sk_X509_value(SSL_get_peer_cert_chain(tls_of(end->tls)->ssl), index);
}

// The certificates are held as long as any of the connections is open, whichever was first, and no longer.
static void connections_of_one_peer_hold_its_certificates_once(void **state) {
    (void)state;
    struct credentials *client = issue_by_intermediate();
    struct tls_pair pairs[3]; // the third has the same identity and another certificate
    for (int i = 0; i < 3; i++) {
        tls_pair_init(&pairs[i], i < 2 ? client : client_credentials, server_credentials);
        tls_pair_begin(&pairs[i], NULL);
        check_loop_settle(&pairs[i].check);
        assert_int_equal(pairs[i].server.ready_error, OK);
    }
    assert_ptr_equal(leaf_of(&pairs[0].server), leaf_of(&pairs[1].server));
    assert_ptr_equal(shown_by(&pairs[0].server, 0), shown_by(&pairs[1].server, 0)); // the intermediate
    assert_ptr_not_equal(leaf_of(&pairs[0].server), leaf_of(&pairs[2].server));
    assert_ptr_equal(leaf_of(&pairs[0].client), leaf_of(&pairs[1].client));
    assert_ptr_equal(shown_by(&pairs[0].client, 0), leaf_of(&pairs[1].client)); // on a client the leaf stands in it

    struct tls_peer *peer = tls_peer_ref(tls_of(pairs[0].server.tls)->peer);
    tls_pair_end(&pairs[0]);
    assert_int_equal(peer->holders, 1);
    assert_true(tls_peer_still_trusted(pairs[1].server.tls, client_credentials)); // who has not seen it: verified anew
    tls_pair_end(&pairs[1]);
    assert_null(peer->shown);
    tls_pair_begin(&pairs[0], NULL);
    check_loop_settle(&pairs[0].check);
    assert_ptr_equal(tls_of(pairs[0].server.tls)->peer, peer);
    assert_ptr_equal(sk_X509_value(peer->shown, 0), leaf_of(&pairs[0].server));
    tls_pair_end(&pairs[0]);
    tls_pair_end(&pairs[2]);
    tls_peer_unref(peer);
    for (int i = 0; i < 3; i++)
        tls_pair_dispose(&pairs[i]);
    credentials_unref(client);
}

static void keys_of_all_kinds_shake_hands(void **state) {
    (void)state;
    static const enum test_key kinds[] = {TEST_KEY_P256, TEST_KEY_P384, TEST_KEY_ED25519, TEST_KEY_RSA2048};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct test_template template = test_template_svid(CLIENT_ID);
        template.key = kinds[i];
        struct test_identity identity = test_issue(&template, &root);
        struct credentials *client = tls_make_credentials(&identity, &root, NULL, keys, 1);
        struct tls_pair pair;
        tls_pair_init(&pair, client, server_credentials);
        tls_pair_begin(&pair, NULL);
        check_loop_settle(&pair.check);
        assert_int_equal(pair.server.ready_error, OK);
        tls_pair_end(&pair);
        tls_pair_dispose(&pair);
        credentials_unref(client);
        test_identity_free(&identity);
    }
}

static void the_server_chooses_the_protocol_by_its_own_order(void **state) {
    (void)state;
    static const struct bytes h1_first[] = {{"http/1.1", 8}, {"h2", 2}};
    static const struct bytes opaque[] = {{"outrigger-tcp/1", 15}};
    static const struct bytes unknown[] = {{"h2c", 3}, {"outrigger/11", 12}, {"http/1.0", 8}};
    struct tls_pair pair;
    tls_pair_init(&pair, client_credentials, server_credentials);
    pair.client_options.protocols = (struct tls_protocols){h1_first, 2};
    tls_pair_begin(&pair, NULL);
    check_loop_settle(&pair.check);
    assert_true(bytes_equal(pair.client.tls->alpn, BYTES("h2")));
    tls_pair_end(&pair);
    pair.client_options.protocols.count = 1;
    tls_pair_begin(&pair, NULL);
    check_loop_settle(&pair.check);
    assert_true(bytes_equal(pair.server.tls->alpn, BYTES("http/1.1")));
    tls_pair_end(&pair);

    pair.client_options.protocols = (struct tls_protocols){unknown, 3};
    tls_pair_begin(&pair, NULL);
    check_loop_settle(&pair.check);
    assert_int_equal(pair.server.ready_error, ERROR_TLS_FAILED);
    assert_int_equal(failures(&pair.server.counters.server, TLS_FAILURE_NO_COMMON), 1);
    assert_int_equal(pair.client.ready_error, ERROR_TLS_FAILED);
    assert_string_equal(pair.client.failure, "the peer refused: no application protocol");
    tls_pair_end(&pair);

    pair.client_options.protocols = pair.server_options.protocols = (struct tls_protocols){opaque, 1};
    tls_pair_begin(&pair, NULL);
    check_loop_settle(&pair.check);
    assert_true(bytes_equal(pair.client.tls->alpn, BYTES("outrigger-tcp/1")));
    tls_pair_end(&pair);
    tls_pair_dispose(&pair);
}

static void a_handshake_that_takes_too_long_fails(void **state) {
    (void)state;
    struct tls_pair pair;
    tls_pair_init(&pair, client_credentials, server_credentials);
    struct fake_peer *silent[2] = {fake_peer_create(&pair.check.loop, NULL, NULL, NULL), fake_peer_create(&pair.check.loop, NULL, NULL, NULL)};
    pair.server_options.handshake_timeout = pair.client_options.handshake_timeout = 500 * NS_PER_MS;
    pair.server.lower = silent[0];
    pair.client.lower = silent[1];
    pair.server.tls = tls_server_create(silent[0]->transport, &pair.server_options, NULL, &tls_end_handler, &pair.server);
    pair.client.tls = tls_client_create(silent[1]->transport, &pair.client_options, &tls_end_handler, &pair.client);
    check_loop_pass(&pair.check, 499 * NS_PER_MS);
    assert_int_equal(pair.server.ready + pair.client.ready, 0);
    check_loop_pass(&pair.check, 2 * NS_PER_MS);
    assert_int_equal(pair.server.ready_error, ERROR_TLS_FAILED);
    assert_int_equal(pair.client.ready_error, ERROR_TLS_FAILED);
    assert_string_equal(pair.server.failure, "the handshake took too long");
    assert_int_equal(failures(&pair.server.counters.server, TLS_FAILURE_TIMEOUT), 1);
    assert_int_equal(failures(&pair.client.counters.client, TLS_FAILURE_TIMEOUT), 1);
    tls_pair_end(&pair);

    // One that is made has no deadline any more.
    tls_pair_begin(&pair, NULL);
    check_loop_settle(&pair.check);
    check_loop_pass(&pair.check, 10 * NS_PER_S);
    assert_int_equal(pair.server.ready + pair.client.ready, 2);
    assert_int_equal(pair.server.ready_error, OK);
    tls_pair_end(&pair);
    tls_pair_dispose(&pair);
}

static void a_peer_that_goes_away_during_the_handshake_is_said_so(void **state) {
    (void)state;
    struct tls_pair pair;
    tls_pair_init(&pair, client_credentials, server_credentials);
    for (int reset = 0; reset < 2; reset++) {
        struct fake_peer *peer = fake_peer_create(&pair.check.loop, NULL, NULL, NULL);
        pair.server.lower = peer;
        pair.server.tls = tls_server_create(peer->transport, &pair.server_options, NULL, &tls_end_handler, &pair.server);
        check_loop_settle(&pair.check);
        fake_peer_send(peer, BYTES("\x16\x03\x01\x02\x00\x01"));
        check_loop_settle(&pair.check);
        if (reset)
            fake_peer_reset(peer, false);
        else
            fake_peer_end(peer);
        check_loop_settle(&pair.check);
        assert_int_equal(pair.server.ready, 1);
        assert_int_equal(pair.server.ready_error, ERROR_TLS_FAILED);
        assert_string_equal(pair.server.failure, "the peer closed during the handshake");
        tls_end_close(&pair.server, false);
        check_loop_settle(&pair.check);
        tls_end_forget(&pair.server);
    }
    assert_int_equal(failures(&pair.server.counters.server, TLS_FAILURE_CLOSED), 2);
    tls_pair_dispose(&pair);
}

static void what_is_no_tls_is_refused_with_an_alert(void **state) {
    (void)state;
    static const struct bytes texts[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27},
        {"\x15\x03\x03\x00\x02\x02\x28", 7},                              // an alert first
        {"\x17\x03\x03\x00\x05hello", 10},                                // data first
        {"\x16\x03\x01\x00\x04\x02\x00\x00\x00", 9},                      // a ServerHello
        {"\x16\x03\x01\xff\xff\x01\x00\x00\x00", 9},                      // a record that is too long
        {"\x16\x03\x01\x00\x09\x01\x00\x00\x05\x03\x03\x00\x00\x00", 14}, // a ClientHello that is too short
    };
    struct tls_pair pair;
    tls_pair_init(&pair, client_credentials, server_credentials);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct fake_peer *peer = fake_peer_create(&pair.check.loop, NULL, NULL, NULL);
        pair.server.lower = peer;
        pair.server.close_when_ready = true; // the alert goes out all the same
        pair.server.tls = tls_server_create(peer->transport, &pair.server_options, NULL, &tls_end_handler, &pair.server);
        fake_peer_send(peer, texts[i]);
        check_loop_settle(&pair.check);
        assert_int_equal(pair.server.ready, 1);
        assert_int_equal(pair.server.ready_error, ERROR_TLS_FAILED);
        assert_string_not_equal(pair.server.failure, "");
        bool said = fake_peer_sent(peer).len > 0 && fake_peer_sent(peer).at[0] == 0x15;
        assert_true(said || i == 1 || i == 0); // none answers an alert, nor what is another protocol
        tls_end_forget(&pair.server);
    }
    tls_pair_dispose(&pair);
}

static void bytes_that_were_read_before_are_part_of_the_handshake(void **state) {
    (void)state;
    struct tls_pair pair;
    tls_pair_init(&pair, client_credentials, server_credentials);
    struct fake_peer *peers[2];
    const struct transport_handler *const handlers[2] = {NULL, NULL};
    void *const users[2] = {NULL, NULL};
    fake_pair_create(&pair.check.loop, NULL, handlers, users, peers);
    pair.client.lower = peers[0];
    pair.server.lower = peers[1];
    pair.client.tls = tls_client_create(peers[0]->transport, &pair.client_options, &tls_end_handler, &pair.client);
    check_loop_settle(&pair.check);
    struct buffer early;
    buffer_init(&early, &pair.check.loop.blocks);
    struct fake_bytes *waiting = &peers[1]->incoming;
    buffer_append(&early, bytes_from(waiting->bytes + waiting->begin, waiting->end - waiting->begin));
    waiting->begin = waiting->end;
    pair.server.tls = tls_server_create(peers[1]->transport, &pair.server_options, &early, &tls_end_handler, &pair.server);
    assert_true(buffer_is_empty(&early));
    assert_int_equal(pair.server.ready, 0);
    check_loop_settle(&pair.check);
    assert_int_equal(pair.server.ready_error, OK);
    assert_int_equal(pair.client.ready, 1);
    buffer_dispose(&early);
    tls_pair_end(&pair);
    tls_pair_dispose(&pair);
}

// Every number of turns after which one end closes, in order or by reset, also from within its own callback.
static void a_close_at_any_moment_leaves_nothing_behind(void **state) {
    (void)state;
    struct tls_pair pair;
    tls_pair_init(&pair, client_credentials, server_credentials);
    for (unsigned mode = 0; mode < 4; mode++) {
        for (unsigned turns = 0; turns < 12; turns++) {
            tls_pair_begin(&pair, &(struct fake_options){.seed = mode * 100 + turns, .piece_max = 400});
            for (unsigned i = 0; i < turns; i++)
                check_loop_turn(&pair.check);
            tls_end_close(mode % 2 == 0 ? &pair.client : &pair.server, mode / 2 == 1);
            check_loop_settle(&pair.check);
            assert_true(pair.client.ready <= 1 && pair.server.ready <= 1);
            tls_pair_end(&pair);
        }
    }
    for (int end = 0; end < 2; end++) {
        struct tls_end *closing = end == 0 ? &pair.client : &pair.server;
        tls_pair_begin(&pair, NULL);
        closing->close_when_ready = true;
        check_loop_settle(&pair.check);
        assert_int_equal(closing->ready, 1);
        tls_pair_end(&pair);
    }
    tls_pair_dispose(&pair);
}

static void a_handshake_survives_any_cutting_of_the_bytes(void **state) {
    (void)state;
    struct tls_pair pair;
    tls_pair_init(&pair, client_credentials, server_credentials);
    for (unsigned seed = 0; seed < 60; seed++) {
        tls_pair_begin(&pair, &(struct fake_options){.seed = seed, .piece_max = seed < 10 ? 1 : seed * 20, .late_max = seed % 3});
        check_loop_settle(&pair.check);
        assert_int_equal(pair.client.ready_error, OK);
        assert_int_equal(pair.client.ready + pair.server.ready, 2);
        assert_int_equal(pair.server.ready_error, OK);
        tls_pair_end(&pair);
    }
    tls_pair_dispose(&pair);
}

static void no_credentials_are_made_of_a_bad_set(void **state) {
    (void)state;
    struct test_identity leaf = test_svid(SERVER_ID, &root);
    struct test_identity other = test_svid(SERVER_ID, &root);
    char *certificate = test_certificates_pem(&leaf, NULL);
    char *key = test_key_pem(&leaf);
    char *other_key = test_key_pem(&other);
    char *bundle = test_certificates_pem(&root, NULL);
    const struct {
        const char *certificate, *key, *bundle;
        int64_t wall_s;
        const char *reason;
    } cases[] = {
        {"", key, bundle, test_now_s(), "certificate: no certificate in it"},
        {certificate, "", bundle, test_now_s(), "private key: no private key in it"},
        {certificate, other_key, bundle, test_now_s(), "private key: it does not belong to the certificate"},
        {certificate, key, "", test_now_s(), "trust bundle: no certificate in it"},
        {certificate, key, bundle, test_now_s() + 7200, "certificate: a certificate has expired"},
        {certificate, key, bundle, test_now_s() - 7200, "certificate: a certificate is not yet valid"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct credentials *made = NULL;
        char reason[128] = "";
        assert_int_equal(credentials_create(bytes_from_text(cases[i].certificate), bytes_from_text(cases[i].key), bytes_from_text(cases[i].bundle),
                                            keys, 7, cases[i].wall_s, &made, reason, sizeof(reason)),
                         ERROR_INVALID);
        assert_null(made);
        assert_string_equal(reason, cases[i].reason);
    }
    free(certificate);
    free(key);
    free(other_key);
    free(bundle);
    test_identity_free(&leaf);
    test_identity_free(&other);
}

static void credentials_tell_what_they_are(void **state) {
    (void)state;
    struct test_identity leaf = test_svid(SERVER_ID, &root);
    struct test_identity other_root = test_root(NULL);
    struct credentials *one = tls_make_credentials(&leaf, &root, NULL, keys, 7);
    struct credentials *other = tls_make_credentials(&leaf, &root, &other_root, keys, 8);
    char serial[CERTIFICATE_SERIAL_SIZE];
    certificate_serial(leaf.certificate, serial);
    assert_int_equal(credentials_generation(one), 7);
    assert_true(bytes_equal(credentials_id(one)->text, BYTES(SERVER_ID)));
    assert_string_equal(credentials_serial(one), serial);
    assert_int_equal(credentials_not_before(one), certificate_not_before(leaf.certificate));
    assert_int_equal(credentials_not_after(one), certificate_not_after(leaf.certificate));
    assert_int_equal(trust_bundle_root_count(credentials_bundle(one)), 1);
    assert_int_equal(trust_bundle_root_count(credentials_bundle(other)), 2);
    credentials_unref(one);
    credentials_unref(other);
    test_identity_free(&leaf);
    test_identity_free(&other_root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_learn_who_the_other_is),
        cmocka_unit_test(a_peer_that_is_none_of_those_expected_is_refused),
        cmocka_unit_test(an_identity_is_checked_although_its_path_is_known),
        cmocka_unit_test(a_peer_is_not_taken_for_another_that_is_remembered_in_its_place),
        cmocka_unit_test(a_path_that_was_verified_before_is_refused_once_it_has_expired),
        cmocka_unit_test(a_server_under_another_root_is_refused),
        cmocka_unit_test(a_client_under_another_root_learns_it_after_its_handshake),
        cmocka_unit_test(trust_domains_meet_where_each_has_the_others_roots),
        cmocka_unit_test(intermediates_are_sent_and_the_root_is_not),
        cmocka_unit_test(connections_of_one_peer_hold_its_certificates_once),
        cmocka_unit_test(keys_of_all_kinds_shake_hands),
        cmocka_unit_test(the_server_chooses_the_protocol_by_its_own_order),
        cmocka_unit_test(a_handshake_that_takes_too_long_fails),
        cmocka_unit_test(a_peer_that_goes_away_during_the_handshake_is_said_so),
        cmocka_unit_test(what_is_no_tls_is_refused_with_an_alert),
        cmocka_unit_test(bytes_that_were_read_before_are_part_of_the_handshake),
        cmocka_unit_test(a_close_at_any_moment_leaves_nothing_behind),
        cmocka_unit_test(a_handshake_survives_any_cutting_of_the_bytes),
        cmocka_unit_test(no_credentials_are_made_of_a_bad_set),
        cmocka_unit_test(credentials_tell_what_they_are),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
