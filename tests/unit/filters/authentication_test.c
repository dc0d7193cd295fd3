// AuthenticationPolicy with keys out of a file: which tokens are found and believed, what refusals say, what the application is told, and what goes by claims behind it.
#include "unit/filters/authentication_drive.h"

#include <stdlib.h>
#include <unistd.h>

static struct issuer issuer;
static char path[] = "/tmp/outrigger-jwks-XXXXXX";
static char table[] = "/tmp/outrigger-tiers-XXXXXX";

static void write_file(const char *name, const char *text) {
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
}

static int make_issuer(void **state) {
    (void)state;
    issuer_init(&issuer, "k");
    close(mkstemp(path));
    close(mkstemp(table));
    write_file(path, issuer.keys);
    write_file(table, "# whose keys\nann premium\n\nbob\tfree\r\n");
    return 0;
}

static int drop_issuer(void **state) {
    (void)state;
    issuer_dispose(&issuer);
    unlink(path);
    unlink(table);
    return 0;
}

// Documents with the files' names in the place of %FILE and %TABLE.
static void open_world(struct world *world, const char *documents) {
    static char text[16384];
    size_t length = 0;
    while (*documents != '\0' && length + sizeof path < sizeof text) {
        const char *name = strncmp(documents, "%FILE", 5) == 0 ? path : strncmp(documents, "%TABLE", 6) == 0 ? table : NULL;
        if (name == NULL) {
            text[length++] = *documents++;
            continue;
        }
        length += (size_t)sprintf(text + length, "%s", name);
        documents += name == path ? 5 : 6;
    }
    text[length] = '\0';
    issuer_world_init(world, text, NULL);
}

#define FILE_KEYS "file: '%FILE'"
#define HEADERS ", claimsToHeaders: [{claim: sub, header: x-user-id}, {claim: realm.roles, header: x-roles}, {claim: scope, header: x-scope}]"

static unsigned refusal_of(struct world *world, const char *request, char *challenge, size_t size) {
    struct client client;
    begin(&client, world, request);
    const char *field = client_field(&client, "www-authenticate");
    snprintf(challenge, size, "%s", field == NULL ? "" : field);
    const unsigned status = client.status;
    client_dispose(&client);
    return status;
}

// ---- what is believed

static void a_good_token_passes_and_a_bad_one_never_does(void **state) {
    (void)state;
    struct world world;
    char challenge[128];
    open_world(&world, BESIDE TOKENS("", PROVIDER(FILE_KEYS, "")));
    assert_int_equal(status_with(&world, token_with(&issuer, ",\"sub\":\"ann\"")), 200);
    assert_int_equal(status_with(&world, NULL), 200); // none is required
    assert_int_equal(status_of(&world, request_with(NULL, "authorization: Basic YTpi\n")), 200);
    assert_int_equal(refusal_of(&world, request_with("nonsense", ""), challenge, sizeof challenge), 401);
    assert_string_equal(challenge, "Bearer error=\"invalid_token\", error_description=\"malformed\"");
    assert_string_equal(world.loopback.record.policy, "AuthenticationPolicy/default/t: main");
    assert_string_equal(world.loopback.record.detail, "malformed");
    assert_int_equal(world.loopback.record.end, ERROR_UNAUTHENTICATED);
    assert_int_equal(refusal_of(&world, request_with(token_with(&issuer, ",\"nbf\":1800001000"), ""), challenge, sizeof challenge), 401);
    assert_string_equal(challenge, "Bearer error=\"invalid_token\", error_description=\"not yet valid\"");
    world_dispose(&world);
}

static void a_token_that_is_required_is_missed(void **state) {
    (void)state;
    struct world world;
    char challenge[128];
    open_world(&world, BESIDE TOKENS("  required: true\n", PROVIDER(FILE_KEYS, "")));
    assert_int_equal(refusal_of(&world, request_with(NULL, ""), challenge, sizeof challenge), 401);
    assert_string_equal(challenge, "Bearer");
    assert_string_equal(world.loopback.record.detail, "no token");
    assert_int_equal(status_with(&world, token_with(&issuer, "")), 200);
    world_dispose(&world);
}

static void a_call_of_grpc_is_refused_in_its_own_words(void **state) {
    (void)state;
    struct world world;
    open_world(&world, BESIDE TOKENS("  required: true\n", PROVIDER(FILE_KEYS, "")));
    struct client client;
    begin(&client, &world, "POST auth /s/m\ncontent-type: application/grpc\nte: trailers\n");
    assert_int_equal(client.status, 200);
    assert_string_equal(client_field(&client, "grpc-status"), "16");
    assert_string_equal(client_field(&client, "www-authenticate"), "Bearer");
    client_dispose(&client);
    assert_int_equal(world.asked, 0);
    world_dispose(&world);
}

// Its signature is checked once; what was known goes with its time.
static void a_token_is_verified_once_and_ends_in_time(void **state) {
    (void)state;
    struct world world;
    open_world(&world, BESIDE TOKENS("", PROVIDER(FILE_KEYS, ", clockSkew: 10s")));
    char token[TEST_TOKEN_SIZE];
    snprintf(token, sizeof token, "%s", token_with(&issuer, ""));
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(status_with(&world, token), 200);
    assert_int_equal(metric_read(&world.loopback.far.metrics.tokens_verified), 1);
    loopback_pass(&world.loopback, 309 * NS_PER_S);
    assert_int_equal(status_with(&world, token), 200);
    loopback_pass(&world.loopback, 1 * NS_PER_S);
    assert_int_equal(status_with(&world, token), 401);
    assert_string_equal(world.loopback.record.detail, "expired");
    assert_int_equal(metric_read(&world.loopback.far.metrics.tokens_verified), 1);
    world_dispose(&world);
}

// ---- where it stands

static void a_token_is_found_where_the_provider_says_and_nowhere_else(void **state) {
    (void)state;
    static const struct {
        const char *request;
        unsigned status;
    } cases[] = {
        {"GET auth /\nx-token: tok@\n", 200},
        {"GET auth /\nx-token: TOK@\n", 200},
        {"GET auth /\nx-token: tok@\nx_token: tok@\n", 401},
        {"GET auth /\nx-token: tok@\nX_Token: tokother\n", 401}, // which some applications read in its place
        {"GET auth /\nx-token: @\n", 401},                       // without the prefix it is no token
        {"GET auth /\nx_token: tok@\n", 401},
        {"GET auth /\ncookie: a=b; session=@; c=d\n", 200},
        {"GET auth /\ncookie: Session=@\n", 401},
        {"GET auth /?a=b&access_token=@\n", 200},
        {"GET auth /?a=b&xaccess_token=@\n", 401},
        {"GET auth /\nauthorization: Bearer @\n", 401},
    };
    struct world world;
    open_world(&world, BESIDE TOKENS("  required: true\n",
                                     PROVIDER(FILE_KEYS, ", from: [{type: Header, name: x-token, prefix: tok}, {type: Cookie, name: session}, "
                                                         "{type: Query, name: access_token}]")));
    const char *token = token_with(&issuer, "");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char request[2 * TEST_TOKEN_SIZE];
        const char *at = strchr(cases[i].request, '@');
        snprintf(request, sizeof request, "%.*s%s%s", (int)(at - cases[i].request), cases[i].request, token, at + 1);
        assert_int_equal(status_of(&world, request), cases[i].status);
    }
    world_dispose(&world);
}

// The application may go by the other one.
static void of_two_tokens_none_is_believed(void **state) {
    (void)state;
    struct world world;
    char first[TEST_TOKEN_SIZE], request[3 * TEST_TOKEN_SIZE];
    open_world(&world,
               BESIDE TOKENS("", PROVIDER(FILE_KEYS, ", from: [{type: Header, name: authorization, prefix: 'Bearer '}, {type: Query, name: t}]")));
    snprintf(first, sizeof first, "%s", token_with(&issuer, ",\"sub\":\"ann\""));
    const char *second = token_with(&issuer, ",\"sub\":\"bob\"");
    static const char *const forms[] = {"GET auth /?t=%s\nauthorization: Bearer %s\n", "GET auth /?t=%s&t=%s\n",
                                        "GET auth /\nauthorization: Bearer %s\nauthorization: Bearer %s\n"};
    for (size_t i = 0; i < 3; i++) {
        const char *at = strstr(forms[i], "%s"), *behind = strstr(at + 2, "%s");
        snprintf(request, sizeof request, "%.*s%s%.*s%s%s", (int)(at - forms[i]), forms[i], first, (int)(behind - at - 2), at + 2, second,
                 behind + 2);
        assert_int_equal(status_of(&world, request), 401);
        assert_string_equal(world.loopback.record.detail, "more than one token");
    }
    snprintf(request, sizeof request, "GET auth /?t=%s\nauthorization: Bearer %s\n", second, second);
    assert_int_equal(status_of(&world, request), 200); // one, twice
    world_dispose(&world);
}

static void the_provider_of_a_token_is_that_of_its_issuer(void **state) {
    (void)state;
    struct world world;
    open_world(&world, BESIDE TOKENS("", "  - {name: other, issuer: 'https://other.example', jwks: {file: '%FILE'}, audiences: [x]}\n" PROVIDER(
                                             FILE_KEYS, "")));
    assert_int_equal(status_with(&world, token_with(&issuer, "")), 200);
    assert_int_equal(status_with(&world, token_with(&issuer, ",\"x\":1")), 200);
    char token[TEST_TOKEN_SIZE];
    test_token(issuer.key, JWT_EDDSA, "{\"alg\":\"EdDSA\",\"kid\":\"k\"}", "{\"iss\":\"https://other.example\",\"aud\":\"y\",\"exp\":1800000300}",
               token);
    assert_int_equal(status_with(&world, token), 401);
    assert_string_equal(world.loopback.record.policy, "AuthenticationPolicy/default/t: other");
    assert_string_equal(world.loopback.record.detail, "wrong audience");
    test_token(issuer.key, JWT_EDDSA, "{\"alg\":\"EdDSA\",\"kid\":\"k\"}", "{\"iss\":\"https://third.example\",\"exp\":1800000300}", token);
    assert_int_equal(status_with(&world, token), 401);
    assert_string_equal(world.loopback.record.detail, "wrong issuer");
    world_dispose(&world);
}

// ---- what the application is told

static void claims_become_headers_that_nobody_else_can_send(void **state) {
    (void)state;
    struct world world;
    open_world(&world, BESIDE TOKENS("", PROVIDER(FILE_KEYS, HEADERS)));
    const char *token = token_with(&issuer, ",\"sub\":\"ann\",\"realm\":{\"roles\":[\"a\",\"b\"]},\"scope\":\"read write\"");
    assert_int_equal(status_of(&world, request_with(token, "x-user-id: root\nX_User_Id: root\nx-kept: 1\n")), 200);
    assert_has(world.got.at, "x-user-id: ann");
    assert_has(world.got.at, "x-roles: a,b");
    assert_has(world.got.at, "x-scope: read write");
    assert_has(world.got.at, "x-kept: 1");
    assert_has(world.got.at, "authorization: Bearer ey"); // as it came
    assert_has_not(world.got.at, "root");
    assert_int_equal(status_of(&world, request_with(NULL, "x-user-id: root\nx_user_id: root\nX-ROLES: root\n")), 200);
    assert_has_not(world.got.at, "root");
    world_dispose(&world);
}

// Some servers put trailers to the fields of the head.
static void trailers_say_nothing_that_a_token_says(void **state) {
    (void)state;
    struct world world;
    struct client client;
    const union address address = {.v4 = {.sin_family = AF_INET}};
    open_world(&world, BESIDE TOKENS("", PROVIDER(FILE_KEYS, HEADERS)));
    client_begin_as(&client, &world.loopback, loopback_listener(&world.loopback, "inbound"), &(struct stream_client){.address = &address}, HTTP_1_1,
                    request_with(NULL, ""), false);
    client_send(&client, BYTES("x"), false);
    client_end(&client, "x-user-id: root\nX_User_Id: root\nx-sum: 1\n");
    assert_int_equal(client.status, 200);
    assert_has(world.got.at, "x-sum: 1");
    assert_has_not(world.got.at, "root");
    client_dispose(&client);
    world_dispose(&world);
}

// Another header would begin, or another member: nothing is said rather than that.
static void what_no_header_can_say_is_left_out(void **state) {
    (void)state;
    struct world world;
    open_world(&world, BESIDE TOKENS("", PROVIDER(FILE_KEYS, HEADERS)));
    assert_int_equal(status_with(&world, token_with(&issuer, ",\"sub\":\"ann\\r\\nx-admin: 1\",\"realm\":{\"roles\":[\"a\",\"b,c\"]}")), 200);
    assert_has_not(world.got.at, "x-user-id");
    assert_has_not(world.got.at, "x-admin");
    assert_has_not(world.got.at, "x-roles");
    assert_int_equal(status_with(&world, token_with(&issuer, ",\"sub\":\"Doe, Ann\",\"realm\":{\"roles\":[\"a,admin\"]}")), 200);
    assert_has(world.got.at, "x-user-id: Doe, Ann"); // one text is no list
    assert_has_not(world.got.at, "x-roles");
    assert_int_equal(status_with(&world, token_with(&issuer, ",\"realm\":[{\"roles\":\"a,admin\"}]")), 200);
    assert_has_not(world.got.at, "x-roles");
    world_dispose(&world);
}

static void a_dry_run_changes_nothing_and_tells(void **state) {
    (void)state;
    struct world world;
    open_world(&world, BESIDE TOKENS("  mode: DryRun\n  required: true\n", PROVIDER(FILE_KEYS, HEADERS)));
    assert_int_equal(status_of(&world, request_with("nonsense", "x-user-id: root\n")), 200);
    assert_has(world.got.at, "x-user-id: root");
    assert_string_equal(world.loopback.record.dry_run, "AuthenticationPolicy/default/t: main: unauthenticated");
    assert_int_equal(status_with(&world, NULL), 200);
    assert_string_equal(world.loopback.record.dry_run, "AuthenticationPolicy/default/t: main: unauthenticated");
    assert_int_equal(status_with(&world, token_with(&issuer, ",\"sub\":\"ann\"")), 200);
    assert_string_equal(world.loopback.record.dry_run, "");
    assert_has_not(world.got.at, "x-user-id");
    world_dispose(&world);
}

static void it_explains_itself(void **state) {
    (void)state;
    struct world world;
    open_world(&world, BESIDE TOKENS("  required: true\n", PROVIDER(FILE_KEYS, "")));
    struct told told = told_of(&world, request_with(NULL, ""));
    assert_int_equal(told.outcome, STEP_REFUSED);
    assert_string_equal(told.reason, "no token");
    told = told_of(&world, request_with("nonsense", ""));
    assert_int_equal(told.outcome, STEP_REFUSED);
    assert_string_equal(told.rule, "main");
    assert_string_equal(told.reason, "malformed");
    told = told_of(&world, request_with(token_with(&issuer, ""), ""));
    assert_int_equal(told.outcome, STEP_PASSED);
    assert_int_equal(world.asked, 0);
    world_dispose(&world);
}

// ---- limits by what it says

#define LIMITS(rules) API "kind: RateLimitPolicy\nmetadata: {name: l}\nspec:\n" TARGET_AUTH "  rules:\n" rules "---\n"
#define TIERS "    tiers:\n    - {name: free, limits: [{requests: 2, per: 1m}]}\n    - {name: premium, limits: [{requests: 5, per: 1m}]}\n"

// How many of ten pass.
static unsigned passes(struct world *world, const char *request) {
    unsigned passed = 0;
    for (unsigned i = 0; i < 10; i++)
        passed += status_of(world, request) == 200;
    return passed;
}

static void each_subject_has_limits_of_its_own(void **state) {
    (void)state;
    struct world world;
    open_world(&world, BESIDE TOKENS("", PROVIDER(FILE_KEYS, ""))
                           LIMITS("  - {name: user, key: [{type: JWTClaim, name: sub}], limits: [{requests: 3, per: 1m}]}\n"));
    assert_int_equal(passes(&world, request_with(token_with(&issuer, ",\"sub\":\"ann\""), "")), 3);
    assert_int_equal(passes(&world, request_with(token_with(&issuer, ",\"sub\":\"bob\""), "")), 3);
    assert_int_equal(passes(&world, request_with(token_with(&issuer, ",\"sub\":\"ann\",\"new\":1"), "")), 0); // the same, by another token
    assert_int_equal(passes(&world, request_with(NULL, "")), 3);                                              // all who have none
    world_dispose(&world);
}

static void a_tier_is_what_the_token_says(void **state) {
    (void)state;
    struct world world;
    open_world(&world,
               BESIDE TOKENS("", PROVIDER(FILE_KEYS, "")) LIMITS(
                   "  - name: plan\n    key: [{type: JWTClaim, name: sub}]\n    tier: {from: {type: JWTClaim, name: plans}, default: free}\n" TIERS));
    assert_int_equal(passes(&world, request_with(token_with(&issuer, ",\"sub\":\"ann\",\"plans\":[\"beta\",\"premium\"]"), "")), 5);
    assert_int_equal(passes(&world, request_with(token_with(&issuer, ",\"sub\":\"bob\",\"plans\":\"gold\""), "")), 2);
    assert_int_equal(passes(&world, request_with(NULL, "")), 2);
    world_dispose(&world);
}

static void a_tier_is_what_the_key_table_says(void **state) {
    (void)state;
    struct world world;
    open_world(
        &world,
        BESIDE LIMITS(
            "  - name: plan\n    key: [{type: Header, name: x-api-key}]\n    tier: {from: {type: KeyTable, file: '%TABLE'}, default: free}\n" TIERS));
    assert_int_equal(passes(&world, "GET auth /\nx-api-key: ann\n"), 5);
    assert_int_equal(passes(&world, "GET auth /\nx-api-key: bob\n"), 2);
    assert_int_equal(passes(&world, "GET auth /\nx-api-key: eve\n"), 2);
    assert_int_equal(passes(&world, "GET auth /\nx-api-key: premium\n"), 2); // a key, no tier
    assert_int_equal(passes(&world, "GET auth /\nx-api-key: ann\nx-api-key: eve\n"), 2);
    world_dispose(&world);
}

// Before the token is verified the header is whatever the client likes.
static void a_header_that_is_made_of_a_claim_is_asked_for_behind_it(void **state) {
    (void)state;
    struct world world;
    open_world(&world,
               BESIDE TOKENS("", PROVIDER(FILE_KEYS, ", claimsToHeaders: [{claim: plan, header: x-tier}]"))
                   LIMITS("  - name: plan\n    key: [{type: ClientAddress}]\n    tier: {from: {type: Header, name: x-tier}, default: free}\n" TIERS));
    assert_int_equal(passes(&world, request_with(NULL, "x-tier: premium\n")), 2);
    assert_int_equal(passes(&world, request_with(token_with(&issuer, ",\"plan\":\"premium\""), "x-tier: free\n")), 5);
    world_dispose(&world);
}

// What a bad token is refused for costs nothing, in whichever order they are asked.
static void all_are_charged_for_or_none(void **state) {
    (void)state;
    struct world world;
    open_world(&world, BESIDE TOKENS("", PROVIDER(FILE_KEYS, ""))
                           LIMITS("  - {name: all, limits: [{requests: 4, per: 1m}]}\n"
                                  "  - {name: user, key: [{type: JWTClaim, name: sub}], limits: [{requests: 3, per: 1m}]}\n"));
    assert_int_equal(passes(&world, request_with("nonsense", "")), 0);
    assert_int_equal(passes(&world, request_with(token_with(&issuer, ",\"sub\":\"ann\""), "")), 3);
    assert_int_equal(passes(&world, request_with(token_with(&issuer, ",\"sub\":\"bob\""), "")),
                     1); // the seven of ann's that were refused were not counted
    world_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_token_passes_and_a_bad_one_never_does),
        cmocka_unit_test(a_token_that_is_required_is_missed),
        cmocka_unit_test(a_call_of_grpc_is_refused_in_its_own_words),
        cmocka_unit_test(a_token_is_verified_once_and_ends_in_time),
        cmocka_unit_test(a_token_is_found_where_the_provider_says_and_nowhere_else),
        cmocka_unit_test(of_two_tokens_none_is_believed),
        cmocka_unit_test(the_provider_of_a_token_is_that_of_its_issuer),
        cmocka_unit_test(claims_become_headers_that_nobody_else_can_send),
        cmocka_unit_test(trailers_say_nothing_that_a_token_says),
        cmocka_unit_test(what_no_header_can_say_is_left_out),
        cmocka_unit_test(a_dry_run_changes_nothing_and_tells),
        cmocka_unit_test(it_explains_itself),
        cmocka_unit_test(each_subject_has_limits_of_its_own),
        cmocka_unit_test(a_tier_is_what_the_token_says),
        cmocka_unit_test(a_tier_is_what_the_key_table_says),
        cmocka_unit_test(a_header_that_is_made_of_a_claim_is_asked_for_behind_it),
        cmocka_unit_test(all_are_charged_for_or_none),
    };
    return cmocka_run_group_tests(tests, make_issuer, drop_issuer);
}
