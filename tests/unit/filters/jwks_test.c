// Keys that are fetched: who waits, how often the issuer is asked, what holds while it does not answer, and who may go meanwhile.
#include "unit/filters/authentication_drive.h"

#include "base/mailbox.h"
#include "config/authentication_config.h"
#include "config/url_service.h"
#include "filters/jwks.h"
#include "stream/subrequest.h"

#define DOCUMENTS BESIDE TOKENS("", PROVIDER(URL, ""))
#define METRIC(world, name) metric_read(&(world).loopback.far.metrics.name)

static struct issuer first, second;
static char good[TEST_TOKEN_SIZE], rotated[TEST_TOKEN_SIZE];

static int make_issuers(void **state) {
    (void)state;
    issuer_init(&first, "k1");
    issuer_init(&second, "k2");
    snprintf(good, sizeof good, "%s", token_with(&first, ",\"exp2\":1"));
    snprintf(rotated, sizeof rotated, "%s", token_with(&second, ""));
    return 0;
}

static int drop_issuers(void **state) {
    (void)state;
    issuer_dispose(&first);
    issuer_dispose(&second);
    return 0;
}

// A token of the first issuer that lives as long as a test needs.
static const char *lasting(const struct issuer *of) {
    static char token[TEST_TOKEN_SIZE];
    char header[64];
    snprintf(header, sizeof header, "{\"alg\":\"EdDSA\",\"kid\":\"%s\"}", of->id);
    test_token(of->key, JWT_EDDSA, header, "{\"iss\":\"https://id.example\",\"exp\":1900000000}", token);
    return token;
}

// The issuer's server goes on with what has come meanwhile.
static void go_on(struct world *world, const char *answer_body) {
    world->answer = answer_body;
    world_go_on(world);
}

// ---- the first ones wait

static void those_who_come_first_wait_for_one_fetch(void **state) {
    (void)state;
    struct world world;
    struct client clients[5];
    issuer_world_init(&world, DOCUMENTS, NULL);
    for (unsigned i = 0; i < 5; i++)
        begin(&clients[i], &world, request_with(i < 4 ? good : "nonsense", ""));
    assert_int_equal(clients[4].status, 401); // that takes no key
    assert_int_equal(clients[0].status, 0);
    assert_int_equal(METRIC(world, subrequests), 1);
    go_on(&world, first.keys);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(clients[i].status, i < 4 ? 200 : 401);
        client_dispose(&clients[i]);
    }
    assert_int_equal(world.questions, 1);
    assert_int_equal(METRIC(world, jwks_fetched), 1);
    assert_int_equal(status_with(&world, good), 200);
    assert_int_equal(METRIC(world, subrequests), 1);
    world_dispose(&world);
}

// What else wakes the stream is no answer of the issuer.
static void a_body_that_comes_while_waiting_changes_nothing(void **state) {
    (void)state;
    struct world world;
    struct client client;
    const union address address = {.v4 = {.sin_family = AF_INET}};
    issuer_world_init(&world, DOCUMENTS, NULL);
    client_begin_as(&client, &world.loopback, loopback_listener(&world.loopback, "inbound"), &(struct stream_client){.address = &address}, HTTP_1_1,
                    request_with(good, ""), false);
    loopback_settle(&world.loopback);
    client_send(&client, BYTES("x"), false);
    assert_int_equal(client.status, 0);
    client_end(&client, NULL);
    assert_int_equal(client.status, 0);
    go_on(&world, first.keys);
    assert_int_equal(client.status, 200);
    client_dispose(&client);
    world_dispose(&world);
}

// One policy that waits, and one in a dry run that would: the issuer's answer to the one is none for the other.
static void a_dry_run_wakes_nobody(void **state) {
    (void)state;
    static const char documents[] =
        BESIDE API "kind: AuthenticationPolicy\nmetadata: {name: a}\nspec:\n" TARGET_AUTH
                   "  mode: DryRun\n  jwt:\n" PROVIDER(URL, "") "---\n" TOKENS("", PROVIDER("uri: 'http://127.0.0.1:8004/jwks'", ""));
    struct world world;
    struct client client;
    issuer_world_init(&world, documents, NULL);
    fake_upstream_port(&world.loopback.far, 8004 % 10, FAR_WAIT);
    begin(&client, &world, request_with(good, ""));
    go_on(&world, first.keys);
    assert_int_equal(world.questions, 1);
    assert_int_equal(client.status, 0);
    client_fail(&client, ERROR_CLIENT_GONE);
    subrequests_cancel_all(&world.loopback.env);
    loopback_settle(&world.loopback);
    client_dispose(&client);
    world_dispose(&world);
}

static void who_goes_while_waiting_is_not_waited_for(void **state) {
    (void)state;
    struct world world;
    struct client gone, stays;
    issuer_world_init(&world, DOCUMENTS, NULL);
    begin(&gone, &world, request_with(good, ""));
    begin(&stays, &world, request_with(good, ""));
    client_fail(&gone, ERROR_CLIENT_GONE);
    client_dispose(&gone);
    go_on(&world, first.keys);
    assert_int_equal(stays.status, 200);
    client_dispose(&stays);
    assert_int_equal(world.asked, 1);
    world_dispose(&world);
}

static void what_nobody_waits_for_any_more_is_there_for_the_next(void **state) {
    (void)state;
    struct world world;
    struct client gone;
    issuer_world_init(&world, DOCUMENTS, NULL);
    begin(&gone, &world, request_with(good, ""));
    client_fail(&gone, ERROR_CLIENT_GONE);
    client_dispose(&gone);
    go_on(&world, first.keys);
    assert_int_equal(status_with(&world, good), 200);
    assert_int_equal(world.questions, 1);
    world_dispose(&world);
}

// Other documents, those without the policy too: whoever began before is judged by the old ones.
static void documents_may_change_meanwhile(void **state) {
    (void)state;
    static const char *const others[] = {DOCUMENTS, BESIDE TOKENS("  required: true\n", PROVIDER(URL, ", clockSkew: 61s")), BESIDE};
    for (size_t i = 0; i < 3; i++) {
        struct world world;
        struct client client;
        issuer_world_init(&world, DOCUMENTS, NULL);
        begin(&client, &world, request_with(good, ""));
        loopback_apply(&world.loopback, others[i]);
        loopback_settle(&world.loopback);
        go_on(&world, first.keys);
        assert_int_equal(client.status, 200);
        client_dispose(&client);
        assert_int_equal(status_with(&world, good), 200);
        assert_int_equal(world.questions, i == 1 ? 2 : 1); // who judges in another way begins anew
        world_dispose(&world);
    }
}

static void a_worker_that_ends_leaves_nothing(void **state) {
    (void)state;
    struct world world;
    struct client client;
    issuer_world_init(&world, DOCUMENTS, NULL);
    begin(&client, &world, request_with(good, ""));
    client_fail(&client, ERROR_CLIENT_GONE);
    subrequests_cancel_all(&world.loopback.env);
    loopback_settle(&world.loopback);
    client_dispose(&client);
    world_dispose(&world); // which misses everything
}

// ---- failing closed

static void without_keys_no_token_is_good(void **state) {
    (void)state;
    static const struct {
        unsigned status;
        const char *fields, *body;
    } answers[] = {{500, "", "{\"keys\":[]}"},
                   {302, "location: http://127.0.0.1:8003/other\n", ""},
                   {200, "", "<html>"},
                   {200, "", ""},
                   {200, "", "{\"keys\":[{}]}"}};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct world world;
        issuer_world_init(&world, DOCUMENTS, NULL);
        world.status = answers[i].status;
        world.answer = answers[i].body;
        world.fields = answers[i].fields;
        struct client client;
        begin(&client, &world, request_with(good, ""));
        assert_int_equal(client.status, 401);
        assert_string_equal(client_field(&client, "www-authenticate"), "Bearer"); // nothing is known against the token
        client_dispose(&client);
        assert_string_equal(world.loopback.record.detail, "there are no keys to verify it with");
        assert_int_equal(status_with(&world, NULL), 200);
        assert_int_equal(status_with(&world, good), 401);
        assert_int_equal(world.questions, 1); // once a second
        world.status = 200;
        world.answer = first.keys;
        loopback_pass(&world.loopback, NS_PER_S);
        assert_int_equal(status_with(&world, good), 200);
        assert_int_equal(METRIC(world, jwks_failed), 1);
        world_dispose(&world);
    }
}

static void an_issuer_that_is_slow_is_waited_for_so_long(void **state) {
    (void)state;
    struct world world;
    struct client client;
    issuer_world_init(&world, BESIDE TOKENS("", PROVIDER(URL ", timeout: 500ms", "")), NULL);
    begin(&client, &world, request_with(good, ""));
    loopback_pass(&world.loopback, 499 * NS_PER_MS);
    assert_int_equal(client.status, 0);
    loopback_pass(&world.loopback, NS_PER_MS);
    assert_int_equal(client.status, 401);
    client_dispose(&client);
    world_dispose(&world);
}

static void an_issuer_that_is_dead_is_not_waited_for(void **state) {
    (void)state;
    struct world world;
    issuer_world_init(&world, DOCUMENTS, &first);
    fake_upstream_port(&world.loopback.far, ISSUER_PORT % 10, FAR_REFUSE);
    assert_int_equal(status_with(&world, good), 401);
    world_dispose(&world);
}

// What is longer than a set of keys can be is not read to its end.
static void a_long_answer_is_none(void **state) {
    (void)state;
    struct world world;
    static char body[JWK_SET_BYTES_MAX + 64 * 1024];
    memset(body, ' ', sizeof body - 1);
    issuer_world_init(&world, DOCUMENTS, NULL);
    world.answer = body;
    assert_int_equal(status_with(&world, good), 401);
    world_dispose(&world);
}

// ---- keys change

static void a_key_that_is_unknown_is_asked_for_every_ten_seconds(void **state) {
    (void)state;
    struct world world;
    issuer_world_init(&world, DOCUMENTS, &first);
    assert_int_equal(status_with(&world, good), 200);
    world.answer = second.keys; // rotated, a moment after they were fetched
    assert_int_equal(status_with(&world, rotated), 401);
    assert_string_equal(world.loopback.record.detail, "unknown key");
    assert_int_equal(world.questions, 1);
    loopback_pass(&world.loopback, 10 * NS_PER_S);
    assert_int_equal(status_with(&world, rotated), 200);
    assert_int_equal(status_with(&world, good), 401); // what was verified by the old keys is not believed any more
    assert_int_equal(world.questions, 2);
    for (unsigned i = 0; i < 30; i++) {
        assert_int_equal(status_with(&world, good), 401);
        loopback_pass(&world.loopback, NS_PER_S);
    }
    assert_int_equal(world.questions, 4);
    world_dispose(&world);
}

// At three quarters of their time, by a request that does not wait.
static void keys_are_fetched_anew_before_their_time_is_over(void **state) {
    (void)state;
    struct world world;
    issuer_world_init(&world, BESIDE TOKENS("", PROVIDER(URL ", cacheFor: 100s", "")), &first);
    const char *token = lasting(&first);
    assert_int_equal(status_with(&world, token), 200);
    loopback_pass(&world.loopback, 74 * NS_PER_S);
    assert_int_equal(status_with(&world, token), 200);
    assert_int_equal(world.questions, 1);
    loopback_pass(&world.loopback, NS_PER_S);
    world.answer = NULL; // slowly
    assert_int_equal(status_with(&world, token), 200);
    assert_int_equal(METRIC(world, subrequests), 2);
    go_on(&world, first.keys);
    assert_int_equal(status_with(&world, token), 200);
    assert_int_equal(METRIC(world, tokens_verified), 1); // the same keys: what was verified stays so
    assert_int_equal(world.questions, 2);
    world_dispose(&world);
}

static void the_answer_says_how_long_it_is_fresh(void **state) {
    (void)state;
    static const struct {
        const char *fields;
        unsigned refreshed_s; // three quarters of it
    } cases[] = {{"", 450},
                 {"cache-control: public, max-age=400\n", 300},
                 {"cache-control: max-age=1\n", 45},
                 {"cache-control: no-store\n", 45},
                 {"cache-control: max-age=99999999999999999999\n", 64800},
                 {"cache-control: max-age=x\n", 45}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world world;
        issuer_world_init(&world, DOCUMENTS, &first);
        world.fields = cases[i].fields;
        const char *token = lasting(&first);
        assert_int_equal(status_with(&world, token), 200);
        loopback_pass(&world.loopback, (cases[i].refreshed_s - 1) * NS_PER_S);
        assert_int_equal(status_with(&world, token), 200);
        assert_int_equal(world.questions, 1);
        loopback_pass(&world.loopback, NS_PER_S);
        assert_int_equal(status_with(&world, token), 200);
        assert_int_equal(world.questions, 2);
        world_dispose(&world);
    }
}

static void the_last_keys_are_kept_for_so_long_and_no_longer(void **state) {
    (void)state;
    struct world world;
    issuer_world_init(&world, BESIDE TOKENS("", PROVIDER(URL ", cacheFor: 100s, keepFor: 50s", "")), &first);
    const char *token = lasting(&first);
    assert_int_equal(status_with(&world, token), 200);
    world.status = 503;
    for (unsigned i = 0; i < 149; i++) {
        loopback_pass(&world.loopback, NS_PER_S);
        assert_int_equal(status_with(&world, token), 200);
    }
    assert_int_equal(METRIC(world, jwks_failed), 8); // every ten seconds from the 75th on
    loopback_pass(&world.loopback, NS_PER_S);
    assert_int_equal(status_with(&world, token), 401);
    world.status = 200;
    loopback_pass(&world.loopback, NS_PER_S);
    assert_int_equal(status_with(&world, token), 200);
    world_dispose(&world);
}

// A dry run asks too, but nobody waits.
static void a_dry_run_waits_for_nothing(void **state) {
    (void)state;
    struct world world;
    issuer_world_init(&world, BESIDE TOKENS("  mode: DryRun\n", PROVIDER(URL, "")), NULL);
    assert_int_equal(status_with(&world, good), 200);
    assert_string_equal(world.loopback.record.dry_run, "");
    go_on(&world, second.keys);
    assert_int_equal(status_with(&world, good), 200);
    assert_string_equal(world.loopback.record.dry_run, "AuthenticationPolicy/default/t: main: unauthenticated");
    world_dispose(&world);
}

static void a_question_has_nothing_fetched(void **state) {
    (void)state;
    struct world world;
    issuer_world_init(&world, DOCUMENTS, &first);
    struct told told = told_of(&world, request_with(good, ""));
    assert_int_equal(told.outcome, STEP_DEPENDS);
    assert_string_equal(told.rule, "main");
    assert_string_equal(told.reason, "the keys that are fetched for it");
    assert_int_equal(world.questions, 0);
    assert_int_equal(status_with(&world, good), 200);
    assert_int_equal(told_of(&world, request_with(good, "")).outcome, STEP_PASSED);
    assert_int_equal(told_of(&world, request_with(rotated, "")).outcome, STEP_DEPENDS);
    assert_int_equal(world.questions, 1);
    world_dispose(&world);
}

// ---- workers

// A worker with a stream that may ask, and an issuer that it would ask.
struct asking {
    struct loopback world;
    struct client client;
    struct service_url url;
    struct jwt_provider provider;
};

static void asking_init(struct asking *asking, nanoseconds later) {
    loopback_init(&asking->world, PROXY SERVICE("HTTP1", ONE), NULL);
    loopback_pass(&asking->world, later);
    client_ask(&asking->client, &asking->world, "GET a /\n");
    asking->url = (struct service_url){.text = BYTES("http://a/jwks"),
                                       .service = snapshot_find_host(asking->world.bound->snapshot, BYTES("a"), 80),
                                       .authority = BYTES("a"),
                                       .path = BYTES("/jwks")};
    asking->provider = (struct jwt_provider){.url = &asking->url, .timeout = NS_PER_S};
}

static void asking_dispose(struct asking *asking) {
    client_fail(&asking->client, ERROR_CLIENT_GONE);
    client_dispose(&asking->client);
    loopback_dispose(&asking->world);
}

static enum jwks_wait await(struct asking *asking, struct jwks *jwks, struct jwks_waiter *waiter) {
    list_init(&waiter->link);
    return jwks_await(jwks, asking->client.stream, &asking->provider, JWKS_NONE, 0, waiter);
}

// A worker has been left a note that the fetch of another one is over, and before it reads that it begins one of its own, which fails at once and wakes all that wait. Nobody is left then to
// take the note back.
static void no_note_outlives_those_who_waited(void **state) {
    (void)state;
    struct asking here, there;
    struct jwks_waiter waiters[3];
    struct jwks *jwks = jwks_create();
    asking_init(&there, 0);
    asking_init(&here, 5 * NS_PER_S); // so that it may ask again
    assert_int_equal(await(&there, jwks, &waiters[0]), JWKS_COMING);
    assert_int_equal(await(&here, jwks, &waiters[1]), JWKS_COMING);
    subrequests_cancel_all(&there.world.env);
    loopback_settle(&there.world);
    assert_false(list_is_linked(&waiters[0].link));
    assert_true(list_is_linked(&waiters[1].link)); // it has not read its note
    here.world.env.refuses_streams = true;
    assert_int_equal(await(&here, jwks, &waiters[2]), JWKS_LACKING);
    assert_false(list_is_linked(&waiters[1].link));
    for (int i = 0; i < 2; i++)
        jwks_leave(&waiters[i]);
    jwks_unref(jwks);
    mailbox_receive(&here.world.env.loop->mailbox, NULL); // AddressSanitizer sees what is read of the keys that are gone
    asking_dispose(&here);
    asking_dispose(&there);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_who_come_first_wait_for_one_fetch),
        cmocka_unit_test(a_body_that_comes_while_waiting_changes_nothing),
        cmocka_unit_test(a_dry_run_wakes_nobody),
        cmocka_unit_test(who_goes_while_waiting_is_not_waited_for),
        cmocka_unit_test(what_nobody_waits_for_any_more_is_there_for_the_next),
        cmocka_unit_test(documents_may_change_meanwhile),
        cmocka_unit_test(a_worker_that_ends_leaves_nothing),
        cmocka_unit_test(without_keys_no_token_is_good),
        cmocka_unit_test(an_issuer_that_is_slow_is_waited_for_so_long),
        cmocka_unit_test(an_issuer_that_is_dead_is_not_waited_for),
        cmocka_unit_test(a_long_answer_is_none),
        cmocka_unit_test(a_key_that_is_unknown_is_asked_for_every_ten_seconds),
        cmocka_unit_test(keys_are_fetched_anew_before_their_time_is_over),
        cmocka_unit_test(the_answer_says_how_long_it_is_fresh),
        cmocka_unit_test(the_last_keys_are_kept_for_so_long_and_no_longer),
        cmocka_unit_test(a_dry_run_waits_for_nothing),
        cmocka_unit_test(a_question_has_nothing_fetched),
        cmocka_unit_test(no_note_outlives_those_who_waited),
    };
    return cmocka_run_group_tests(tests, make_issuers, drop_issuers);
}
