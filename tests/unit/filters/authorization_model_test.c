// Thousands of policies and requests at random, judged by the proxy and by a model that says in a few lines what must be: any Deny denies; where there is an Allow, one must allow.
#include "unit/filters/authorization_drive.h"

#include "base/rng.h"

#define DOCUMENTS_MAX 4
#define RULES_MAX 3
#define WORLDS 400
#define REQUESTS 15

static const char *const identities[] = {"", "spiffe://school.local/ns/a/sa/x", "spiffe://school.local/ns/a/sa/y", "spiffe://school.local/ns/b/sa/x",
                                         "spiffe://other/ns/a/sa/x"};
static const char *const addresses[] = {"10.0.0.1", "10.1.0.1", "192.0.2.1", "2001:db8::1"};
static const char *const methods[] = {"GET", "PUT", "HEAD"};
static const char *const paths[] = {"/", "/a", "/a/b", "/ab", "/b", "/a;x"};
static const char *const values[] = {"one", "two", "three"};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

// Sets, a bit for each of the values above.
struct model_match {
    unsigned method; // 0: any
    unsigned paths;  // that it has; of a reading
    unsigned header; // 0: not said; else one of `values`, by its number + 1
};

struct model_rule {
    unsigned from, not_from;       // identities; 0: not said
    unsigned at, not_at;           // addresses; 0: not said
    struct model_match is, is_not; // only where has_...
    bool has_is, has_is_not;
    unsigned when; // methods; 0: not said
};

struct model_document {
    bool is_deny, is_dry_run;
    unsigned rule_count;
    struct model_rule rules[RULES_MAX];
};

struct model {
    unsigned count;
    struct model_document documents[DOCUMENTS_MAX];
};

struct model_request {
    unsigned identity, address, method, path;
    unsigned headers[3], header_count; // numbers of values
};

// ---- the model

// A set of the readings of what is there, against what is wanted: any of them, or all.
static bool reads(unsigned there, unsigned wanted, bool any) {
    return any ? (there & wanted) != 0 : there != 0 && (there & ~wanted) == 0;
}

static bool is_match(const struct model_match *match, const struct model_request *request, bool any) {
    unsigned there = 0, path = 1U << request->path;
    if (request->path == 5) // "/a;x", which may be "/a"
        path |= 1U << 1;
    for (unsigned i = 0; i < request->header_count; i++)
        there |= 1U << request->headers[i];
    return (match->method == 0 || match->method == 1U << request->method) && reads(path, match->paths, any) &&
           (match->header == 0 || reads(there, 1U << (match->header - 1), any));
}

static bool is_for(const struct model_rule *rule, const struct model_request *request, bool any) {
    const unsigned who = 1U << request->identity, where = 1U << request->address;
    if (rule->from != 0 && (rule->from & who) == 0)
        return false;
    if (rule->at != 0 && (rule->at & where) == 0)
        return false;
    if (rule->not_from != 0 && (request->identity == 0 ? !any : (rule->not_from & who) != 0))
        return false;
    if (rule->not_at != 0 && (rule->not_at & where) != 0)
        return false;
    if (rule->has_is && !is_match(&rule->is, request, any))
        return false;
    if (rule->has_is_not && is_match(&rule->is_not, request, !any))
        return false;
    return rule->when == 0 || (rule->when >> request->method & 1) != 0;
}

static bool passes(const struct model *model, const struct model_request *request, bool with_dry_runs) {
    bool is_guarded = false, is_allowed = false;
    for (unsigned i = 0; i < model->count; i++) {
        const struct model_document *document = &model->documents[i];
        if (document->is_dry_run && !with_dry_runs)
            continue;
        bool holds = false;
        for (unsigned j = 0; j < document->rule_count; j++)
            holds |= is_for(&document->rules[j], request, document->is_deny);
        if (document->is_deny && holds)
            return false;
        is_guarded |= !document->is_deny;
        is_allowed |= !document->is_deny && holds;
    }
    return !is_guarded || is_allowed;
}

// ---- at random

static unsigned some_of(struct rng *rng, size_t count) {
    return 1 + rng_below(rng, (1U << count) - 1);
}

static struct model_match some_match(struct rng *rng) {
    static const unsigned sets[] = {0x3f, 0x06, 0x02, 0x10}; // "/" (a prefix), "/a" (a prefix), "/a", "/b" alone
    return (struct model_match){.method = rng_below(rng, 2) * (1U << rng_below(rng, 2)),
                                .paths = sets[rng_below(rng, COUNT(sets))],
                                .header = rng_below(rng, 2) * (1 + rng_below(rng, COUNT(values)))};
}

static struct model_rule some_rule(struct rng *rng) {
    struct model_rule rule = {.has_is = rng_below(rng, 2) == 0, .has_is_not = rng_below(rng, 4) == 0};
    if (rng_below(rng, 3) == 0)
        rule.from = some_of(rng, 4) << 1;
    if (rng_below(rng, 4) == 0)
        rule.not_from = some_of(rng, 4) << 1;
    if (rng_below(rng, 4) == 0)
        rule.at = some_of(rng, 4);
    if (rng_below(rng, 4) == 0)
        rule.not_at = some_of(rng, 4);
    if (rng_below(rng, 4) == 0)
        rule.when = some_of(rng, 3);
    rule.is = some_match(rng);
    rule.is_not = some_match(rng);
    if (rule.from + rule.not_from + rule.at + rule.not_at + rule.when == 0)
        rule.has_is = true; // a rule must say something
    return rule;
}

static struct model some_model(struct rng *rng) {
    struct model model = {.count = 1 + rng_below(rng, DOCUMENTS_MAX)};
    for (unsigned i = 0; i < model.count; i++) {
        struct model_document *document = &model.documents[i];
        *document = (struct model_document){.is_deny = rng_below(rng, 2) == 0, .is_dry_run = rng_below(rng, 3) == 0};
        document->rule_count = document->is_deny + rng_below(rng, RULES_MAX);
        for (unsigned j = 0; j < document->rule_count; j++)
            document->rules[j] = some_rule(rng);
    }
    return model;
}

static struct model_request some_request(struct rng *rng) {
    struct model_request request = {.identity = rng_below(rng, COUNT(identities)),
                                    .address = rng_below(rng, COUNT(addresses)),
                                    .method = rng_below(rng, COUNT(methods)),
                                    .path = rng_below(rng, COUNT(paths)),
                                    .header_count = rng_below(rng, 3)};
    for (unsigned i = 0; i < request.header_count; i++)
        request.headers[i] = rng_below(rng, COUNT(values));
    return request;
}

// ---- as texts

static void write_names(struct text *text, const char *field, unsigned set, const char *const *names, size_t count) {
    const char *between = "";
    if (set == 0)
        return;
    text_format(text, ", %s: [", field);
    for (size_t i = 0; i < count; i++)
        if ((set >> i & 1) != 0) {
            text_format(text, "%s'%s'", between, names[i]);
            between = ", ";
        }
    text_format(text, "]");
}

static void write_match(struct text *text, const char *field, const struct model_match *match) {
    const char *path = match->paths == 0x10 ? "/b" : match->paths == 0x3f ? "/" : "/a";
    const char *type = match->paths == 0x3f || match->paths == 0x06 ? "PathPrefix" : "Exact";
    text_format(text, ", %s: [{path: {type: %s, value: %s}", field, type, path);
    if (match->method != 0)
        text_format(text, ", method: %s", methods[match->method - 1]);
    if (match->header != 0)
        text_format(text, ", headers: [{name: x-try, value: %s}]", values[match->header - 1]);
    text_format(text, "}]");
}

static void write_rule(struct text *text, const struct model_rule *rule, unsigned number) {
    text_format(text, "  - {name: r%u", number);
    if (rule->from != 0 || rule->at != 0) {
        struct text source = {0};
        write_names(&source, "identities", rule->from, identities, COUNT(identities));
        write_names(&source, "addresses", rule->at, addresses, COUNT(addresses));
        text_format(text, ", from: [{%s}]", source.at + 2);
        text_dispose(&source);
    }
    write_names(text, "notIdentities", rule->not_from, identities, COUNT(identities));
    write_names(text, "notAddresses", rule->not_at, addresses, COUNT(addresses));
    if (rule->has_is)
        write_match(text, "matches", &rule->is);
    if (rule->has_is_not)
        write_match(text, "notMatches", &rule->is_not);
    if (rule->when != 0) {
        struct text condition = {0};
        write_names(&condition, "values", rule->when, methods, COUNT(methods));
        text_format(text, ", when: [{type: Method%s}]", condition.at);
        text_dispose(&condition);
    }
    text_format(text, "}\n");
}

static void write_model(struct text *text, const struct model *model) {
    text_format(text, "%s", BESIDE);
    for (unsigned i = 0; i < model->count; i++) {
        const struct model_document *document = &model->documents[i];
        text_format(text,
                    API
                    "kind: AuthorizationPolicy\nmetadata: {name: p%u}\nspec:\n  targetRefs: [{kind: Service, name: app}]\n  mode: %s\n  action: %s\n",
                    i, document->is_dry_run ? "DryRun" : "Enforce", document->is_deny ? "Deny" : "Allow");
        text_format(text, "  rules:%s\n", document->rule_count == 0 ? " []" : "");
        for (unsigned j = 0; j < document->rule_count; j++)
            write_rule(text, &document->rules[j], j);
        text_format(text, "---\n");
    }
}

static void write_request(struct text *text, const struct model_request *request) {
    text_format(text, "%s app %s\n", methods[request->method], paths[request->path]);
    for (unsigned i = 0; i < request->header_count; i++)
        text_format(text, "x-try: %s\n", values[request->headers[i]]);
}

static void check_request(struct loopback *world, const struct model *model, const struct model_request *request, const char *documents) {
    struct text text = {0};
    write_request(&text, request);
    const bool passed = ask(world, (struct caller){identities[request->identity], addresses[request->address]}, text.at) == OK;
    const bool would = passes(model, request, true);
    if (passed != passes(model, request, false))
        fail_msg("%s from \"%s\" at %s: %s by\n%s", text.at, identities[request->identity], addresses[request->address], passed ? "passed" : "denied",
                 documents);
    if ((world->record.dry_run[0] != '\0') != (would != passed))
        fail_msg("%s from \"%s\" at %s: told \"%s\" by\n%s", text.at, identities[request->identity], addresses[request->address],
                 world->record.dry_run, documents);
    text_dispose(&text);
}

static void policies_at_random_say_what_the_model_says(void **state) {
    (void)state;
    struct rng rng;
    unsigned worlds = 0;
    rng_init(&rng, 20);
    for (; worlds < WORLDS; worlds++) {
        const struct model model = some_model(&rng);
        struct loopback world;
        struct text documents = {0};
        write_model(&documents, &model);
        loopback_init(&world, documents.at, filter_types);
        for (unsigned i = 0; i < REQUESTS; i++) {
            const struct model_request request = some_request(&rng);
            check_request(&world, &model, &request, documents.at);
        }
        loopback_dispose(&world);
        text_dispose(&documents);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_at_random_say_what_the_model_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
