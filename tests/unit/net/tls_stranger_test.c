// Our ends against a peer that is not ours: every rule of X.509-SVID as a handshake sees it, versions, and the ways in which a connection ends.
#include "net/tls.h"

#include "base/limits.h"
#include "tls_stranger.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct test_identity root;
static struct ticket_keys *keys;
static struct credentials *credentials;

static int set_up(void **state) {
    (void)state;
    root = test_root("spiffe://school.local");
    keys = ticket_keys_create();
    credentials = tls_issue_credentials(SERVER_ID, &root, keys);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    credentials_unref(credentials);
    ticket_keys_destroy(keys);
    test_identity_free(&root);
    return 0;
}

// One of our ends and a stranger at the other.
struct meeting {
    struct check_loop check;
    struct tls_end ours;
    struct stranger stranger;
    bool we_serve;
    bool require_client;
    struct spiffe_id expected;
};

static void meeting_init(struct meeting *meeting, bool we_serve, const struct test_identity *identity, const struct test_identity *issuer) {
    const char *reason;
    *meeting = (struct meeting){.we_serve = we_serve, .require_client = true, .ours = {.read_at_once = true}};
    assert_int_equal(spiffe_id_parse(BYTES(CLIENT_ID), &meeting->expected, &reason), OK);
    check_loop_init(&meeting->check);
    stranger_init(&meeting->stranger, !we_serve, identity, issuer);
}

static void meeting_begin(struct meeting *meeting) {
    struct fake_peer *peer = fake_peer_create(&meeting->check.loop, NULL, NULL, NULL);
    struct tls_server_options server = {.credentials = credentials, .require_client = meeting->require_client, .counters = &meeting->ours.counters};
    struct tls_client_options client = {
        .credentials = credentials, .identities = &meeting->expected, .identity_count = 1, .counters = &meeting->ours.counters};
    meeting->ours.lower = peer;
    meeting->ours.tls = meeting->we_serve ? tls_server_create(peer->transport, &server, NULL, &tls_end_handler, &meeting->ours)
                                          : tls_client_create(peer->transport, &client, &tls_end_handler, &meeting->ours);
    stranger_begin(&meeting->stranger, !meeting->we_serve, peer);
    stranger_meet(&meeting->stranger, &meeting->check);
}

static void meeting_end(struct meeting *meeting) {
    tls_end_close(&meeting->ours, false);
    check_loop_settle(&meeting->check);
    tls_end_forget(&meeting->ours);
    stranger_end(&meeting->stranger);
    check_loop_dispose(&meeting->check);
}

static const struct tls_role_counters *role_of(const struct meeting *meeting) {
    return meeting->we_serve ? &meeting->ours.counters.server : &meeting->ours.counters.client;
}

// The stranger shows a leaf made of `template`, once as the client and once as the server; both must say `failure` with a text that has `text`.
static void assert_refused(const struct test_template *template, const struct test_identity *issuer, const struct test_identity *between,
                           enum tls_failure failure, const char *text) {
    struct test_identity identity = test_issue(template, issuer);
    for (int we_serve = 0; we_serve < 2; we_serve++) {
        struct meeting meeting;
        meeting_init(&meeting, we_serve, &identity, between);
        meeting_begin(&meeting);
        assert_int_equal(meeting.ours.ready, 1);
        assert_int_equal(meeting.ours.ready_error, ERROR_TLS_FAILED);
        assert_non_null(strstr(meeting.ours.failure, text));
        assert_int_equal(metric_read(&role_of(&meeting)->failed[failure]), 1);
        assert_true(meeting.stranger.alert >= 0);
        meeting_end(&meeting);
    }
    test_identity_free(&identity);
}

static void a_stranger_with_an_svid_is_let_in(void **state) {
    (void)state;
    struct test_identity identity = test_svid(CLIENT_ID, &root);
    for (int we_serve = 0; we_serve < 2; we_serve++) {
        struct meeting meeting;
        meeting_init(&meeting, we_serve, &identity, NULL);
        meeting_begin(&meeting);
        assert_int_equal(meeting.ours.ready_error, OK);
        assert_true(bytes_equal(meeting.ours.tls->peer_id->text, BYTES(CLIENT_ID)));
        assert_int_equal(meeting.ours.tls->alpn.len, 0); // it offers none, or knows none of ours
        assert_true(SSL_version(meeting.stranger.ssl) == TLS1_3_VERSION);
        meeting_end(&meeting);
    }
    test_identity_free(&identity);
}

static void threat_22_an_identity_with_another_character_for_the_dot_is_not_the_one(void **state) {
    (void)state;
    struct test_identity identity = test_svid("spiffe://school.local/ns/school/sa/saXname", &root);
    struct meeting meeting;
    const char *reason;
    meeting_init(&meeting, false, &identity, NULL);
    assert_int_equal(spiffe_id_parse(BYTES("spiffe://school.local/ns/school/sa/sa.name"), &meeting.expected, &reason), OK);
    meeting_begin(&meeting);
    assert_int_equal(meeting.ours.ready_error, ERROR_IDENTITY_MISMATCH);
    meeting_end(&meeting);
    test_identity_free(&identity);
}

static void threat_23_a_nul_byte_in_the_name_is_refused(void **state) {
    (void)state;
    struct test_template template = test_template_svid(CLIENT_ID);
    template.uris[0] = BYTES(CLIENT_ID "\0.attacker.example");
    assert_refused(&template, &root, NULL, TLS_FAILURE_NOT_SVID, svid_fault_text(SVID_FAULT_URI_INVALID));
}

static void threat_23_names_of_other_types_are_no_identity(void **state) {
    (void)state;
    struct test_template template = test_template_svid(CLIENT_ID);
    template.uris[0] = BYTES_NONE;
    template.other_names = "DNS:frontend.school.local,email:" CLIENT_ID ",otherName:1.2.3.4;UTF8:" CLIENT_ID;
    assert_refused(&template, &root, NULL, TLS_FAILURE_NOT_SVID, svid_fault_text(SVID_FAULT_URI_MISSING));
}

static void threat_23_an_extended_key_usage_for_one_end_only_is_refused(void **state) {
    (void)state;
    struct test_template template = test_template_svid(CLIENT_ID);
    template.extended_key_usage = "serverAuth";
    assert_refused(&template, &root, NULL, TLS_FAILURE_NOT_SVID, svid_fault_text(SVID_FAULT_EXTENDED_KEY_USAGE));
    template.extended_key_usage = "clientAuth";
    assert_refused(&template, &root, NULL, TLS_FAILURE_NOT_SVID, svid_fault_text(SVID_FAULT_EXTENDED_KEY_USAGE));
}

static void a_leaf_with_two_uris_is_refused(void **state) {
    (void)state;
    struct test_template template = test_template_svid(CLIENT_ID);
    template.uris[1] = BYTES("spiffe://school.local/ns/school/sa/admin");
    assert_refused(&template, &root, NULL, TLS_FAILURE_NOT_SVID, svid_fault_text(SVID_FAULT_URI_REPEATED));
}

static void a_leaf_whose_key_usage_is_missing_uncritical_or_wrong_is_refused(void **state) {
    (void)state;
    struct test_template template = test_template_svid(CLIENT_ID);
    template.key_usage = NULL;
    assert_refused(&template, &root, NULL, TLS_FAILURE_NOT_SVID, svid_fault_text(SVID_FAULT_KEY_USAGE_MISSING));
    template.key_usage = "digitalSignature";
    assert_refused(&template, &root, NULL, TLS_FAILURE_NOT_SVID, svid_fault_text(SVID_FAULT_KEY_USAGE_NOT_CRITICAL));
    template.key_usage = "critical,digitalSignature,keyCertSign";
    assert_refused(&template, &root, NULL, TLS_FAILURE_NOT_SVID, svid_fault_text(SVID_FAULT_SIGNS_CERTIFICATES));
    template.key_usage = "critical,digitalSignature,cRLSign";
    assert_refused(&template, &root, NULL, TLS_FAILURE_NOT_SVID, svid_fault_text(SVID_FAULT_SIGNS_REVOCATIONS));
}

static void an_authority_is_no_workload(void **state) {
    (void)state;
    struct test_template template = test_template_svid(CLIENT_ID);
    template.basic_constraints = "critical,CA:TRUE";
    assert_refused(&template, &root, NULL, TLS_FAILURE_NOT_SVID, svid_fault_text(SVID_FAULT_IS_AUTHORITY));
}

static void an_id_without_a_path_is_no_workload(void **state) {
    (void)state;
    struct test_template template = test_template_svid("spiffe://school.local");
    assert_refused(&template, &root, NULL, TLS_FAILURE_NOT_SVID, svid_fault_text(SVID_FAULT_URI_WITHOUT_PATH));
}

static void names_that_are_not_critical_beside_an_empty_subject_are_refused(void **state) {
    (void)state;
    struct test_template template = test_template_svid(CLIENT_ID);
    template.names_critical = false;
    assert_refused(&template, &root, NULL, TLS_FAILURE_NOT_SVID, svid_fault_text(SVID_FAULT_URI_NOT_CRITICAL));
}

static void an_expired_leaf_and_one_of_the_future_are_refused(void **state) {
    (void)state;
    struct test_template template = test_template_svid(CLIENT_ID);
    template.not_after_s = -1;
    assert_refused(&template, &root, NULL, TLS_FAILURE_EXPIRED, "has expired");
    template.not_before_s = template.not_after_s = 1000;
    assert_refused(&template, &root, NULL, TLS_FAILURE_EXPIRED, "not yet valid");
}

static void a_leaf_that_another_leaf_has_signed_is_refused(void **state) {
    (void)state;
    struct test_identity courses = test_svid("spiffe://school.local/ns/school/sa/courses", &root);
    struct test_template template = test_template_svid(CLIENT_ID);
    assert_refused(&template, &courses, &courses, TLS_FAILURE_UNTRUSTED, CLIENT_ID);
    test_identity_free(&courses);
}

static void a_leaf_of_a_root_of_another_trust_domain_is_refused(void **state) {
    (void)state;
    struct test_identity other = test_root("spiffe://other.local");
    struct test_template template = test_template_svid(CLIENT_ID);
    assert_refused(&template, &other, NULL, TLS_FAILURE_UNTRUSTED, CLIENT_ID);
    template.uris[0] = BYTES("spiffe://other.local/a");
    assert_refused(&template, &root, NULL, TLS_FAILURE_UNTRUSTED, "no root for its trust domain");
    test_identity_free(&other);
}

static void an_issuer_with_a_path_in_its_id_is_refused(void **state) {
    (void)state;
    struct test_identity issuer = test_intermediate("spiffe://school.local/ns/school/sa/issuer", &root);
    struct test_template template = test_template_svid(CLIENT_ID);
    assert_refused(&template, &issuer, &issuer, TLS_FAILURE_NOT_SVID, svid_fault_text(SVID_FAULT_AUTHORITY_WITH_PATH));
    test_identity_free(&issuer);
}

static void a_client_without_a_certificate_is_let_in_only_where_none_is_required(void **state) {
    (void)state;
    struct meeting meeting;
    meeting_init(&meeting, true, NULL, NULL);
    meeting_begin(&meeting);
    assert_int_equal(meeting.ours.ready_error, ERROR_TLS_FAILED);
    assert_int_equal(metric_read(&meeting.ours.counters.server.failed[TLS_FAILURE_NO_CERTIFICATE]), 1);
    assert_int_equal(meeting.stranger.alert, SSL_AD_CERTIFICATE_REQUIRED);
    meeting_end(&meeting);

    meeting_init(&meeting, true, NULL, NULL);
    meeting.require_client = false;
    meeting_begin(&meeting);
    assert_int_equal(meeting.ours.ready_error, OK);
    assert_null(meeting.ours.tls->peer_id);
    assert_true(tls_peer_left(meeting.ours.tls) == UINT64_MAX);
    assert_true(tls_peer_still_trusted(meeting.ours.tls, credentials));
    meeting_end(&meeting);
}

// The request has left by then, and a server whose handshake is done may have processed it: only what says that it is not done makes it safe to repeat.
static void a_server_has_refused_us_only_if_its_alert_is_about_our_certificate(void **state) {
    (void)state;
    static const struct {
        int verdict;
        enum error ended;
    } cases[] = {
        {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, ERROR_TLS_FAILED},      // unknown_ca
        {X509_V_ERR_CERT_HAS_EXPIRED, ERROR_TLS_FAILED},               // certificate_expired
        {X509_V_ERR_CERT_REVOKED, ERROR_TLS_FAILED},                   // certificate_revoked
        {X509_V_ERR_OUT_OF_MEM, ERROR_CONNECTION_RESET},               // internal_error
        {X509_V_ERR_APPLICATION_VERIFICATION, ERROR_CONNECTION_RESET}, // handshake_failure
    };
    struct test_identity identity = test_svid(CLIENT_ID, &root);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct meeting meeting;
        meeting_init(&meeting, false, &identity, NULL);
        meeting.stranger.verdict = cases[i].verdict;
        meeting_begin(&meeting);
        assert_int_equal(meeting.ours.ready_error, OK);
        assert_int_equal(meeting.ours.ended_error, cases[i].ended);
        assert_non_null(strstr(meeting.ours.failure, "the peer refused: "));
        uint64_t counted = metric_read(&meeting.ours.counters.client.failed[TLS_FAILURE_PEER_ALERT]);
        assert_int_equal(counted, cases[i].ended == ERROR_TLS_FAILED);
        meeting_end(&meeting);
    }
    test_identity_free(&identity);
}

static void older_versions_are_refused(void **state) {
    (void)state;
    struct test_identity identity = test_svid(CLIENT_ID, &root);
    for (int we_serve = 0; we_serve < 2; we_serve++) {
        struct meeting meeting;
        meeting_init(&meeting, we_serve, &identity, NULL);
        SSL_CTX_set_max_proto_version(meeting.stranger.context, TLS1_2_VERSION);
        meeting_begin(&meeting);
        assert_int_equal(meeting.ours.ready_error, ERROR_TLS_FAILED);
        assert_true(meeting.stranger.alert >= 0 || !we_serve);
        uint64_t counted =
            metric_read(&role_of(&meeting)->failed[TLS_FAILURE_NO_COMMON]) + metric_read(&role_of(&meeting)->failed[TLS_FAILURE_PEER_ALERT]);
        assert_int_equal(counted, 1);
        meeting_end(&meeting);
    }
    test_identity_free(&identity);
}

static void a_peer_with_no_common_group_is_refused(void **state) {
    (void)state;
    struct test_identity identity = test_svid(CLIENT_ID, &root);
    struct meeting meeting;
    char unknown[] = "P-521", common[] = "P-256";
    meeting_init(&meeting, true, &identity, NULL);
    assert_int_equal(SSL_CTX_set1_groups_list(meeting.stranger.context, unknown), 1);
    meeting_begin(&meeting);
    assert_int_equal(meeting.ours.ready_error, ERROR_TLS_FAILED);
    assert_int_equal(metric_read(&meeting.ours.counters.server.failed[TLS_FAILURE_NO_COMMON]), 1);
    meeting_end(&meeting);
    // P-256 alone is common.
    meeting_init(&meeting, true, &identity, NULL);
    assert_int_equal(SSL_CTX_set1_groups_list(meeting.stranger.context, common), 1);
    meeting_begin(&meeting);
    assert_int_equal(meeting.ours.ready_error, OK);
    meeting_end(&meeting);
    test_identity_free(&identity);
}

static void begin_open(struct meeting *meeting) {
    struct test_identity identity = test_svid(CLIENT_ID, &root);
    meeting_init(meeting, true, &identity, NULL);
    meeting_begin(meeting);
    assert_int_equal(meeting->ours.ready_error, OK);
    assert_true(meeting->stranger.done);
    test_identity_free(&identity);
}

static void a_close_notify_is_an_orderly_end_and_leaves_our_side_open(void **state) {
    (void)state;
    struct meeting meeting;
    begin_open(&meeting);
    SSL_write(meeting.stranger.ssl, "last", 4);
    SSL_shutdown(meeting.stranger.ssl);
    stranger_meet(&meeting.stranger, &meeting.check);
    fake_peer_end(meeting.ours.lower);
    check_loop_settle(&meeting.check);
    assert_true(tls_end_got(&meeting.ours, BYTES("last")));
    assert_int_equal(meeting.ours.ended, 1);
    assert_int_equal(meeting.ours.ended_error, ERROR_CONNECTION_CLOSED);
    tls_end_send(&meeting.ours, BYTES("answer"));
    check_loop_settle(&meeting.check);
    stranger_step(&meeting.stranger);
    assert_memory_equal(meeting.stranger.received, "answer", 6);
    fake_peer_reset(meeting.ours.lower, false);
    check_loop_settle(&meeting.check);
    assert_int_equal(meeting.ours.ended, 2);
    assert_int_equal(meeting.ours.ended_error, ERROR_CONNECTION_RESET);
    meeting_end(&meeting);
}

static void an_end_without_close_notify_is_a_break(void **state) {
    (void)state;
    struct meeting meeting;
    begin_open(&meeting);
    SSL_write(meeting.stranger.ssl, "half of a mess", 14);
    stranger_meet(&meeting.stranger, &meeting.check);
    fake_peer_end(meeting.ours.lower);
    check_loop_settle(&meeting.check);
    assert_true(tls_end_got(&meeting.ours, BYTES("half of a mess")));
    assert_int_equal(meeting.ours.ended, 1);
    assert_int_equal(meeting.ours.ended_error, ERROR_CONNECTION_RESET);
    assert_string_equal(meeting.ours.failure, "the connection ended without close_notify");
    assert_int_equal(metric_read(&meeting.ours.counters.truncated), 1);
    meeting_end(&meeting);
}

static void an_end_in_the_middle_of_a_record_is_a_break(void **state) {
    (void)state;
    struct meeting meeting;
    begin_open(&meeting);
    char record[256];
    meeting.stranger.mute = true;
    SSL_write(meeting.stranger.ssl, "half of a message", 17);
    int length = BIO_read(meeting.stranger.out, record, sizeof(record));
    fake_peer_send(meeting.ours.lower, bytes_from(record, (size_t)length - 1));
    fake_peer_end(meeting.ours.lower);
    check_loop_settle(&meeting.check);
    assert_int_equal(meeting.ours.received_length, 0);
    assert_int_equal(meeting.ours.ended_error, ERROR_CONNECTION_RESET);
    meeting_end(&meeting);
}

static void a_record_that_was_changed_breaks_the_connection_and_delivers_nothing(void **state) {
    (void)state;
    for (int at = 0; at < 30; at++) {
        struct meeting meeting;
        begin_open(&meeting);
        char record[256];
        meeting.stranger.mute = true;
        SSL_write(meeting.stranger.ssl, "a message", 9);
        int length = BIO_read(meeting.stranger.out, record, sizeof(record));
        assert_int_equal(length, 5 + 9 + 1 + 16);
        record[at] ^= 1;
        fake_peer_send(meeting.ours.lower, bytes_from(record, (size_t)length));
        check_loop_settle(&meeting.check);
        if (meeting.ours.ended == 0) { // its length has grown: the rest is waited for
            fake_peer_end(meeting.ours.lower);
            check_loop_settle(&meeting.check);
        }
        assert_int_equal(meeting.ours.received_length, 0);
        assert_int_equal(meeting.ours.ended, 1);
        assert_int_equal(meeting.ours.ended_error, ERROR_CONNECTION_RESET);
        assert_string_not_equal(meeting.ours.failure, "");
        meeting_end(&meeting);
    }
}

static void a_fatal_alert_breaks_the_connection(void **state) {
    (void)state;
    struct meeting meeting;
    begin_open(&meeting);
    // Garbage from us under the stranger's eyes makes it send one.
    SSL_write(meeting.stranger.ssl, "before", 6);
    stranger_meet(&meeting.stranger, &meeting.check);
    BIO_write(meeting.stranger.in,
              "\x17\x03\x03\x00\x20"
              "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
              37);
    stranger_meet(&meeting.stranger, &meeting.check);
    assert_int_equal(meeting.ours.ended, 1);
    assert_int_equal(meeting.ours.ended_error, ERROR_CONNECTION_RESET);
    assert_non_null(strstr(meeting.ours.failure, "the peer refused: "));
    meeting_end(&meeting);
}

static void a_new_key_is_taken_and_answered_while_bytes_flow(void **state) {
    (void)state;
    struct meeting meeting;
    begin_open(&meeting);
    for (int round = 0; round < 5; round++) {
        assert_int_equal(SSL_key_update(meeting.stranger.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        SSL_write(meeting.stranger.ssl, "ping", 4);
        stranger_meet(&meeting.stranger, &meeting.check);
        tls_end_send(&meeting.ours, BYTES("pong"));
        stranger_meet(&meeting.stranger, &meeting.check);
        assert_int_equal(SSL_get_key_update_type(meeting.stranger.ssl), SSL_KEY_UPDATE_NONE);
    }
    assert_true(tls_end_got(&meeting.ours, BYTES("pingpingpingpingping")));
    assert_memory_equal(meeting.stranger.received, "pongpongpongpongpong", 20);
    meeting_end(&meeting);
}

// Each answer would wait for room that never comes.
static void a_peer_that_asks_for_new_keys_and_reads_no_answer_is_left(void **state) {
    (void)state;
    struct meeting meeting;
    char record[64];
    begin_open(&meeting);
    fake_peer_accept(meeting.ours.lower, 0);
    meeting.stranger.mute = true;
    size_t most = 0;
    for (int asked = 0; asked < 10000 && meeting.ours.ended == 0; asked++) {
        assert_int_equal(SSL_key_update(meeting.stranger.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(meeting.stranger.ssl), 1);
        int length = BIO_read(meeting.stranger.out, record, sizeof(record));
        fake_peer_send(meeting.ours.lower, bytes_from(record, (size_t)length));
        check_loop_settle(&meeting.check);
        size_t waiting = tls_of(meeting.ours.tls)->lower->out.length;
        most = waiting > most ? waiting : most;
    }
    assert_int_equal(meeting.ours.ended, 1);
    assert_int_equal(meeting.ours.ended_error, ERROR_CONNECTION_RESET);
    assert_string_equal(meeting.ours.failure, "the peer asks for new keys and does not read them");
    assert_in_range(most, LIMIT_OUTPUT_BYTES / 2, LIMIT_OUTPUT_BYTES + sizeof(record));
    meeting_end(&meeting);
}

static void a_shutdown_says_close_notify_after_all_output(void **state) {
    (void)state;
    struct meeting meeting;
    begin_open(&meeting);
    buffer_append(&meeting.ours.tls->out, BYTES("all of it"));
    meeting.ours.tls->ops->shutdown(meeting.ours.tls);
    stranger_meet(&meeting.stranger, &meeting.check);
    assert_int_equal(meeting.stranger.received_length, 9);
    assert_true(meeting.stranger.closed);
    assert_true(meeting.ours.lower->shut_down);
    SSL_write(meeting.stranger.ssl, "more", 4); // its side is open still
    stranger_meet(&meeting.stranger, &meeting.check);
    assert_true(tls_end_got(&meeting.ours, BYTES("more")));
    meeting_end(&meeting);
}

static void a_close_says_close_notify_where_nothing_is_left_to_send(void **state) {
    (void)state;
    for (int mode = 0; mode < 3; mode++) {
        struct meeting meeting;
        begin_open(&meeting);
        if (mode == 1)
            buffer_append(&meeting.ours.tls->out, BYTES("dropped"));
        tls_end_close(&meeting.ours, mode == 2);
        check_loop_settle(&meeting.check);
        stranger_step(&meeting.stranger);
        assert_int_equal(meeting.stranger.closed, mode == 0);
        assert_int_equal(meeting.stranger.received_length, 0);
        meeting_end(&meeting);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stranger_with_an_svid_is_let_in),
        cmocka_unit_test(threat_22_an_identity_with_another_character_for_the_dot_is_not_the_one),
        cmocka_unit_test(threat_23_a_nul_byte_in_the_name_is_refused),
        cmocka_unit_test(threat_23_names_of_other_types_are_no_identity),
        cmocka_unit_test(threat_23_an_extended_key_usage_for_one_end_only_is_refused),
        cmocka_unit_test(a_leaf_with_two_uris_is_refused),
        cmocka_unit_test(a_leaf_whose_key_usage_is_missing_uncritical_or_wrong_is_refused),
        cmocka_unit_test(an_authority_is_no_workload),
        cmocka_unit_test(an_id_without_a_path_is_no_workload),
        cmocka_unit_test(names_that_are_not_critical_beside_an_empty_subject_are_refused),
        cmocka_unit_test(an_expired_leaf_and_one_of_the_future_are_refused),
        cmocka_unit_test(a_leaf_that_another_leaf_has_signed_is_refused),
        cmocka_unit_test(a_leaf_of_a_root_of_another_trust_domain_is_refused),
        cmocka_unit_test(an_issuer_with_a_path_in_its_id_is_refused),
        cmocka_unit_test(a_client_without_a_certificate_is_let_in_only_where_none_is_required),
        cmocka_unit_test(a_server_has_refused_us_only_if_its_alert_is_about_our_certificate),
        cmocka_unit_test(older_versions_are_refused),
        cmocka_unit_test(a_peer_with_no_common_group_is_refused),
        cmocka_unit_test(a_close_notify_is_an_orderly_end_and_leaves_our_side_open),
        cmocka_unit_test(an_end_without_close_notify_is_a_break),
        cmocka_unit_test(an_end_in_the_middle_of_a_record_is_a_break),
        cmocka_unit_test(a_record_that_was_changed_breaks_the_connection_and_delivers_nothing),
        cmocka_unit_test(a_fatal_alert_breaks_the_connection),
        cmocka_unit_test(a_new_key_is_taken_and_answered_while_bytes_flow),
        cmocka_unit_test(a_peer_that_asks_for_new_keys_and_reads_no_answer_is_left),
        cmocka_unit_test(a_shutdown_says_close_notify_after_all_output),
        cmocka_unit_test(a_close_says_close_notify_where_nothing_is_left_to_send),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
