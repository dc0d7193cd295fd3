// AuthorizationPolicy in front of an application: who gets in and who does not, in which words, and that no second reading of a request gets past a rule.
#include "unit/filters/authorization_drive.h"

#include "stream/explanation.h"

struct asked {
    const char *identity, *address, *request;
    enum error end; // OK: it passes
};

#define KIN "spiffe://school.local/ns/school/sa/courses"
#define SAME_AS(name) "spiffe://school.local/ns/school/sa/" name
#define NOBODY ""
#define HERE "10.0.0.1"

static void expect_all(const char *documents, const struct asked *asked, size_t count) {
    struct loopback world;
    loopback_init(&world, documents, filter_types);
    for (size_t i = 0; i < count; i++) {
        const enum error end = ask(&world, (struct caller){asked[i].identity, asked[i].address}, asked[i].request);
        if (end != asked[i].end)
            fail_msg("%s from %s (%s): %s", asked[i].request, asked[i].identity, asked[i].address, end == OK ? "passed" : error_name(end));
    }
    loopback_dispose(&world);
}

#define EXPECT(documents, ...)                                               \
    do {                                                                     \
        static const struct asked asked[] = {__VA_ARGS__};                   \
        expect_all(BESIDE documents, asked, sizeof asked / sizeof asked[0]); \
    } while (0)

// ---- which documents count

static void without_any_policy_all_pass(void **state) {
    (void)state;
    EXPECT("", {NOBODY, HERE, "GET app /\n", OK});
}

static void an_allow_refuses_what_no_rule_is_for(void **state) {
    (void)state;
    EXPECT(ALLOW("a",
                 "  - {name: read, from: [{serviceAccounts: [{namespace: school, name: courses}]}], matches: [{method: GET, path: {value: /x}}]}\n"
                 "  - {name: health, matches: [{path: {type: Exact, value: /health}}]}\n"),
           {KIN, HERE, "GET app /x\n", OK}, {KIN, HERE, "GET app /x/y?z\n", OK}, {KIN, HERE, "POST app /x\ncontent-length: 0\n", ERROR_DENIED},
           {KIN, HERE, "GET app /xy\n", ERROR_DENIED}, {NOBODY, HERE, "GET app /x\n", ERROR_DENIED}, {NOBODY, HERE, "GET app /health\n", OK},
           {NOBODY, HERE, "GET app /health/\n", ERROR_DENIED}, {SAME_AS("other"), HERE, "GET app /x\n", ERROR_DENIED});
}

static void a_deny_goes_before_every_allow(void **state) {
    (void)state;
    EXPECT(ALLOW("a", "  - {name: all, matches: [{}]}\n") DENY("z", "  - {name: admin, matches: [{path: {value: /admin}}]}\n"),
           {KIN, HERE, "GET app /\n", OK}, {KIN, HERE, "GET app /admin\n", ERROR_DENIED}, {KIN, HERE, "GET app /admin/x\n", ERROR_DENIED},
           {KIN, HERE, "GET app /administer\n", OK});
    EXPECT(DENY("d", "  - {name: admin, matches: [{path: {value: /admin}}]}\n"), {NOBODY, HERE, "GET app /\n", OK},
           {NOBODY, HERE, "GET app /admin\n", ERROR_DENIED});
}

static void allows_add_up(void **state) {
    (void)state;
    EXPECT(ALLOW("a", "  - {name: r, matches: [{path: {value: /a}}]}\n") ALLOW("b", "  - {name: r, matches: [{path: {value: /b}}]}\n"),
           {NOBODY, HERE, "GET app /a\n", OK}, {NOBODY, HERE, "GET app /b\n", OK}, {NOBODY, HERE, "GET app /c\n", ERROR_DENIED});
}

static void an_allow_without_rules_allows_nothing(void **state) {
    (void)state;
    EXPECT(AUTHORIZATION("none", ""), {KIN, HERE, "GET app /\n", ERROR_DENIED});
    EXPECT(AUTHORIZATION("none", "") ALLOW("a", "  - {name: r, matches: [{path: {value: /a}}]}\n"), {KIN, HERE, "GET app /a\n", OK},
           {KIN, HERE, "GET app /b\n", ERROR_DENIED});
}

// ---- who

static void identities_are_texts_and_no_expressions(void **state) {
    (void)state;
    EXPECT(ALLOW("a", "  - {name: r, from: [{serviceAccounts: [{namespace: school, name: sa.name}]}]}\n"),
           {SAME_AS("sa.name"), HERE, "GET app /\n", OK}, {SAME_AS("saXname"), HERE, "GET app /\n", ERROR_DENIED},
           {SAME_AS("sa.name.x"), HERE, "GET app /\n", ERROR_DENIED}, {SAME_AS("xsa.name"), HERE, "GET app /\n", ERROR_DENIED},
           {"spiffe://school.local/ns/school/sa/sa.name/x", HERE, "GET app /\n", ERROR_DENIED},
           {"spiffe://school.local/x/ns/school/sa/sa.name", HERE, "GET app /\n", ERROR_DENIED},
           {"spiffe://other.local/ns/school/sa/sa.name", HERE, "GET app /\n", ERROR_DENIED}, {NOBODY, HERE, "GET app /\n", ERROR_DENIED});
    EXPECT(ALLOW("a", "  - {name: r, from: [{identities: ['spiffe://other.local/ns/a/*', 'spiffe://School.local/x']}]}\n"),
           {"spiffe://other.local/ns/a/sa/b", HERE, "GET app /\n", OK}, {"spiffe://OTHER.local/ns/a/b", HERE, "GET app /\n", OK},
           {"spiffe://other.local/ns/ab", HERE, "GET app /\n", ERROR_DENIED}, {"spiffe://other.local/ns/a", HERE, "GET app /\n", ERROR_DENIED},
           {"spiffe://school.local/x", HERE, "GET app /\n", OK}, {"spiffe://school.local/X", HERE, "GET app /\n", ERROR_DENIED},
           {"spiffe://other.localx/ns/a/b", HERE, "GET app /\n", ERROR_DENIED});
    EXPECT(ALLOW("a", "  - {name: r, from: [{identities: ['*']}]}\n"), {"spiffe://any/x", HERE, "GET app /\n", OK},
           {NOBODY, HERE, "GET app /\n", ERROR_DENIED});
    EXPECT(ALLOW("a", "  - {name: r, from: [{namespaces: [school]}]}\n"), {KIN, HERE, "GET app /\n", OK},
           {"spiffe://school.local/ns/schools/sa/x", HERE, "GET app /\n", ERROR_DENIED},
           {"spiffe://other/ns/school/sa/x", HERE, "GET app /\n", ERROR_DENIED});
}

static void a_source_is_all_that_it_says_and_any_source_will_do(void **state) {
    (void)state;
    EXPECT(ALLOW("a", "  - {name: r, from: [{namespaces: [school], addresses: [10.0.0.0/8, 'fd00::/8']}, {identities: [spiffe://b/b]}]}\n"),
           {KIN, "10.255.0.1", "GET app /\n", OK}, {KIN, "fd00::1", "GET app /\n", OK}, {KIN, "::ffff:10.0.0.1", "GET app /\n", OK},
           {KIN, "11.0.0.1", "GET app /\n", ERROR_DENIED}, {NOBODY, "10.0.0.1", "GET app /\n", ERROR_DENIED},
           {"spiffe://b/b", "11.0.0.1", "GET app /\n", OK});
}

static void who_shows_no_identity_may_be_one_that_is_held_out(void **state) {
    (void)state;
    EXPECT(ALLOW("a", "  - {name: r, notIdentities: [spiffe://school.local/evil]}\n"), {KIN, HERE, "GET app /\n", OK},
           {"spiffe://school.local/evil", HERE, "GET app /\n", ERROR_DENIED}, {NOBODY, HERE, "GET app /\n", ERROR_DENIED});
    EXPECT(DENY("a", "  - {name: r, notIdentities: ['*']}\n"), {KIN, HERE, "GET app /\n", OK}, {NOBODY, HERE, "GET app /\n", ERROR_DENIED});
    EXPECT(DENY("a", "  - {name: r, notAddresses: [10.0.0.0/8]}\n"), {NOBODY, "10.1.1.1", "GET app /\n", OK},
           {NOBODY, "192.0.2.1", "GET app /\n", ERROR_DENIED}, {NOBODY, "2001:db8::1", "GET app /\n", ERROR_DENIED});
}

// ---- what: no second reading gets past a rule

static void a_value_that_stands_twice_is_all_of_its_values(void **state) {
    (void)state;
#define EVIL(x) "  - {name: r, matches: [{headers: [{name: x-role, value: " x "}]}]}\n"
    EXPECT(DENY("d", EVIL("evil")), {NOBODY, HERE, "GET app /\n", OK}, {NOBODY, HERE, "GET app /\nx-role: good\n", OK},
           {NOBODY, HERE, "GET app /\nx-role: evil\n", ERROR_DENIED}, {NOBODY, HERE, "GET app /\nx-role: good\nX-Role: evil\n", ERROR_DENIED},
           {NOBODY, HERE, "GET app /\nx-role: evil\nx-role: good\n", ERROR_DENIED}, {NOBODY, HERE, "GET app /\nx-role: good, evil\n", ERROR_DENIED},
           {NOBODY, HERE, "GET app /\nx_role: evil\n", ERROR_DENIED}, {NOBODY, HERE, "GET app /\nx-role: good\nx_role: evil\n", ERROR_DENIED});
    EXPECT(ALLOW("a", EVIL("good")), {NOBODY, HERE, "GET app /\n", ERROR_DENIED}, {NOBODY, HERE, "GET app /\nx-role: good\n", OK},
           {NOBODY, HERE, "GET app /\nx-role: good\nx-role: good\n", OK}, {NOBODY, HERE, "GET app /\nx-role: good\nx-role: evil\n", ERROR_DENIED},
           {NOBODY, HERE, "GET app /\nx-role: good, evil\n", ERROR_DENIED}, {NOBODY, HERE, "GET app /\nx-role: good\nx_role: evil\n", ERROR_DENIED},
           {NOBODY, HERE, "GET app /\nx_role: good\n", ERROR_DENIED});
    EXPECT(DENY("d", "  - {name: r, when: [{type: Query, name: q, values: [evil]}]}\n"), {NOBODY, HERE, "GET app /?q=good\n", OK},
           {NOBODY, HERE, "GET app /?q=good&q=evil\n", ERROR_DENIED}, {NOBODY, HERE, "GET app /?%71=e%76il\n", ERROR_DENIED},
           {NOBODY, HERE, "GET app /?q=evil2\n", OK});
    EXPECT(ALLOW("a", "  - {name: r, when: [{type: Query, name: q, values: [good, fine]}]}\n"), {NOBODY, HERE, "GET app /?q=good&q=fine\n", OK},
           {NOBODY, HERE, "GET app /?q=good&q=evil\n", ERROR_DENIED}, {NOBODY, HERE, "GET app /\n", ERROR_DENIED});
    EXPECT(DENY("d", "  - {name: r, when: [{type: Cookie, name: c, values: [evil]}]}\n"), {NOBODY, HERE, "GET app /\ncookie: c=good\n", OK},
           {NOBODY, HERE, "GET app /\ncookie: c=good; c=evil\n", ERROR_DENIED},
           {NOBODY, HERE, "GET app /\ncookie: c=good\ncookie: c=evil\n", ERROR_DENIED});
    EXPECT(ALLOW("a", "  - {name: r, when: [{type: Cookie, name: c, values: [good]}]}\n"), {NOBODY, HERE, "GET app /\ncookie: b=1; c=good\n", OK},
           {NOBODY, HERE, "GET app /\ncookie: c=good; c=evil\n", ERROR_DENIED});
}

static void what_is_left_out_is_read_the_other_way(void **state) {
    (void)state;
    EXPECT(ALLOW("a", "  - {name: r, notMatches: [{headers: [{name: x-role, value: evil}]}]}\n"), {NOBODY, HERE, "GET app /\n", OK},
           {NOBODY, HERE, "GET app /\nx-role: good\nx-role: evil\n", ERROR_DENIED});
    EXPECT(DENY("a", "  - {name: r, notMatches: [{headers: [{name: x-role, value: good}]}]}\n"), {NOBODY, HERE, "GET app /\n", ERROR_DENIED},
           {NOBODY, HERE, "GET app /\nx-role: good\n", OK}, {NOBODY, HERE, "GET app /\nx-role: good\nx-role: evil\n", ERROR_DENIED});
}

static void parameters_of_a_path_get_past_nothing(void **state) {
    (void)state;
    EXPECT(DENY("d", "  - {name: r, matches: [{path: {type: Exact, value: /admin}}, {path: {value: /secret}}]}\n"),
           {NOBODY, HERE, "GET app /a;x=1\n", OK}, {NOBODY, HERE, "GET app /admin;x\n", ERROR_DENIED},
           {NOBODY, HERE, "GET app /admin;\n", ERROR_DENIED}, {NOBODY, HERE, "GET app /admin%3Bx\n", ERROR_DENIED},
           {NOBODY, HERE, "GET app /secret;a=1/b;c\n", ERROR_DENIED}, {NOBODY, HERE, "GET app /;x/admin\n", ERROR_BAD_REQUEST},
           {NOBODY, HERE, "GET app /admin?;\n", ERROR_DENIED}, {NOBODY, HERE, "GET app /x?/admin\n", OK});
    EXPECT(ALLOW("a", "  - {name: r, matches: [{path: {value: /app}}]}\n  - {name: jar, matches: [{path: {type: Exact, value: '/x;y'}}, {path: "
                      "{type: Exact, value: /y/}}]}\n"),
           {NOBODY, HERE, "GET app /app/a;x=1\n", OK}, {NOBODY, HERE, "GET app /y/\n", OK}, {NOBODY, HERE, "GET app /y\n", ERROR_DENIED},
           {NOBODY, HERE, "GET app /app;x\n", ERROR_DENIED}, {NOBODY, HERE, "GET app /x;y\n", ERROR_DENIED});
    EXPECT(DENY("d", "  - {name: r, when: [{type: Path, values: [/admin]}]}\n"), {NOBODY, HERE, "GET app /admin;x\n", ERROR_DENIED},
           {NOBODY, HERE, "GET app /admin/\n", ERROR_DENIED}, {NOBODY, HERE, "GET app /admin/x\n", OK});
}

static void slashes_that_servers_differ_on_are_refused_where_paths_are_named(void **state) {
    (void)state;
#define ODD(end)                                                                                                          \
    {NOBODY, HERE, "GET app /a%2Fb\n", end}, {NOBODY, HERE, "GET app //a\n", end}, {NOBODY, HERE, "GET app /a//\n", end}, \
        {NOBODY, HERE, "GET app /a?b=//c%2F\n", OK}
    EXPECT(DENY("d", "  - {name: r, matches: [{path: {value: /admin}}]}\n"), ODD(ERROR_BAD_REQUEST));
    EXPECT(ALLOW("a", "  - {name: r, matches: [{}]}\n  - {name: s, notMatches: [{path: {type: RegularExpression, value: '/x.*'}}]}\n"),
           ODD(ERROR_BAD_REQUEST));
    EXPECT(ALLOW("a", "  - {name: r, matches: [{}]}\n") DENY("d", "  - {name: r, from: [{namespaces: [x]}]}\n"), ODD(OK));
}

static void hosts_are_compared_in_their_canonical_form(void **state) {
    (void)state;
    EXPECT(DENY("d", "  - {name: r, when: [{type: Header, name: Host, values: ['Admin.example:80']}]}\n"),
           {NOBODY, HERE, "GET admin.EXAMPLE /\n", ERROR_DENIED}, {NOBODY, HERE, "GET admin.example.:80 /\n", ERROR_DENIED},
           {NOBODY, HERE, "GET admin.example:81 /\n", OK});
    EXPECT(DENY("d", "  - {name: r, matches: [{headers: [{name: host, type: RegularExpression, value: 'admin\\..*'}]}]}\n"),
           {NOBODY, HERE, "GET ADMIN.example /\n", ERROR_DENIED}, {NOBODY, HERE, "GET adminXexample /\n", OK});
}

static void bytes_that_are_no_text_get_past_no_expression(void **state) {
    (void)state;
    EXPECT(DENY("d", "  - {name: r, matches: [{headers: [{name: x-role, type: RegularExpression, value: '.*evil.*'}]}]}\n"),
           {NOBODY, HERE,
            "GET app /\nx-role: \x80\xff"
            "evil\xc3\n",
            ERROR_DENIED});
    EXPECT(ALLOW("a", "  - {name: r, notMatches: [{headers: [{name: x-role, type: RegularExpression, value: '.*evil.*'}]}]}\n"),
           {NOBODY, HERE,
            "GET app /\nx-role: \x80\xff"
            "evil\n",
            ERROR_DENIED},
           {NOBODY, HERE, "GET app /\nx-role: \x80\xff\n", OK});
}

static void an_expression_that_takes_too_much_work_lets_nothing_pass(void **state) {
    (void)state;
#define SLOW "matches: [{headers: [{name: x, type: RegularExpression, value: '(a+)+[bc]'}]}]"
#define MANY "GET app /\nx: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
    EXPECT(DENY("d", "  - {name: r, " SLOW "}\n"), {NOBODY, HERE, MANY, ERROR_BAD_REQUEST}, {NOBODY, HERE, "GET app /\nx: aab\n", ERROR_DENIED},
           {NOBODY, HERE, "GET app /\nx: c\n", OK});
    EXPECT(ALLOW("d", "  - {name: r, " SLOW "}\n  - {name: all, matches: [{}]}\n"), {NOBODY, HERE, MANY, ERROR_BAD_REQUEST});
}

// ---- connections without requests

static void a_condition_on_http_never_allows_a_connection_and_always_denies_it(void **state) {
    (void)state;
    static const struct {
        const char *documents;
        struct caller caller;
        enum error end;
    } cases[] = {
        {ALLOW("a", "  - {name: r, from: [{namespaces: [school]}]}\n"), COURSES, OK},
        {ALLOW("a", "  - {name: r, from: [{namespaces: [school]}]}\n"), STRANGER, ERROR_DENIED},
        {ALLOW("a", "  - {name: r, matches: [{}]}\n"), COURSES, ERROR_DENIED},
        {ALLOW("a", "  - {name: r, notMatches: [{method: PUT}]}\n"), COURSES, ERROR_DENIED},
        {ALLOW("a", "  - {name: r, when: [{type: Method, values: [GET]}]}\n"), COURSES, ERROR_DENIED},
        {ALLOW("a", "  - {name: r, when: [{type: Identity, values: ['*']}, {type: ClientAddress, values: [10.0.0.0/8]}]}\n"), COURSES, OK},
        {DENY("a", "  - {name: r, from: [{namespaces: [other]}]}\n"), COURSES, OK},
        {DENY("a", "  - {name: r, matches: [{method: PUT}]}\n"), COURSES, ERROR_DENIED},
        {DENY("a", "  - {name: r, notMatches: [{method: PUT}]}\n"), COURSES, ERROR_DENIED},
        {DENY("a", "  - {name: r, matches: [{path: {value: /x}}], from: [{namespaces: [other]}]}\n"), COURSES, OK},
        {DENY("a", "  - {name: r, when: [{type: Header, name: x, values: [y]}]}\n"), COURSES, ERROR_DENIED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loopback world;
        char documents[4096];
        snprintf(documents, sizeof documents, BESIDE "%s", cases[i].documents);
        loopback_init(&world, documents, filter_types);
        assert_int_equal(ask_as(&world, cases[i].caller, "GET app /\n", true), cases[i].end);
        loopback_dispose(&world);
    }
}

// ---- what is told

static uint64_t refusals(struct loopback *world, bool is_dry_run, const char *policy, const char *rule) {
    struct policy_state_set *set = is_dry_run ? world->states.shadow : world->states.live;
    char label[128];
    snprintf(label, sizeof label, "AuthorizationPolicy/default/%s", policy);
    struct policy_state *found =
        policy_state_get(set, bytes_from_text(label), bytes_from_text(rule), BYTES("Service default/app"), 0, &policy_state_counts, NULL);
    const uint64_t count = atomic_load(&found->refusals);
    policy_state_release(found);
    return count;
}

static void a_refusal_names_policy_rule_and_reason(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world,
                  BESIDE ALLOW("a", "  - {name: read, from: [{namespaces: [school]}], matches: [{method: GET}]}\n")
                      ALLOW("b", "  - {name: r, matches: [{path: {value: /b}}]}\n")
                          DENY("d", "  - {name: evil, matches: [{path: {value: /evil}}]}\n"),
                  filter_types);
    assert_int_equal(ask(&world, COURSES, "GET app /evil\n"), ERROR_DENIED);
    assert_string_equal(world.record.policy, "AuthorizationPolicy/default/d: evil");
    assert_string_equal(world.record.detail, COURSES.identity);
    assert_int_equal(world.record.status, 403);
    assert_int_equal(ask(&world, STRANGER, "GET app /\n"), ERROR_DENIED);
    assert_string_equal(world.record.policy, "AuthorizationPolicy/default/a: no rule");
    assert_string_equal(world.record.detail,
                        "192.0.2.7, without an identity: no Allow matches: AuthorizationPolicy/default/a, AuthorizationPolicy/default/b");
    assert_int_equal(refusals(&world, false, "d", "evil"), 1);
    assert_int_equal(refusals(&world, false, "a", "no rule"), 1);
    const union address address = address_from(STRANGER.address);
    client_begin_as(&client, &world, loopback_listener(&world, "inbound"), &(struct stream_client){.address = &address}, HTTP_2,
                    "POST app /a/b\ncontent-type: application/grpc\nte: trailers\n", true);
    loopback_settle(&world);
    assert_int_equal(client.status, 200);
    assert_string_equal(client_field(&client, "grpc-status"), "7");
    client_dispose(&client);
    loopback_dispose(&world);
}

static void a_dry_run_tells_what_would_be_otherwise(void **state) {
    (void)state;
#define TRY(name, action, rules) AUTHORIZATION(name, "  mode: DryRun\n  action: " action "\n  rules:\n" rules)
    static const struct {
        const char *documents, *request;
        enum error end;
        const char *told;
    } cases[] = {
        {TRY("t", "Deny", "  - {name: r, matches: [{path: {value: /x}}]}\n"), "GET app /x\n", OK, "AuthorizationPolicy/default/t: r: denied"},
        {TRY("t", "Deny", "  - {name: r, matches: [{path: {value: /x}}]}\n"), "GET app /y\n", OK, ""},
        {TRY("t", "Allow", "  - {name: r, matches: [{path: {value: /x}}]}\n"), "GET app /y\n", OK, "AuthorizationPolicy/default/t: no rule: denied"},
        {TRY("t", "Allow", "  - {name: r, matches: [{path: {value: /x}}]}\n"), "GET app /x\n", OK, ""},
        {TRY("t", "Allow", "  - {name: r, matches: [{path: {value: /x}}]}\n") ALLOW("a", "  - {name: y, matches: [{path: {value: /y}}]}\n"),
         "GET app /x\n", ERROR_DENIED, "AuthorizationPolicy/default/t: r: allowed"},
        {TRY("t", "Allow", "  - {name: r, matches: [{path: {value: /x}}]}\n") ALLOW("a", "  - {name: y, matches: [{path: {value: /y}}]}\n"),
         "GET app /y\n", OK, ""},
        {TRY("t", "Allow", "  - {name: r, matches: [{path: {value: /x}}]}\n") ALLOW("a", "  - {name: y, matches: [{path: {value: /y}}]}\n"),
         "GET app /z\n", ERROR_DENIED, ""},
        {TRY("t", "Deny", "  - {name: r, matches: [{path: {value: /x}}]}\n") DENY("d", "  - {name: all, matches: [{}]}\n"), "GET app /x\n",
         ERROR_DENIED, ""},
        {TRY("t", "Deny", "  - {name: r, matches: [{path: {value: /x}}]}\n"), "GET app //x\n", OK, "AuthorizationPolicy/default/t: r: bad_request"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loopback world;
        char documents[4096];
        snprintf(documents, sizeof documents, BESIDE "%s", cases[i].documents);
        loopback_init(&world, documents, filter_types);
        assert_int_equal(ask(&world, STRANGER, cases[i].request), cases[i].end);
        assert_string_equal(world.record.dry_run, cases[i].told);
        const bool is_refused = has_text(cases[i].told, "denied") || has_text(cases[i].told, "bad_request");
        assert_int_equal(refusals(&world, true, "t", "r") + refusals(&world, true, "t", "no rule"), is_refused);
        loopback_dispose(&world);
    }
}

// The steps of the filter, asked about a request that nobody is served by, as "outcome policy rule, ...".
static void assert_explained(struct loopback *world, const char *request, const char *wanted) {
    const union address address = address_from(STRANGER.address);
    struct client client;
    struct text said = {0};
    client_begin_as(&client, world, loopback_listener(world, "inbound"), &(struct stream_client){.address = &address}, HTTP_1_1, request, true);
    explanation_begin(client.stream, true);
    loopback_settle(world);
    for (const struct explanation_step *step = client.stream->explanation->first; step != NULL; step = step->next)
        if (strcmp(step->filter, "authorization") == 0)
            text_format(&said, "%d %.*s %.*s, ", (int)step->outcome, BYTES_FORMAT(step->policy), BYTES_FORMAT(step->rule));
    assert_string_equal(said.at, wanted);
    text_dispose(&said);
    if (!client.done)
        client_fail(&client, ERROR_CLIENT_GONE);
    client_dispose(&client);
}

static void who_asks_is_told_the_document_and_rule(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world,
                  BESIDE ALLOW("a", "  - {name: read, matches: [{method: GET}]}\n")
                      DENY("d", "  - {name: admin, matches: [{path: {value: /admin}}]}\n")
                          TRY("t", "Deny", "  - {name: x, matches: [{path: {value: /x}}]}\n"),
                  filter_types);
    assert_int_equal(STEP_PASSED, 0);
    assert_explained(&world, "GET app /y\n", "0 AuthorizationPolicy/default/a read, ");
    assert_explained(&world, "GET app /admin\n", "1 AuthorizationPolicy/default/d admin, ");
    assert_explained(&world, "PUT app /y\ncontent-length: 0\n", "1 AuthorizationPolicy/default/a no rule, ");
    assert_explained(&world, "GET app /x\n", "0 AuthorizationPolicy/default/a read, 2 AuthorizationPolicy/default/t x, ");
    assert_int_equal(refusals(&world, false, "d", "admin") + refusals(&world, true, "t", "x"), 0);
    loopback_dispose(&world);
}

static void documents_that_change_hold_from_the_next_request_on(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, BESIDE DENY("d", "  - {name: r, matches: [{path: {value: /x}}]}\n"), filter_types);
    assert_int_equal(ask(&world, STRANGER, "GET app /x\n"), ERROR_DENIED);
    loopback_apply(&world, BESIDE DENY("d", "  - {name: r, matches: [{path: {value: /y}}]}\n"));
    assert_int_equal(ask(&world, STRANGER, "GET app /x\n"), OK);
    assert_int_equal(ask(&world, STRANGER, "GET app /y\n"), ERROR_DENIED);
    assert_int_equal(refusals(&world, false, "d", "r"), 2);
    loopback_apply(&world, BESIDE);
    assert_int_equal(ask(&world, STRANGER, "GET app /y\n"), OK);
    loopback_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_any_policy_all_pass),
        cmocka_unit_test(an_allow_refuses_what_no_rule_is_for),
        cmocka_unit_test(a_deny_goes_before_every_allow),
        cmocka_unit_test(allows_add_up),
        cmocka_unit_test(an_allow_without_rules_allows_nothing),
        cmocka_unit_test(identities_are_texts_and_no_expressions),
        cmocka_unit_test(a_source_is_all_that_it_says_and_any_source_will_do),
        cmocka_unit_test(who_shows_no_identity_may_be_one_that_is_held_out),
        cmocka_unit_test(a_value_that_stands_twice_is_all_of_its_values),
        cmocka_unit_test(what_is_left_out_is_read_the_other_way),
        cmocka_unit_test(parameters_of_a_path_get_past_nothing),
        cmocka_unit_test(slashes_that_servers_differ_on_are_refused_where_paths_are_named),
        cmocka_unit_test(hosts_are_compared_in_their_canonical_form),
        cmocka_unit_test(bytes_that_are_no_text_get_past_no_expression),
        cmocka_unit_test(an_expression_that_takes_too_much_work_lets_nothing_pass),
        cmocka_unit_test(a_condition_on_http_never_allows_a_connection_and_always_denies_it),
        cmocka_unit_test(a_refusal_names_policy_rule_and_reason),
        cmocka_unit_test(a_dry_run_tells_what_would_be_otherwise),
        cmocka_unit_test(who_asks_is_told_the_document_and_rule),
        cmocka_unit_test(documents_that_change_hold_from_the_next_request_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
