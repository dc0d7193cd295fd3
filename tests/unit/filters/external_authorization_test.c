// Agents that decide: what they are asked, what their answers mean, and that nothing that is no decision lets a request pass unless the document says so.
#include "unit/filters/authorization_drive.h"

#include "base/log.h"
#include "http/headers.h"
#include "stream/explanation.h"
#include "stream/subrequest.h"
#include "support/serving_world.h"

#include <stdio.h>

#define AGENT_PORT 8003
#define EXTERNAL(external, rules) AUTHORIZATION("x", "  action: External\n  external: {" external "}\n" rules)
#define OPA_WITH(more) EXTERNAL("type: OPA, url: 'http://127.0.0.1:8003/v1/data/mesh/allow'" more, "")
#define FORWARD_WITH(more) EXTERNAL("type: Forward, url: 'http://127.0.0.1:8003/check?a=b'" more, "")
#define USER ", headersToUpstream: [x-user, x-group]"
#define OPA OPA_WITH("")
#define FORWARD FORWARD_WITH("")

static void agent_world_init(struct world *world, const char *documents, unsigned status, const char *fields, const char *said) {
    world_init(world, documents, filter_types, AGENT_PORT);
    world->status = status;
    world->fields = fields;
    world->answer = said;
}

static const struct stream_client *courses(void) {
    static union address address;
    static struct spiffe_id id;
    static struct stream_client who;
    const char *reason;
    address = address_from("10.0.0.1");
    CHECK(spiffe_id_parse(bytes_from_text(COURSES.identity), &id, &reason) == OK);
    who = (struct stream_client){.address = &address, .identity = &id, .is_kin = true};
    return &who;
}

static void begin(struct client *client, struct world *world, const char *request) {
    world_begin(client, world, courses(), request);
}

static unsigned status_of(struct world *world, const char *request) {
    return world_ask(world, courses(), request);
}

// One request, one answer of the agent.
static unsigned status_when(const char *documents, unsigned status, const char *said) {
    struct world world;
    agent_world_init(&world, documents, status, "", said);
    const unsigned got = status_of(&world, "GET app /\n");
    assert_int_equal(world.questions, 1);
    world_dispose(&world);
    return got;
}

// ---- Open Policy Agent

static void opa_is_asked_with_what_its_policies_for_envoy_know(void **state) {
    (void)state;
    struct world world;
    agent_world_init(&world, BESIDE OPA, 200, "", "{\"result\":true}");
    assert_int_equal(status_of(&world, "GET App.example:80 /a%20b/c?x=1&y=%22&x=2\nX-A: 1\nx-b: \"\\\x80\nx-a: 2\n"), 200);
    assert_has(world.question.at, "POST http 127.0.0.1:8003 /v1/data/mesh/allow");
    assert_has(world.question.at,
               "{\"input\":{\"attributes\":{\"source\":{\"address\":{\"socketAddress\":{\"address\":\"10.0.0.1\"}},\"principal\":\""
               "spiffe://school.local/ns/school/sa/courses"
               "\"},\"request\":{\"http\":{\"method\":\"GET\",\"path\":\"/a%20b/c?x=1&y=%22&x=2\",\"host\":\"app.example\",\"scheme\":\"http\","
               "\"protocol\":\"HTTP/1.1\",\"id\":\"");
    assert_has(world.question.at, "\"x-a\":\"1,2\",\"x-b\":\"\\\"\\\\\xef\xbf\xbd\"");
    assert_has(world.question.at, ",\"parsed_path\":[\"a b\",\"c\"],\"parsed_query\":{\"x\":[\"1\",\"2\"],\"y\":[\"\\\"\"]}}}");
    world_dispose(&world);
}

static void opa_s_result_decides(void **state) {
    (void)state;
    static const struct {
        const char *said;
        unsigned status;
    } cases[] = {{"{\"result\":true}", 200},
                 {"{\"result\":false}", 403},
                 {"{}", 403},
                 {"{\"result\":{}}", 403},
                 {"{\"result\":{\"headers\":{\"x-user\":\"me\"}}}", 403},
                 {"{\"result\":{\"allow\":true}}", 200},
                 {"{\"result\":{\"allowed\":true,\"headers\":{\"x-user\":\"me\"}}}", 200},
                 {"{\"result\":{\"allow\":false}}", 403},
                 {"{\"result\":{\"allow\":false,\"http_status\":401}}", 401}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(status_when(BESIDE OPA_WITH(USER), 200, cases[i].said), cases[i].status);
        assert_int_equal(status_when(BESIDE OPA_WITH(", onFailure: Allow" USER), 200, cases[i].said), cases[i].status);
    }
}

static void what_is_no_decision_is_what_on_failure_says(void **state) {
    (void)state;
    static char huge[80 * 1024];
    memset(huge, ' ', sizeof huge - 1);
    memcpy(huge, "{\"result\":true,\"x\":\"", 19);
    static const struct {
        unsigned status;
        const char *said;
    } cases[] = {{200, ""},
                 {200, "true"},
                 {200, "{\"result\":true"},
                 {200, "{\"result\":\"true\"}"},
                 {200, "{\"result\":1}"},
                 {200, "{\"result\":null}"},
                 {200, "{\"result\":[true]}"},
                 {200, "{\"result\":{\"allow\":\"true\"}}"},
                 {200, "{\"result\":{\"allow\":true,\"headers\":[]}}"},
                 {200, "{\"result\":{\"allow\":true,\"headers\":{\"a b\":\"c\"}}}"},
                 {200, "{\"result\":{\"allow\":true,\"headers\":{\"x-user\":\"a\\r\\nb\"}}}"},
                 {200, "{\"result\":{\"allow\":true,\"headers\":{\"x-user\":1}}}"},
                 {200, "{\"result\":{\"allow\":true,\"headers\":{\"x-user\":[]}}}"},
                 {200, "{\"result\":{\"allow\":true,\"headers\":{\"host\":\"evil\"}}}"},
                 {200, "{\"result\":{\"allow\":true,\"headers\":{\"content-length\":\"0\"}}}"},
                 {200, "{\"result\":{\"allow\":true,\"headers\":{\"outrigger-refused\":\"x\"}}}"},
                 {200, "{\"result\":{\"allow\":true,\"headers\":{\"x-other\":\"me\"}}}"},
                 {200, "{\"result\":true,\"result\":false}"},
                 {200, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["},
                 {200, huge},
                 {201, "{\"result\":true}"},
                 {302, "{\"result\":true}"},
                 {500, "{\"result\":true}"},
                 {503, ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(status_when(BESIDE OPA_WITH(USER), cases[i].status, cases[i].said), 403);
        assert_int_equal(status_when(BESIDE OPA_WITH(", onFailure: Allow" USER), cases[i].status, cases[i].said), 200);
    }
}

static void an_agent_that_is_slow_or_gone_is_not_waited_for(void **state) {
    (void)state;
    for (int allows = 0; allows < 2; allows++) {
        struct world world;
        struct client client;
        agent_world_init(&world, allows ? BESIDE OPA_WITH(", onFailure: Allow, timeout: 300ms") : BESIDE OPA_WITH(", timeout: 300ms"), 0, "", "");
        begin(&client, &world, "GET app /\n");
        loopback_pass(&world.loopback, 290 * NS_PER_MS);
        assert_int_equal(client.status, 0);
        loopback_pass(&world.loopback, 20 * NS_PER_MS);
        assert_int_equal(client.status, allows ? 200 : 403);
        if (!allows)
            assert_string_equal(world.loopback.record.detail, "agent: request_timeout");
        client_dispose(&client);
        world.loopback.far.by_port[AGENT_PORT % 10] = true;
        world.loopback.far.mode_of_port[AGENT_PORT % 10] = FAR_REFUSE;
        loopback_pass(&world.loopback, NS_PER_S);
        assert_int_equal(status_of(&world, "GET app /\n"), allows ? 200 : 403);
        world_dispose(&world);
    }
}

// A flood that is refused nothing would pass by an agent that nobody can ask.
static void who_cannot_be_asked_about_now_does_not_pass(void **state) {
    (void)state;
    struct world world;
    agent_world_init(&world, BESIDE OPA_WITH(", onFailure: Allow"), 200, "", "{\"result\":true}");
    uint32_t *questions = &world.loopback.env.subrequest_counts[SUBREQUEST_AGENT];
    const uint32_t before = *questions;
    *questions = SUBREQUESTS_MAX;
    assert_int_equal(status_of(&world, "GET app /\n"), 503);
    *questions = before;
    assert_int_equal(world.questions, 0);
    assert_int_equal(status_of(&world, "GET app /\n"), 200);
    world_dispose(&world);
}

// Also one that a client might bring about.
static void an_agent_that_refuses_the_question_refuses(void **state) {
    (void)state;
    assert_int_equal(status_when(BESIDE OPA_WITH(", onFailure: Allow"), 400, "{\"result\":true}"), 403);
    assert_int_equal(status_when(BESIDE OPA_WITH(", onFailure: Allow"), 404, ""), 403);
}

static void who_goes_while_an_agent_is_asked_is_gone(void **state) {
    (void)state;
    struct world world;
    struct client client;
    agent_world_init(&world, BESIDE OPA, 0, "", "");
    begin(&client, &world, "GET app /\n");
    client_fail(&client, ERROR_CLIENT_GONE);
    assert_int_equal(world.loopback.record.end, ERROR_CLIENT_GONE);
    client_dispose(&client);
    loopback_pass(&world.loopback, NS_PER_S);
    assert_int_equal(world.asked, 0);
    world_dispose(&world);
}

static void documents_may_change_while_an_agent_is_asked(void **state) {
    (void)state;
    struct world world;
    struct client client;
    agent_world_init(&world, BESIDE OPA, 0, "", "");
    begin(&client, &world, "GET app /\n");
    loopback_apply(&world.loopback, BESIDE);
    world.status = 200;
    world.answer = "{\"result\":false}";
    loopback_pass(&world.loopback, NS_PER_S);
    assert_int_equal(client.status, 403);
    client_dispose(&client);
    world_dispose(&world);
}

static void fields_of_an_agent_take_the_place_of_the_client_s(void **state) {
    (void)state;
    struct world world;
    agent_world_init(&world, BESIDE OPA_WITH(USER), 200, "",
                     "{\"result\":{\"allow\":true,\"headers\":{\"x-user\":\"me\",\"x-group\":[\"a\",\"b\"]}}}");
    assert_int_equal(status_of(&world, "GET app /\nx-user: evil\nX_User: evil\nx-group: evil\nx-other: mine\n"), 200);
    assert_has(world.got.at, "x-user: me");
    assert_has(world.got.at, "x-group: a");
    assert_has(world.got.at, "x-group: b");
    assert_has(world.got.at, "x-other: mine");
    assert_has_not(world.got.at, "evil");
    world.answer = "{\"result\":true}"; // of this one the policy says nothing
    assert_int_equal(status_of(&world, "GET app /\nx-user: evil\nX_Group: evil\n"), 200);
    assert_has_not(world.got.at, "evil");
    world_dispose(&world);
    agent_world_init(&world, BESIDE OPA_WITH(", onFailure: Allow" USER), 200, "",
                     "{\"result\":{\"allow\":true,\"headers\":{\"x-user\":\"me\",\"x-group\":1}}}");
    assert_int_equal(status_of(&world, "GET app /\nx-user: evil\n"), 200);
    assert_has_not(world.got.at, "x-user"); // of half an answer nothing counts
    world_dispose(&world);
}

// ---- a dry run

#define DRY "  mode: DryRun\n"
#define OPA_DRY(more, rules) EXTERNAL("type: OPA, url: 'http://127.0.0.1:8003/'" more, rules DRY)

static uint64_t shadow_refusals(struct world *world) {
    struct policy_state *state =
        policy_state_find(world->loopback.states.shadow, BYTES("AuthorizationPolicy/default/x"), BYTES("all"), BYTES("Service default/app"));
    assert_non_null(state);
    const uint64_t refusals = atomic_load(&state->refusals);
    policy_state_release(state);
    return refusals;
}

static void in_a_dry_run_nobody_waits_for_an_agent(void **state) {
    (void)state;
    static const struct {
        const char *documents;
        unsigned status;
        const char *said;
        bool refuses;
        const char *told;
    } cases[] = {
        {BESIDE OPA_DRY("", ""), 200, "{\"result\":true}", false, ""},
        {BESIDE OPA_DRY("", ""), 200, "{\"result\":false}", true, "AuthorizationPolicy/default/x: all: denied"},
        {BESIDE OPA_DRY("", ""), 200, "{\"result\":{\"allow\":false,\"http_status\":401}}", true,
         "AuthorizationPolicy/default/x: all: unauthenticated"},
        {BESIDE OPA_DRY("", ""), 500, "", true, "AuthorizationPolicy/default/x: all: denied"},
        {BESIDE OPA_DRY(", onFailure: Allow", ""), 500, "", false, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int is_late = 0; is_late < 2; is_late++) {
            struct world world;
            struct client client;
            const union address address = address_from("10.0.0.1");
            agent_world_init(&world, cases[i].documents, is_late ? 0 : cases[i].status, "", cases[i].said);
            client_begin_as(&client, &world.loopback, loopback_listener(&world.loopback, "inbound"), &(struct stream_client){.address = &address},
                            HTTP_1_1, "POST app /\nx-user: mine\n", false);
            loopback_settle(&world.loopback);
            assert_int_equal(world.questions, !is_late);
            client_end(&client, NULL); // the application answers, whatever the agent does
            assert_int_equal(client.status, 200);
            assert_has(world.got.at, "x-user: mine");
            assert_string_equal(world.loopback.record.dry_run, is_late ? "" : cases[i].told);
            client_dispose(&client);
            world.status = cases[i].status;
            world_go_on(&world);
            assert_int_equal(world.questions, 1);
            assert_int_equal(shadow_refusals(&world), cases[i].refuses);
            assert_int_equal(metric_read(&world.loopback.far.metrics.subrequests_active), 0);
            world_dispose(&world);
        }
    }
}

static void in_a_dry_run_an_agent_makes_nothing(void **state) {
    (void)state;
    struct world world;
    agent_world_init(&world, BESIDE OPA_DRY(USER, "") DENY("d", "  - {name: r, when: [{type: Header, name: x-user, values: [evil]}]}\n"), 200, "",
                     "{\"result\":{\"allow\":true,\"headers\":{\"x-user\":\"me\"}}}");
    assert_int_equal(status_of(&world, "GET app /\nx-user: mine\n"), 200);
    assert_has(world.got.at, "x-user: mine");
    assert_int_equal(status_of(&world, "GET app /\nx-user: evil\n"), 403); // at once, as the client says it
    assert_int_equal(world.questions, 1);
    world_dispose(&world);
}

static void a_dry_run_whose_agent_hangs_is_over_in_time(void **state) {
    (void)state;
    struct world world;
    agent_world_init(&world, BESIDE OPA_DRY(", timeout: 300ms", ""), 0, "", "");
    assert_int_equal(status_of(&world, "GET app /\n"), 200);
    loopback_apply(&world.loopback, BESIDE); // its documents go, and it has its own
    assert_int_equal(metric_read(&world.loopback.far.metrics.subrequests_active), 1);
    loopback_pass(&world.loopback, 310 * NS_PER_MS);
    assert_int_equal(metric_read(&world.loopback.far.metrics.subrequests_active), 0);
    world_dispose(&world);
    agent_world_init(&world, BESIDE OPA_DRY("", ""), 0, "", "");
    assert_int_equal(status_of(&world, "GET app /\n"), 200);
    subrequests_cancel_all(&world.loopback.env); // as a worker does that stops
    loopback_settle(&world.loopback);
    assert_int_equal(shadow_refusals(&world), 0);
    world_dispose(&world);
}

static void a_dry_run_has_a_room_of_its_own(void **state) {
    (void)state;
    for (unsigned kind = 0; kind < SUBREQUEST_KINDS; kind++) {
        struct world world;
        agent_world_init(&world, BESIDE OPA_DRY("", ""), 200, "", "{\"result\":true}");
        uint32_t *count = &world.loopback.env.subrequest_counts[kind];
        *count += SUBREQUESTS_MAX;
        assert_int_equal(status_of(&world, "GET app /\n"), 200);
        const bool is_full = kind == SUBREQUEST_DRY_RUN;
        assert_string_equal(world.loopback.record.dry_run, is_full ? "AuthorizationPolicy/default/x: all: memory_limit" : "");
        assert_int_equal(world.questions, !is_full);
        *count -= SUBREQUESTS_MAX;
        world_dispose(&world);
    }
}

static char logged[512]; // the last line

static void keep_line(enum log_level level, const char *line) {
    (void)level;
    snprintf(logged, sizeof logged, "%s", line);
}

// Of many lines some are left out.
static nanoseconds next_second(void) {
    static nanoseconds now;
    return now += NS_PER_S;
}

static void an_agent_that_fails_is_logged_with_the_mode(void **state) {
    (void)state;
    for (int is_dry = 0; is_dry < 2; is_dry++) {
        struct world world;
        agent_world_init(&world, is_dry ? BESIDE OPA_DRY("", "") : BESIDE OPA_WITH(""), 500, "", "");
        log_set_clock(next_second);
        log_redirect(keep_line);
        assert_int_equal(status_of(&world, "GET app /\n"), is_dry ? 200 : 403);
        log_redirect(NULL);
        log_set_clock(NULL);
        assert_has(logged, " event=external_authorization_failed ");
        assert_has(logged, " policy=AuthorizationPolicy/default/x ");
        assert_int_equal(strstr(logged, "mode=dry_run") != NULL, is_dry);
        world_dispose(&world);
    }
}

// ---- Forward

static void an_agent_is_asked_with_the_fields_of_the_request(void **state) {
    (void)state;
    struct world world;
    agent_world_init(&world, BESIDE FORWARD, 204, "", "");
    assert_int_equal(status_of(&world, "PUT app /a?b\ncontent-length: 0\nauthorization: Bearer x\nx-original-uri: /evil\nx_forwarded_uri: "
                                       "/evil\nif-none-match: evil\nForwarded: for=evil\nx_real_ip: evil\n"
                                       "cookie: a=b\n"),
                     200);
    assert_has(world.question.at, "GET http 127.0.0.1:8003 /check?a=b");
    static const char *const there[] = {"authorization: Bearer x", "cookie: a=b",           "x-original-method: PUT", "x-original-uri: /a?b",
                                        "x-forwarded-method: PUT", "x-forwarded-uri: /a?b", "x-forwarded-host: app",  "x-forwarded-for: 10.0.0.1"};
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
        assert_has(world.question.at, there[i]);
    assert_has_not(world.question.at, "evil");
    assert_has_not(world.question.at, "content-length: 0");
    world_dispose(&world);
}

static void an_agent_s_status_decides(void **state) {
    (void)state;
    static const struct {
        unsigned said, denies, allows;
    } cases[] = {{200, 200, 200}, {204, 200, 200}, {299, 200, 200}, {401, 401, 401}, {403, 403, 403},
                 {302, 403, 403}, {404, 403, 403}, {500, 403, 200}, {503, 403, 200}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(status_when(BESIDE FORWARD, cases[i].said, ""), cases[i].denies);
        assert_int_equal(status_when(BESIDE FORWARD_WITH(", onFailure: Allow"), cases[i].said, ""), cases[i].allows);
    }
}

static void a_refusal_says_how_to_do_better(void **state) {
    (void)state;
    struct world world;
    struct client client;
    agent_world_init(&world, BESIDE FORWARD, 401, "www-authenticate: Bearer realm=\"x\"\nlocation: /login\nx-secret: 1\n", "its own page");
    begin(&client, &world, "GET app /\n");
    assert_int_equal(client.status, 401);
    assert_string_equal(client_field(&client, "www-authenticate"), "Bearer realm=\"x\"");
    assert_string_equal(client_field(&client, "location"), "/login");
    assert_null(client_field(&client, "x-secret"));
    assert_has_not(client.body.at, "its own page");
    assert_int_equal(world.loopback.record.end, ERROR_UNAUTHENTICATED);
    assert_string_equal(world.loopback.record.policy, "AuthorizationPolicy/default/x: all");
    client_dispose(&client);
    world_dispose(&world);
}

static void named_fields_of_an_agent_go_up_and_no_others(void **state) {
    (void)state;
#define NAMED ", headersToUpstream: [x-user, X-Absent]"
    struct world world;
    agent_world_init(&world, BESIDE FORWARD_WITH(NAMED), 200, "x-user: me\nx-secret: 1\n", "");
    assert_int_equal(status_of(&world, "GET app /\nx-user: evil\nx_absent: evil\nx-mine: 1\n"), 200);
    assert_has(world.got.at, "x-user: me");
    assert_has(world.got.at, "x-mine: 1");
    assert_has_not(world.got.at, "evil");
    assert_has_not(world.got.at, "x-secret");
    world_dispose(&world);
    agent_world_init(&world, BESIDE FORWARD_WITH(NAMED ", onFailure: Allow"), 500, "x-user: me\n", "");
    assert_int_equal(status_of(&world, "GET app /\nx-user: evil\n"), 200);
    assert_has_not(world.got.at, "x-user");
    world_dispose(&world);
}

// ---- which requests

static void rules_say_what_is_asked_about(void **state) {
    (void)state;
    struct world world;
    agent_world_init(&world,
                     BESIDE EXTERNAL("type: OPA, url: 'http://127.0.0.1:8003/'", "  rules:\n  - {name: admin, matches: [{path: {value: /admin}}]}\n")
                         DENY("d", "  - {name: r, matches: [{path: {value: /admin/never}}]}\n"),
                     200, "", "{\"result\":false}");
    assert_int_equal(status_of(&world, "GET app /\n"), 200);
    assert_int_equal(world.questions, 0);
    assert_int_equal(status_of(&world, "GET app /admin;x\n"), 403);
    assert_string_equal(world.loopback.record.policy, "AuthorizationPolicy/default/x: admin");
    assert_int_equal(world.questions, 1);
    assert_int_equal(status_of(&world, "GET app /admin//x\n"), 400);
    assert_int_equal(status_of(&world, "GET app /admin/never\n"), 403);
    assert_int_equal(world.questions, 1); // what a Deny refuses nobody is asked about
    world_dispose(&world);
}

// Whether a rule names such a path is anybody's guess, also where none seems to.
static void paths_that_can_be_read_in_two_ways_get_past_no_agent(void **state) {
    (void)state;
    static const char *const rules[] = {"matches: [{path: {value: /admin}}]", "notMatches: [{path: {value: /public}}]",
                                        "when: [{type: Path, values: [/admin/x]}]"};
    static const char *const requests[] = {"GET app //admin/x\n", "GET app /admin%2Fx\n", "GET app /a%2F..%2Fadmin/x\n", "GET app //\n"};
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        struct world world;
        char documents[2048];
        snprintf(documents, sizeof documents, BESIDE EXTERNAL("type: OPA, url: 'http://127.0.0.1:8003/'", "  rules: [{name: r, %s}]\n"), rules[i]);
        agent_world_init(&world, documents, 200, "", "{\"result\":false}");
        for (size_t j = 0; j < sizeof requests / sizeof requests[0]; j++)
            assert_int_equal(status_of(&world, requests[j]), 400);
        assert_int_equal(world.questions, 0);
        world_dispose(&world);
    }
}

static void rules_of_no_paths_leave_paths_alone(void **state) {
    (void)state;
    struct world world;
    agent_world_init(&world, BESIDE EXTERNAL("type: OPA, url: 'http://127.0.0.1:8003/'", "  rules: [{name: r, matches: [{method: PUT}]}]\n"), 200, "",
                     "");
    assert_int_equal(status_of(&world, "GET app //x%2Fy\n"), 200);
    world_dispose(&world);
}

// ---- who goes by what an agent says

#define SAYS_ME "{\"result\":{\"allow\":true,\"headers\":{\"x-user\":\"me\"}}}"
#define SAYS_EVIL "{\"result\":{\"allow\":true,\"headers\":{\"x-user\":\"evil\"}}}"

static void where_no_agent_is_asked_its_fields_are_nobody_s(void **state) {
    (void)state;
    struct world world;
    agent_world_init(
        &world, BESIDE EXTERNAL("type: OPA, url: 'http://127.0.0.1:8003/'" USER, "  rules: [{name: admin, matches: [{path: {value: /admin}}]}]\n"),
        200, "", SAYS_ME);
    assert_int_equal(status_of(&world, "GET app /\nx-user: evil\nX_User: evil\nx-mine: 1\n"), 200);
    assert_int_equal(world.questions, 0);
    assert_has_not(world.got.at, "evil");
    assert_has(world.got.at, "x-mine: 1");
    assert_int_equal(status_of(&world, "GET app /admin\nx-user: evil\n"), 200);
    assert_has(world.got.at, "x-user: me");
    world_dispose(&world);
}

// What one agent has said stays where another is not asked.
static void a_policy_that_asks_nobody_leaves_what_another_s_agent_says(void **state) {
    (void)state;
    struct world world;
    agent_world_init(&world,
                     BESIDE OPA_WITH(USER) AUTHORIZATION("y", "  action: External\n  external: {type: OPA, url: 'http://127.0.0.1:8003/'" USER
                                                              "}\n  rules: [{name: admin, matches: [{path: {value: /admin}}]}]\n"),
                     200, "", SAYS_ME);
    assert_int_equal(status_of(&world, "GET app /\nx-user: evil\n"), 200);
    assert_int_equal(world.questions, 1);
    assert_has(world.got.at, "x-user: me");
    assert_has_not(world.got.at, "evil");
    world_dispose(&world);
}

static void rules_by_what_an_agent_says_wait_for_it(void **state) {
    (void)state;
    struct world world;
    agent_world_init(&world, BESIDE OPA_WITH(USER) DENY("d", "  - {name: r, when: [{type: Header, name: x-user, values: [evil]}]}\n"), 200, "",
                     SAYS_ME);
    assert_int_equal(status_of(&world, "GET app /\nx-user: evil\n"), 200); // so says the client alone
    world.answer = SAYS_EVIL;
    assert_int_equal(status_of(&world, "GET app /\nx-user: good\n"), 403);
    assert_string_equal(world.loopback.record.policy, "AuthorizationPolicy/default/d: r");
    world_dispose(&world);
    agent_world_init(
        &world, BESIDE OPA_WITH(USER) ALLOW("a", "  - {name: r, notMatches: [{method: PUT}], matches: [{headers: [{name: x-user, value: me}]}]}\n"),
        200, "", SAYS_EVIL);
    assert_int_equal(status_of(&world, "GET app /\nx-user: me\n"), 403);
    assert_string_equal(world.loopback.record.policy, "AuthorizationPolicy/default/a: no rule");
    world.answer = SAYS_ME;
    assert_int_equal(status_of(&world, "GET app /\n"), 200);
    assert_int_equal(status_of(&world, "PUT app /\n"), 403);
    world_dispose(&world);
}

static void a_dry_run_by_what_an_agent_says_is_told_once(void **state) {
    (void)state;
    struct world world;
    agent_world_init(&world, BESIDE OPA_WITH(USER) DENY("d", "  - {name: r, when: [{type: Header, name: x-user, values: [evil]}]}\n  mode: DryRun\n"),
                     200, "", SAYS_EVIL);
    assert_int_equal(status_of(&world, "GET app /\n"), 200);
    assert_string_equal(world.loopback.record.dry_run, "AuthorizationPolicy/default/d: r: denied");
    world.answer = SAYS_ME;
    assert_int_equal(status_of(&world, "GET app /\nx-user: evil\n"), 200);
    assert_string_equal(world.loopback.record.dry_run, "");
    world_dispose(&world);
}

#define LIMIT(rule)                                                                                                                    \
    API "kind: RateLimitPolicy\nmetadata: {name: l}\nspec:\n  targetRefs: [{kind: Service, name: app}]\n  rules:\n  - {name: r, " rule \
        ", limits: [{requests: 1, per: 1h}]}\n---\n"

static void limits_by_what_an_agent_says_wait_for_it(void **state) {
    (void)state;
    static const char *const by[] = {BESIDE OPA_WITH(USER) LIMIT("key: [{type: Header, name: x-user}]"),
                                     BESIDE OPA_WITH(USER) LIMIT("matches: [{headers: [{name: X-User, value: me}]}]")};
    for (size_t i = 0; i < sizeof by / sizeof by[0]; i++) {
        struct world world;
        agent_world_init(&world, by[i], 200, "", SAYS_ME);
        assert_int_equal(status_of(&world, "GET app /\nx-user: a\n"), 200);
        assert_int_equal(status_of(&world, "GET app /\nx-user: b\n"), 429); // whoever he says he is
        world.answer = SAYS_EVIL;
        assert_int_equal(status_of(&world, "GET app /\nx-user: me\n"), 200);
        world_dispose(&world);
    }
}

static void trailers_say_nothing_that_an_agent_says(void **state) {
    (void)state;
    struct world world;
    agent_world_init(&world, BESIDE FORWARD_WITH(", headersToUpstream: [x-user]"), 200, "x-user: me\n", "");
    const union address address = address_from("10.0.0.1");
    for (int is_early = 0; is_early < 2; is_early++) {
        struct client client;
        world.status = is_early ? 0 : 200;
        client_begin_as(&client, &world.loopback, loopback_listener(&world.loopback, "inbound"), &(struct stream_client){.address = &address},
                        HTTP_1_1, "POST app /\n", false);
        if (!is_early)
            loopback_settle(&world.loopback);
        client_end(&client, "x-user: evil\nX_User: evil\nx-sum: 1\n");
        world.status = 200;
        world_go_on(&world);
        assert_int_equal(client.status, 200);
        assert_has(world.got.at, "x-user: me");
        assert_has(world.got.at, "x-sum: 1");
        assert_has_not(world.got.at, "evil");
        client_dispose(&client);
    }
    world_dispose(&world);
}

static void a_connection_without_requests_is_refused(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, BESIDE OPA, filter_types);
    assert_int_equal(ask_as(&world, COURSES, "GET app /\n", true), ERROR_DENIED);
    loopback_dispose(&world);
}

static void who_asks_is_told_that_it_depends(void **state) {
    (void)state;
    struct world world;
    struct client client;
    agent_world_init(&world, BESIDE OPA, 200, "", "{\"result\":false}");
    const union address address = address_from("10.0.0.1");
    client_begin_as(&client, &world.loopback, loopback_listener(&world.loopback, "inbound"), &(struct stream_client){.address = &address}, HTTP_1_1,
                    "GET app /\n", true);
    client.keeps = true;
    explanation_begin(client.stream, true);
    loopback_settle(&world.loopback);
    const struct explanation_step *step = client.stream->explanation->first;
    while (step != NULL && strcmp(step->filter, "external_authorization") != 0)
        step = step->next;
    assert_non_null(step);
    assert_int_equal(step->outcome, STEP_DEPENDS);
    assert_true(bytes_equal(step->reason, BYTES("what http://127.0.0.1:8003/v1/data/mesh/allow answers")));
    if (!client.done)
        client_fail(&client, ERROR_CLIENT_GONE);
    client_release(&client);
    client_dispose(&client);
    assert_int_equal(world.questions, 0);
    world_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opa_is_asked_with_what_its_policies_for_envoy_know),
        cmocka_unit_test(opa_s_result_decides),
        cmocka_unit_test(what_is_no_decision_is_what_on_failure_says),
        cmocka_unit_test(an_agent_that_is_slow_or_gone_is_not_waited_for),
        cmocka_unit_test(who_cannot_be_asked_about_now_does_not_pass),
        cmocka_unit_test(an_agent_that_refuses_the_question_refuses),
        cmocka_unit_test(who_goes_while_an_agent_is_asked_is_gone),
        cmocka_unit_test(documents_may_change_while_an_agent_is_asked),
        cmocka_unit_test(fields_of_an_agent_take_the_place_of_the_client_s),
        cmocka_unit_test(in_a_dry_run_nobody_waits_for_an_agent),
        cmocka_unit_test(in_a_dry_run_an_agent_makes_nothing),
        cmocka_unit_test(a_dry_run_whose_agent_hangs_is_over_in_time),
        cmocka_unit_test(a_dry_run_has_a_room_of_its_own),
        cmocka_unit_test(an_agent_that_fails_is_logged_with_the_mode),
        cmocka_unit_test(an_agent_is_asked_with_the_fields_of_the_request),
        cmocka_unit_test(an_agent_s_status_decides),
        cmocka_unit_test(a_refusal_says_how_to_do_better),
        cmocka_unit_test(named_fields_of_an_agent_go_up_and_no_others),
        cmocka_unit_test(rules_say_what_is_asked_about),
        cmocka_unit_test(paths_that_can_be_read_in_two_ways_get_past_no_agent),
        cmocka_unit_test(rules_of_no_paths_leave_paths_alone),
        cmocka_unit_test(where_no_agent_is_asked_its_fields_are_nobody_s),
        cmocka_unit_test(a_policy_that_asks_nobody_leaves_what_another_s_agent_says),
        cmocka_unit_test(rules_by_what_an_agent_says_wait_for_it),
        cmocka_unit_test(a_dry_run_by_what_an_agent_says_is_told_once),
        cmocka_unit_test(limits_by_what_an_agent_says_wait_for_it),
        cmocka_unit_test(trailers_say_nothing_that_an_agent_says),
        cmocka_unit_test(a_connection_without_requests_is_refused),
        cmocka_unit_test(who_asks_is_told_that_it_depends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
