// Rules that go by what a token says: decided behind what verifies it, all else before; and headers that are made of claims are nobody's own.
#include "unit/filters/authentication_drive.h"

#define DOCUMENT(name, action, rules) \
    API "kind: AuthorizationPolicy\nmetadata: {name: " name "}\nspec:\n" TARGET_AUTH "  action: " action "\n  rules:\n" rules "---\n"
#define KEYS(more) TOKENS("", PROVIDER(URL, more))
#define SCOPE_READ "when: [{type: JWTClaim, name: scope, values: [read]}]"

struct asked {
    const char *claims; // of the token; NULL: it comes without one
    const char *fields;
    unsigned status;
};

static void expect_all(const char *documents, const struct asked *asked, size_t count) {
    struct issuer issuer;
    struct world world;
    issuer_init(&issuer, "k");
    issuer_world_init(&world, documents, &issuer);
    for (size_t i = 0; i < count; i++) {
        const char *token = asked[i].claims == NULL ? NULL : token_with(&issuer, asked[i].claims);
        const unsigned status = status_of(&world, request_with(token, asked[i].fields));
        if (status != asked[i].status)
            fail_msg("%s %s: %u", asked[i].claims == NULL ? "no token" : asked[i].claims, asked[i].fields, status);
    }
    world_dispose(&world);
    issuer_dispose(&issuer);
}

#define EXPECT(documents, ...)                                               \
    do {                                                                     \
        static const struct asked asked[] = {__VA_ARGS__};                   \
        expect_all(BESIDE documents, asked, sizeof asked / sizeof asked[0]); \
    } while (0)

static void any_value_or_word_of_a_claim_will_do(void **state) {
    (void)state;
    EXPECT(KEYS("") DOCUMENT("a", "Allow", "  - {name: r, " SCOPE_READ "}\n"), {NULL, "", 403}, {"", "", 403}, {",\"scope\":\"read\"", "", 200},
           {",\"scope\":\"write read\"", "", 200}, {",\"scope\":[\"write\",\"read\"]", "", 200}, {",\"scope\":\"readers\"", "", 403},
           {",\"scopes\":\"read\"", "", 403});
    EXPECT(KEYS("") DOCUMENT("a", "Allow", "  - {name: r, when: [{type: JWTClaim, name: realm.roles, values: [admin, owner]}]}\n"),
           {",\"realm\":{\"roles\":[\"user\",\"owner\"]}", "", 200}, {",\"realm\":{\"roles\":[\"user\"]}", "", 403},
           {",\"roles\":[\"admin\"]", "", 403});
    EXPECT(KEYS("") DOCUMENT("d", "Deny", "  - {name: r, when: [{type: JWTClaim, name: sub, values: [evil]}]}\n"), {NULL, "", 200},
           {",\"sub\":\"good\"", "", 200}, {",\"sub\":\"evil\"", "", 403});
}

static void all_that_a_rule_says_must_hold(void **state) {
    (void)state;
    EXPECT(KEYS("") DOCUMENT("a", "Allow",
                             "  - {name: r, matches: [{headers: [{name: x-a, value: '1'}]}], " SCOPE_READ "}\n  - {name: o, matches: [{headers: "
                             "[{name: x-open, value: '1'}]}]}\n")
               DOCUMENT("d", "Deny",
                        "  - {name: r, matches: [{headers: [{name: x-b, value: '1'}]}], when: [{type: JWTClaim, name: sub, values: [evil]}]}\n"),
           {",\"scope\":\"read\"", "x-a: 1\n", 200}, {",\"scope\":\"read\"", "x-a: 2\n", 403}, {",\"scope\":\"other\"", "x-a: 1\n", 403},
           {NULL, "x-open: 1\n", 200}, {",\"sub\":\"evil\"", "x-open: 1\n", 200}, {",\"sub\":\"evil\"", "x-open: 1\nx-b: 1\n", 403},
           {",\"sub\":\"good\"", "x-open: 1\nx-b: 1\n", 200});
}

static void what_no_token_can_change_is_refused_before_one_is_looked_at(void **state) {
    (void)state;
    struct issuer issuer;
    struct world world;
    issuer_init(&issuer, "k");
    issuer_world_init(
        &world, BESIDE KEYS("") DOCUMENT("a", "Allow", "  - {name: r, matches: [{headers: [{name: x-a, value: '1'}]}], " SCOPE_READ "}\n"), &issuer);
    assert_int_equal(status_of(&world, request_with("no.good.token", "x-a: 2\n")), 403);
    assert_int_equal(status_of(&world, request_with("no.good.token", "x-a: 1\n")), 401);
    assert_int_equal(status_of(&world, request_with(token_with(&issuer, ",\"scope\":\"read\""), "x-a: 2\n")), 403);
    assert_int_equal(world.questions, 0);
    assert_string_equal(world.loopback.record.policy, "AuthorizationPolicy/default/a: no rule");
    assert_int_equal(status_of(&world, request_with(token_with(&issuer, ",\"scope\":\"read\""), "x-a: 1\n")), 200);
    assert_int_equal(world.questions, 1);
    world_dispose(&world);
    issuer_dispose(&issuer);
}

static void a_header_that_is_made_of_a_claim_is_no_client_s_to_set(void **state) {
    (void)state;
#define MADE ", claimsToHeaders: [{claim: sub, header: x-user}]"
    EXPECT(KEYS(MADE) DOCUMENT("a", "Allow", "  - {name: r, matches: [{headers: [{name: x-user, value: root}]}]}\n"), {NULL, "x-user: root\n", 403},
           {",\"sub\":\"root\"", "", 200}, {",\"sub\":\"root\"", "x-user: other\n", 200}, {",\"sub\":\"me\"", "x-user: root\n", 403});
    EXPECT(KEYS(MADE) DOCUMENT("d", "Deny", "  - {name: r, when: [{type: Header, name: x-user, values: [evil]}]}\n"),
           {",\"sub\":\"evil\"", "x-user: good\n", 403}, {",\"sub\":\"good\"", "x-user: evil\n", 200}, {NULL, "", 200});
    EXPECT(KEYS(MADE) DOCUMENT("a", "Allow", "  - {name: r, notMatches: [{headers: [{name: x-user, value: evil}]}]}\n"),
           {",\"sub\":\"evil\"", "x-user: good\n", 403}, {",\"sub\":\"good\"", "x-user: evil\n", 200});
}

static void a_dry_run_is_told_once(void **state) {
    (void)state;
    struct issuer issuer;
    struct world world;
    issuer_init(&issuer, "k");
    issuer_world_init(&world,
                      BESIDE KEYS("")
                          DOCUMENT("t", "Deny\n  mode: DryRun",
                                   "  - {name: now, matches: [{headers: [{name: x-a, value: '1'}]}]}\n  - {name: late, " SCOPE_READ "}\n"),
                      &issuer);
    assert_int_equal(status_of(&world, request_with(NULL, "x-a: 1\n")), 200);
    assert_string_equal(world.loopback.record.dry_run, "AuthorizationPolicy/default/t: now: denied");
    assert_int_equal(status_of(&world, request_with(token_with(&issuer, ",\"scope\":\"read\""), "")), 200);
    assert_string_equal(world.loopback.record.dry_run, "AuthorizationPolicy/default/t: late: denied");
    assert_int_equal(status_of(&world, request_with(NULL, "")), 200);
    assert_string_equal(world.loopback.record.dry_run, "");
    world_dispose(&world);
    issuer_dispose(&issuer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_value_or_word_of_a_claim_will_do),
        cmocka_unit_test(all_that_a_rule_says_must_hold),
        cmocka_unit_test(what_no_token_can_change_is_refused_before_one_is_looked_at),
        cmocka_unit_test(a_header_that_is_made_of_a_claim_is_no_client_s_to_set),
        cmocka_unit_test(a_dry_run_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
