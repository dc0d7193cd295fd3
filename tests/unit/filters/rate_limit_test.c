// RateLimitPolicy in front of an application and of a service outside the mesh: what passes, what a refusal says, and what is charged for, on a clock of its own.
#include "filters/registry.h"

#include "unit/stream/stream_drive.h"

// The inbound listener of PROXY stands before the application of service `auth`.
#define BESIDE                                                                                                                 \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n"                                                                            \
        "  service: auth\n"                                                                                                    \
        "  listeners:\n"                                                                                                       \
        "  - {name: outbound, role: Outbound, address: '127.0.0.1:15001'}\n"                                                   \
        "  - {name: inbound, role: Inbound, address: '127.0.0.1:15006', forwardTo: '127.0.0.1:8009', mtls: {mode: Disable}}\n" \
        "  telemetry: {accessLog: {path: /dev/null, filter: All}}\n---\n" SERVICE("HTTP2", ONE)
#define LIMITS_OF(name, target, more, rules)                                                                                                    \
    API "kind: RateLimitPolicy\nmetadata: {name: " name "}\nspec:\n  targetRefs: [{kind: Service, name: " target "}]\n" more "  rules:\n" rules \
        "---\n"
#define LOGIN                                                                                                                                      \
    "  - {name: login, matches: [{method: POST, path: {type: Exact, value: /login}}], key: [{type: ClientAddress}], limits: [{requests: 10, per: " \
    "1m}]}\n"                                                                                                                                      \
    "  - {name: api, key: [{type: ClientAddress}], limits: [{requests: 60, per: 1m}]}\n"
#define ROLES                                                                                                                                    \
    "  - name: roles\n    key: [{type: Header, name: x-user}]\n    tier: {from: {type: Header, name: x-role}, default: anonymous}\n    tiers:\n" \
    "    - {name: anonymous, limits: [{requests: 3, per: 1m}]}\n    - {name: basic, limits: [{requests: 10, per: 1m}]}\n"                        \
    "    - {name: premium, limits: [{requests: 20, per: 1m}]}\n    - {name: admin, limits: [{requests: 50, per: 1m}]}\n"

static union address address_of(uint32_t last) {
    union address address = {0};
    address.v4.sin_family = AF_INET;
    address.v4.sin_addr.s_addr = htonl(0x0a000000 + last);
    return address;
}

// The request that has come last of all to the servers, and its connection; NULL: there was none yet.
static struct owner_stream *newest(struct loopback *world, unsigned *count, struct far_conn **of) {
    struct owner_stream *found = NULL;
    *count = 0;
    *of = NULL;
    for (struct far_conn *conn = world->far.conns; conn != NULL; conn = conn->next)
        for (struct owner_stream *stream = conn->speaks ? conn->server.streams : NULL; stream != NULL; stream = stream->next) {
            ++*count;
            if (stream == conn->server.last) {
                found = stream;
                *of = conn;
            }
        }
    return found;
}

// What came of a request.
struct outcome {
    unsigned status;
    bool was_asked;       // the application was
    char retry_after[16]; // and the other fields; empty: none
    char limit[64], limit_policy[64];
    struct text body;
};

// One request to the listener from 10.0.0.`from`; the application answers `status`.
static struct outcome ask(struct loopback *world, const char *listener, uint32_t from, const char *request, unsigned status) {
    const union address address = address_of(from);
    const struct stream_client who = {.address = &address};
    struct outcome outcome = {0};
    struct client client;
    struct far_conn *conn;
    unsigned before, after;
    newest(world, &before, &conn);
    client_begin_as(&client, world, loopback_listener(world, listener), &who, HTTP_1_1, request, true);
    loopback_settle(world);
    struct owner_stream *received = newest(world, &after, &conn);
    outcome.was_asked = after > before;
    if (outcome.was_asked)
        far_respond(conn, received, status, "content-length: 0\n", "", true);
    static const char *const names[] = {"retry-after", "ratelimit", "ratelimit-policy"};
    char *const places[] = {outcome.retry_after, outcome.limit, outcome.limit_policy};
    const size_t sizes[] = {sizeof outcome.retry_after, sizeof outcome.limit, sizeof outcome.limit_policy};
    for (size_t i = 0; i < 3; i++) {
        const char *value = client_field(&client, names[i]);
        snprintf(places[i], sizes[i], "%s", value == NULL ? "" : value);
    }
    outcome.status = client.status;
    outcome.body = client.body;
    client.body = (struct text){0};
    client_dispose(&client);
    return outcome;
}

static unsigned status_of(struct loopback *world, uint32_t from, const char *request) {
    struct outcome outcome = ask(world, "inbound", from, request, 200);
    text_dispose(&outcome.body);
    assert_int_equal(outcome.was_asked, outcome.status == 200);
    return outcome.status;
}

// How many of `times` passed.
static unsigned passes(struct loopback *world, uint32_t from, const char *request, unsigned times) {
    unsigned passed = 0;
    for (unsigned i = 0; i < times; i++)
        passed += status_of(world, from, request) == 200;
    return passed;
}

// ---- what passes

static void log_ins_are_ten_a_minute_for_each_client_and_all_else_sixty(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, BESIDE LIMITS_OF("l", "auth", "", LOGIN), filter_types);
    assert_int_equal(passes(&world, 1, "POST auth /login\ncontent-length: 0\n", 15), 10);
    assert_int_equal(passes(&world, 2, "POST auth /login\ncontent-length: 0\n", 15), 10);
    assert_int_equal(passes(&world, 1, "GET auth /login\n", 60), 50); // ten of the sixty went to log-ins; those that were refused cost nothing
    loopback_pass(&world, 6 * NS_PER_S);
    assert_int_equal(passes(&world, 1, "POST auth /login\ncontent-length: 0\n", 5), 1);
    loopback_dispose(&world);
}

static void a_tier_has_its_own_limits_and_no_value_is_another_s(void **state) {
    (void)state;
    static const struct {
        const char *request;
        unsigned passed;
    } cases[] = {{"GET auth /\nx-user: a\n", 3},
                 {"GET auth /\nx-user: b\nx-role: basic\n", 10},
                 {"GET auth /\nx-user: c\nx-role: premium\n", 20},
                 {"GET auth /\nx-user: d\nx-role: admin\n", 50},
                 {"GET auth /\nx-user: e\nx-role: root\n", 3},
                 {"GET auth /\nx-user: f\nx-role: Admin\n", 3},
                 {"GET auth /\nx-user: g\nx-role: basic\nx-role: admin\n", 3}};
    struct loopback world;
    loopback_init(&world, BESIDE LIMITS_OF("l", "auth", "", ROLES), filter_types);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(passes(&world, 1, cases[i].request, 60), cases[i].passed);
    loopback_dispose(&world);
}

static void who_leaves_the_key_out_is_limited_with_all_others_who_do(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world,
                  BESIDE LIMITS_OF("l", "auth", "", "  - {name: r, key: [{type: Header, name: x-api-key}], limits: [{requests: 5, per: 1m}]}\n"),
                  filter_types);
    assert_int_equal(passes(&world, 1, "GET auth /\n", 4), 4);
    assert_int_equal(passes(&world, 2, "GET auth /\n", 4), 1);
    assert_int_equal(passes(&world, 2, "GET auth /\nx-api-key: k\n", 8), 5);
    loopback_dispose(&world);
}

static void a_quota_is_used_up_whatever_the_limit_lets_pass(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, BESIDE LIMITS_OF("l", "auth", "", "  - {name: r, limits: [{requests: 100, per: 1s}], quota: {requests: 7, per: Month}}\n"),
                  filter_types);
    assert_int_equal(passes(&world, 1, "GET auth /\n", 20), 7);
    struct outcome outcome = ask(&world, "inbound", 1, "GET auth /\n", 200);
    assert_int_equal(outcome.status, 429);
    assert_int_equal(world.record.end, ERROR_QUOTA_EXCEEDED);
    assert_string_equal(outcome.limit_policy, "\"r\";q=7");
    assert_string_equal(world.record.detail, "7 in a month");
    text_dispose(&outcome.body);
    loopback_dispose(&world);
}

static void a_quota_begins_anew_with_its_period(void **state) {
    (void)state;
    struct loopback world;
    struct loop *loop = &world.far.check.loop;
    loopback_init(&world, BESIDE LIMITS_OF("l", "auth", "", "  - {name: r, limits: [{requests: 100, per: 1s}], quota: {requests: 7, per: Month}}\n"),
                  filter_types);
    loop->wall_ahead = UINT64_C(1709251195) * NS_PER_S - loop->now; // 29 February 2024, 23:59:55
    assert_int_equal(passes(&world, 1, "GET auth /\n", 9), 7);
    struct outcome outcome = ask(&world, "inbound", 1, "GET auth /\n", 200);
    assert_string_equal(outcome.retry_after, "5");
    text_dispose(&outcome.body);
    loopback_pass(&world, 4900 * NS_PER_MS);
    assert_int_equal(passes(&world, 1, "GET auth /\n", 9), 0);
    loopback_pass(&world, 100 * NS_PER_MS);
    assert_int_equal(passes(&world, 1, "GET auth /\n", 9), 7);
    loopback_dispose(&world);
}

static void a_key_that_stands_twice_is_none(void **state) {
    (void)state;
    static const struct {
        const char *part, *before, *behind; // of a number that is another one in each request
    } cases[] = {{"{type: Header, name: x-api-key}", "GET auth /\nx-api-key: real\nx-api-key: ", "\n"},
                 {"{type: Header, name: x-api-key}", "GET auth /\nx-api-key: real\nx_api_key: ", "\n"},
                 {"{type: Cookie, name: k}", "GET auth /\ncookie: k=", "; k=real\n"},
                 {"{type: Query, name: k}", "GET auth /?k=", "&k=real\n"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loopback world;
        char documents[4096], request[128];
        unsigned passed = 0;
        snprintf(documents, sizeof documents, BESIDE LIMITS_OF("l", "auth", "", "  - {name: r, key: [%s], limits: [{requests: 3, per: 1m}]}\n"),
                 cases[i].part);
        loopback_init(&world, documents, filter_types);
        for (int j = 0; j < 10; j++) {
            snprintf(request, sizeof request, "%s%d%s", cases[i].before, j, cases[i].behind);
            passed += status_of(&world, 1, request) == 200;
        }
        assert_int_equal(passed, 3);
        loopback_dispose(&world);
    }
}

// ---- what a refusal says

static void a_refusal_says_which_limit_and_for_how_long(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, BESIDE LIMITS_OF("l", "auth", "", LOGIN), filter_types);
    passes(&world, 1, "POST auth /login\ncontent-length: 0\n", 10);
    loopback_pass(&world, 500 * NS_PER_MS);
    struct outcome outcome = ask(&world, "inbound", 1, "POST auth /login\ncontent-length: 0\n", 200);
    assert_int_equal(outcome.status, 429);
    assert_false(outcome.was_asked);
    assert_string_equal(outcome.retry_after, "6"); // 5.5 s
    assert_string_equal(outcome.limit, "\"login\";r=0;t=6");
    assert_string_equal(outcome.limit_policy, "\"login\";q=10;w=60");
    assert_string_equal(outcome.body.at,
                        "{\"type\":\"https://iana.org/assignments/http-problem-types#quota-exceeded\",\"title\":\"Too Many Requests\",\"status\":429,"
                        "\"detail\":\"rate_limited: 10 in 60000 ms\",\"violated-policies\":[\"login\"]}\n");
    assert_int_equal(world.record.end, ERROR_RATE_LIMITED);
    assert_string_equal(world.record.policy, "RateLimitPolicy/default/l: login");
    text_dispose(&outcome.body);
    loopback_dispose(&world);
}

static void retry_after_is_never_zero(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, BESIDE LIMITS_OF("l", "auth", "", "  - {name: r, limits: [{requests: 1000, per: 1s, burst: 1}]}\n"), filter_types);
    assert_int_equal(status_of(&world, 1, "GET auth /\n"), 200);
    struct outcome outcome = ask(&world, "inbound", 1, "GET auth /\n", 200);
    assert_string_equal(outcome.retry_after, "1");
    text_dispose(&outcome.body);
    loopback_dispose(&world);
}

static void a_call_of_grpc_is_refused_in_its_own_words(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    const union address address = address_of(1);
    const struct stream_client who = {.address = &address};
    loopback_init(&world, BESIDE LIMITS_OF("l", "auth", "", "  - {name: r, limits: [{requests: 1, per: 1m}]}\n"), filter_types);
    assert_int_equal(status_of(&world, 1, "GET auth /\n"), 200);
    client_begin_as(&client, &world, loopback_listener(&world, "inbound"), &who, HTTP_2,
                    "POST auth /a/b\ncontent-type: application/grpc\nte: trailers\n", true);
    loopback_settle(&world);
    assert_int_equal(client.status, 200);
    assert_string_equal(client_field(&client, "grpc-status"), "8");
    assert_string_equal(client_field(&client, "grpc-retry-pushback-ms"), "60000");
    client_dispose(&client);
    loopback_dispose(&world);
}

// ---- what is charged for

static void what_another_rule_refuses_costs_nothing(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world,
                  BESIDE LIMITS_OF("a", "auth", "", "  - {name: all, limits: [{requests: 5, per: 1m}]}\n")
                      LIMITS_OF("b", "auth", "", "  - {name: few, matches: [{path: {value: /few}}], limits: [{requests: 1, per: 1m}]}\n"),
                  filter_types);
    assert_int_equal(passes(&world, 1, "GET auth /few\n", 20), 1);
    assert_int_equal(passes(&world, 1, "GET auth /\n", 20), 4);
    loopback_dispose(&world);
}

static void some_responses_alone_may_count(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, BESIDE LIMITS_OF("l", "auth", "", "  - {name: r, limits: [{requests: 3, per: 1m}], charge: {statuses: [401, 403]}}\n"),
                  filter_types);
    assert_int_equal(passes(&world, 1, "GET auth /\n", 20), 20);
    static const unsigned failures[] = {401, 404, 403, 500, 401};
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        struct outcome outcome = ask(&world, "inbound", 1, "GET auth /\n", failures[i]);
        assert_int_equal(outcome.status, failures[i]);
        text_dispose(&outcome.body);
    }
    assert_int_equal(status_of(&world, 1, "GET auth /\n"), 429);
    loopback_pass(&world, 20 * NS_PER_S);
    assert_int_equal(status_of(&world, 1, "GET auth /\n"), 200);
    loopback_dispose(&world);
}

// Rules are asked in their order, whenever each is charged.
static void the_first_rule_that_says_no_is_the_one(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world,
                  BESIDE LIMITS_OF("l", "auth", "",
                                   "  - {name: first, limits: [{requests: 1, per: 1m}]}\n"
                                   "  - {name: second, limits: [{requests: 1, per: 1h}], charge: {statuses: [401]}}\n"),
                  filter_types);
    struct outcome outcome = ask(&world, "inbound", 1, "GET auth /\n", 401);
    text_dispose(&outcome.body);
    outcome = ask(&world, "inbound", 1, "GET auth /\n", 200);
    assert_int_equal(outcome.status, 429);
    assert_has(outcome.limit, "\"first\"");
    text_dispose(&outcome.body);
    loopback_dispose(&world);
}

static void an_answer_that_is_not_read_counts_all_the_same(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    const union address address = address_of(1);
    const struct stream_client who = {.address = &address};
    loopback_init(&world, BESIDE LIMITS_OF("l", "auth", "", "  - {name: r, limits: [{requests: 1, per: 1m}], charge: {statuses: [401]}}\n"),
                  filter_types);
    client_begin_as(&client, &world, loopback_listener(&world, "inbound"), &who, HTTP_1_1, "GET auth /\n", true);
    client.accepts = 0;
    loopback_settle(&world);
    far_respond(far_conn(&world.far, 0), far_conn(&world.far, 0)->server.last, 401, "content-length: 5\n", "never", true);
    assert_int_equal(client.status, 401);
    assert_false(client.done);
    struct outcome outcome = ask(&world, "inbound", 1, "GET auth /\n", 200);
    assert_int_equal(outcome.status, 429);
    text_dispose(&outcome.body);
    client_accept(&client, 5);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void what_a_filter_answers_is_charged_for(void **state) {
    (void)state;
#define REDIRECT                                                                              \
    "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n" \
    "  parentRefs: [{group: '', kind: Service, name: a}]\n  rules:\n  - filters: [{type: RequestRedirect, requestRedirect: {hostname: b}}]\n---\n"
    struct loopback world;
    loopback_init(&world, BESIDE LIMITS_OF("l", "a", "", "  - {name: r, limits: [{requests: 3, per: 1m}]}\n") REDIRECT, filter_types);
    for (unsigned i = 0; i < 5; i++) {
        struct outcome outcome = ask(&world, "outbound", 1, "GET a /\n", 200);
        assert_int_equal(outcome.status, i < 3 ? 302 : 429);
        text_dispose(&outcome.body);
    }
    loopback_dispose(&world);
}

static void who_gives_up_has_still_come(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    const union address address = address_of(1);
    const struct stream_client who = {.address = &address};
    loopback_init(&world, BESIDE LIMITS_OF("l", "auth", "", "  - {name: r, limits: [{requests: 2, per: 1m}]}\n"), filter_types);
    client_begin_as(&client, &world, loopback_listener(&world, "inbound"), &who, HTTP_1_1, "GET auth /\n", true);
    loopback_settle(&world);
    client_fail(&client, ERROR_CLIENT_GONE);
    client_dispose(&client);
    assert_int_equal(passes(&world, 1, "GET auth /\n", 5), 1);
    loopback_dispose(&world);
}

// ---- dry run, reload, where it acts

static void a_dry_run_is_told_and_refuses_nothing(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, BESIDE LIMITS_OF("l", "auth", "  mode: DryRun\n", "  - {name: r, limits: [{requests: 2, per: 1m}]}\n"), filter_types);
    assert_int_equal(passes(&world, 1, "GET auth /\n", 2), 2);
    assert_string_equal(world.record.dry_run, "");
    assert_int_equal(passes(&world, 1, "GET auth /\n", 5), 5);
    assert_string_equal(world.record.dry_run, "RateLimitPolicy/default/l: r: rate_limited");
    assert_int_equal(world.record.end, OK);
    loopback_pass(&world, 30 * NS_PER_S); // what was not let pass, in its world, has cost nothing there
    assert_int_equal(status_of(&world, 1, "GET auth /\n"), 200);
    assert_string_equal(world.record.dry_run, "");
    loopback_dispose(&world);
}

static void a_reload_keeps_what_was_used(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, BESIDE LIMITS_OF("l", "auth", "", "  - {name: r, limits: [{requests: 10, per: 1m}]}\n"), filter_types);
    assert_int_equal(passes(&world, 1, "GET auth /\n", 20), 10);
    loopback_apply(&world, BESIDE LIMITS_OF("l", "auth", "", "  - {name: r, limits: [{requests: 10, per: 1m}]}\n"));
    assert_int_equal(passes(&world, 1, "GET auth /\n", 20), 0);
    loopback_apply(&world, BESIDE LIMITS_OF("l", "auth", "", "  - {name: r, limits: [{requests: 20, per: 1m}]}\n"));
    assert_int_equal(passes(&world, 1, "GET auth /\n", 40), 0); // a number: the minute's debt is a minute's still
    loopback_pass(&world, 3 * NS_PER_S);
    assert_int_equal(passes(&world, 1, "GET auth /\n", 40), 1);
    loopback_apply(&world, BESIDE LIMITS_OF("l", "auth", "", "  - {name: r, limits: [{requests: 20, per: 2m}]}\n"));
    assert_int_equal(passes(&world, 1, "GET auth /\n", 40), 20); // another window begins anew
    loopback_dispose(&world);
}

static void a_service_without_a_proxy_is_guarded_by_its_callers(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, BESIDE LIMITS_OF("l", "a", "", "  - {name: r, limits: [{requests: 2, per: 1m}]}\n"), filter_types);
    for (unsigned i = 0; i < 4; i++) {
        struct outcome outcome = ask(&world, "outbound", 1, "GET a /\n", 200);
        assert_int_equal(outcome.status, i < 2 ? 200 : 429);
        text_dispose(&outcome.body);
    }
    assert_int_equal(passes(&world, 1, "GET auth /\n", 5), 5); // the application is another one
    loopback_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_ins_are_ten_a_minute_for_each_client_and_all_else_sixty),
        cmocka_unit_test(a_tier_has_its_own_limits_and_no_value_is_another_s),
        cmocka_unit_test(who_leaves_the_key_out_is_limited_with_all_others_who_do),
        cmocka_unit_test(a_quota_is_used_up_whatever_the_limit_lets_pass),
        cmocka_unit_test(a_quota_begins_anew_with_its_period),
        cmocka_unit_test(a_refusal_says_which_limit_and_for_how_long),
        cmocka_unit_test(retry_after_is_never_zero),
        cmocka_unit_test(a_call_of_grpc_is_refused_in_its_own_words),
        cmocka_unit_test(what_another_rule_refuses_costs_nothing),
        cmocka_unit_test(some_responses_alone_may_count),
        cmocka_unit_test(a_key_that_stands_twice_is_none),
        cmocka_unit_test(the_first_rule_that_says_no_is_the_one),
        cmocka_unit_test(an_answer_that_is_not_read_counts_all_the_same),
        cmocka_unit_test(what_a_filter_answers_is_charged_for),
        cmocka_unit_test(who_gives_up_has_still_come),
        cmocka_unit_test(a_dry_run_is_told_and_refuses_nothing),
        cmocka_unit_test(a_reload_keeps_what_was_used),
        cmocka_unit_test(a_service_without_a_proxy_is_guarded_by_its_callers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
