// AuthorizationPolicy: all documents that act on a destination are judged together. What a Deny is for is refused; where there is an Allow, so is what none is for.
//
// Documents in a dry run are judged beside: what all of them together would say, and those that are enforced do not, is told.
//
// It stands in the chain once for each thing that rules go by: before anything is done for a request, where what is not known yet is left open; behind what verifies a token; behind agents, for
// headers that they make. All is judged where it stands last.
#include "filters/registry.h"

#include "base/check.h"
#include "config/authentication_config.h"
#include "config/authorization_config.h"
#include "filters/authorization_match.h"
#include "net/tcp.h"
#include "stream/explanation.h"
#include "stream/stream.h"
#include "stream/verdict.h"

// In the place of a rule's name, which has no spaces.
#define NO_RULE BYTES("no rule")

// So many Allows are named that do not allow something, and so much of an identity.
#define NAMED_MAX 4
#define NAME_BYTES_MAX 128

// Where in the chain a judgement is made, by what is known of a request there.
enum known { KNOWN_REQUEST, KNOWN_TOKEN, KNOWN_ALL };

// What a rule goes by.
struct rule_sort {
    enum known needs; // it can be said from there on whether it holds
    bool by_headers;  // that are made of what is not known before, and are the client's own until then
};

struct judged {
    const struct policy *policy;
    const struct authorization_config *config;
    struct policy_state **states; // of each rule, and of an Allow one more: that none of them is for a request
    struct rule_sort *sorts;      // of each rule
    bool names_paths;
};

// Documents that decide together: those of action Deny first, then those of action Allow.
struct panel {
    const struct judged **documents;
    uint32_t count;
    uint32_t deny_count;
    const struct judged *of_paths; // the first that has rules about paths; NULL: none
};

struct authorizer {
    struct judged *documents;
    uint32_t count;
    struct panel enforced;
    struct panel all; // with those in a dry run, which come first; empty where there are none
    enum known known;
    bool is_last; // it stands nowhere behind
};

// What a panel says.
struct opinion {
    bool is_open;            // it may pass so far: what is not known yet decides
    enum error end;          // OK: it may pass
    const struct judged *of; // NULL: of none, there is no Allow
    uint32_t rule;           // its rule_count: that it has none for the request
    const char *why;         // of what cannot be judged
};

// ---- what is configured

static void need_header(struct rule_sort *sort, struct bytes name, const struct destination *destination) {
    if (authorization_makes_header(destination, name))
        *sort = (struct rule_sort){.needs = KNOWN_ALL, .by_headers = true};
    else if (authentication_makes_header(destination, name) && sort->needs < KNOWN_ALL)
        *sort = (struct rule_sort){.needs = KNOWN_TOKEN, .by_headers = true};
}

static void need_headers(struct rule_sort *sort, const struct route_match *matches, uint32_t count, const struct destination *destination) {
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < matches[i].header_count; j++)
            need_header(sort, matches[i].headers[j].name, destination);
}

static struct rule_sort sort_of(const struct authorization_rule *rule, const struct destination *destination) {
    struct rule_sort sort = {.needs = KNOWN_REQUEST};
    need_headers(&sort, rule->matches, rule->match_count, destination);
    need_headers(&sort, rule->not_matches, rule->not_match_count, destination);
    for (uint32_t i = 0; i < rule->condition_count; i++) {
        const struct request_key_part *part = &rule->conditions[i].part;
        if (part->type == KEY_HEADER)
            need_header(&sort, part->name, destination);
        else if (part->type == KEY_CLAIM && sort.needs < KNOWN_TOKEN)
            sort.needs = KNOWN_TOKEN;
    }
    return sort;
}

// Those that name an agent are another filter's.
static bool is_judged(const struct policy *policy) {
    const struct authorization_config *config = policy->config;
    return policy->kind == POLICY_AUTHORIZATION && config->action != AUTHORIZATION_EXTERNAL;
}

// Whether any rule needs that.
static bool is_needed(const struct destination *destination, enum known known) {
    for (uint32_t i = 0; i < destination->policy_count; i++) {
        const struct authorization_config *config = destination->policies[i]->config;
        for (uint32_t j = 0; is_judged(destination->policies[i]) && j < config->rule_count; j++)
            if (sort_of(&config->rules[j], destination).needs == known)
                return true;
    }
    return false;
}

static struct judged judged_of(const struct policy *policy, const struct filter_scope *scope, struct pool *pool) {
    struct judged judged = {.policy = policy, .config = policy->config};
    const uint32_t count = judged.config->rule_count;
    struct filter_scope own = *scope;
    own.policy = policy;
    own.states = policy->is_dry_run ? scope->all->shadow : scope->all->live;
    judged.states = pool_alloc_zeroed(pool, (count + 1) * sizeof judged.states[0]);
    for (uint32_t i = 0; i <= count; i++)
        judged.states[i] = filter_state_get(&own, i < count ? judged.config->rules[i].name : NO_RULE, 0, &policy_state_counts, NULL);
    judged.sorts = pool_alloc_zeroed(pool, count * sizeof judged.sorts[0] + 1);
    for (uint32_t i = 0; i < count; i++) {
        judged.names_paths |= judged.config->rules[i].names_paths;
        judged.sorts[i] = sort_of(&judged.config->rules[i], scope->destination);
    }
    return judged;
}

static void seat(struct panel *panel, const struct authorizer *authorizer, enum authorization_action action, bool is_dry_run) {
    for (uint32_t i = 0; i < authorizer->count; i++) {
        const struct judged *judged = &authorizer->documents[i];
        if (judged->config->action != action || judged->policy->is_dry_run != is_dry_run)
            continue;
        panel->documents[panel->count++] = judged;
        if (panel->of_paths == NULL && judged->names_paths)
            panel->of_paths = judged;
    }
}

static void seat_all(struct panel *panel, const struct authorizer *authorizer, bool with_dry_runs, struct pool *pool) {
    panel->documents = pool_alloc_zeroed(pool, authorizer->count * sizeof(panel->documents[0]) + 1);
    if (with_dry_runs)
        seat(panel, authorizer, AUTHORIZATION_DENY, true);
    seat(panel, authorizer, AUTHORIZATION_DENY, false);
    panel->deny_count = panel->count;
    if (with_dry_runs)
        seat(panel, authorizer, AUTHORIZATION_ALLOW, true);
    seat(panel, authorizer, AUTHORIZATION_ALLOW, false);
}

static struct authorizer *create(const struct filter_scope *scope, enum known known, struct pool *pool) {
    const struct destination *destination = scope->destination;
    struct authorizer *authorizer = pool_alloc_zeroed(pool, sizeof *authorizer);
    authorizer->documents = pool_alloc_zeroed(pool, destination->policy_count * sizeof authorizer->documents[0] + 1);
    for (uint32_t i = 0; i < destination->policy_count; i++)
        if (is_judged(destination->policies[i]))
            authorizer->documents[authorizer->count++] = judged_of(destination->policies[i], scope, pool);
    if (authorizer->count == 0)
        return NULL;
    seat_all(&authorizer->enforced, authorizer, false, pool);
    if (authorizer->enforced.count < authorizer->count)
        seat_all(&authorizer->all, authorizer, true, pool);
    authorizer->known = known;
    authorizer->is_last =
        (known >= KNOWN_TOKEN || !is_needed(destination, KNOWN_TOKEN)) && (known >= KNOWN_ALL || !is_needed(destination, KNOWN_ALL));
    return authorizer;
}

static const void *configure(const struct filter_scope *scope, struct pool *pool) {
    return create(scope, KNOWN_REQUEST, pool);
}

static const void *configure_claims(const struct filter_scope *scope, struct pool *pool) {
    return is_needed(scope->destination, KNOWN_TOKEN) ? create(scope, KNOWN_TOKEN, pool) : NULL;
}

static const void *configure_agents(const struct filter_scope *scope, struct pool *pool) {
    return is_needed(scope->destination, KNOWN_ALL) ? create(scope, KNOWN_ALL, pool) : NULL;
}

static void dispose(const void *config) {
    const struct authorizer *authorizer = config;
    for (uint32_t i = 0; i < authorizer->count; i++)
        policy_states_release(authorizer->documents[i].states, authorizer->documents[i].config->rule_count + 1);
}

// ---- what is decided

static struct opinion unjudged(const struct judged *of, uint32_t rule, const char *why) {
    return (struct opinion){.end = ERROR_BAD_REQUEST, .of = of, .rule = rule, .why = why};
}

// Whether the rule is for the request; `*is_open`: it may be, what is not known yet is to say.
static bool holds(const struct judged *judged, uint32_t rule, enum known known, struct authorization_request *request, bool *is_open) {
    const enum reading reading = judged->config->action == AUTHORIZATION_DENY ? READING_ANY : READING_ALL;
    const struct rule_sort sort = judged->sorts[rule];
    const bool is_known = sort.needs <= known;
    const bool is_for = !is_known && sort.by_headers ? authorization_rule_is_from(&judged->config->rules[rule], reading, request)
                                                     : authorization_rule_holds(&judged->config->rules[rule], reading, request);
    *is_open |= is_for && !is_known;
    return is_for && is_known;
}

// The first rule of the document that is for the request, in `opinion`, or that it cannot be said. False: none is; `opinion->is_open`: but one may be.
static bool ask(const struct judged *judged, enum known known, struct authorization_request *request, struct opinion *opinion) {
    const bool is_deny = judged->config->action == AUTHORIZATION_DENY;
    for (uint32_t i = 0; i < judged->config->rule_count; i++) {
        const bool is_for = holds(judged, i, known, request, &opinion->is_open);
        if (authorization_gave_up(request))
            *opinion = unjudged(judged, i, "a regular expression takes too much work");
        else if (is_for)
            *opinion = (struct opinion){.is_open = opinion->is_open && !is_deny, .end = is_deny ? ERROR_DENIED : OK, .of = judged, .rule = i};
        else
            continue;
        return true;
    }
    return false;
}

// The first rule of the document that is about paths.
static uint32_t rule_of_paths(const struct judged *judged) {
    uint32_t i = 0;
    while (!judged->config->rules[i].names_paths)
        i++;
    return i;
}

static struct opinion judge(const struct panel *panel, enum known known, struct stream *stream) {
    struct authorization_request request;
    struct opinion opinion = {.end = OK};
    authorization_request_begin(&request, stream, known == KNOWN_REQUEST);
    const char *fault = panel->of_paths == NULL ? NULL : authorization_path_fault(&request);
    if (fault != NULL)
        return unjudged(panel->of_paths, rule_of_paths(panel->of_paths), fault);
    bool may_be_denied = false;
    for (uint32_t i = 0; i < panel->count; i++) {
        if (i == panel->deny_count) {
            may_be_denied = opinion.is_open;
            opinion.is_open = false;
        }
        if (ask(panel->documents[i], known, &request, &opinion)) {
            opinion.is_open = opinion.end == OK && may_be_denied; // another Allow that might allow it too changes nothing
            return opinion;
        }
    }
    if (panel->count == panel->deny_count || opinion.is_open)
        return (struct opinion){.end = OK, .is_open = opinion.is_open};
    const struct judged *first = panel->documents[panel->deny_count];
    return (struct opinion){.end = ERROR_DENIED, .of = first, .rule = first->config->rule_count};
}

static bool is_of_no_rule(const struct opinion *opinion) {
    return opinion->rule == opinion->of->config->rule_count;
}

static struct bytes rule_of(const struct opinion *opinion) {
    return is_of_no_rule(opinion) ? NO_RULE : opinion->of->config->rules[opinion->rule].name;
}

// ---- what is told

// Who asks, by what rules know of him.
static struct bytes who(struct stream *stream) {
    const struct spiffe_id *id = stream->client.identity;
    const union address *address = stream_client_address(stream);
    char text[ADDRESS_TEXT_MAX];
    if (id != NULL)
        return bytes_from(id->text.at, id->text.len < NAME_BYTES_MAX ? id->text.len : NAME_BYTES_MAX);
    if (address == NULL)
        return BYTES("a client without an identity");
    return pool_format(&stream->pool, "%.*s, without an identity", (int)address_print_ip(address, text, sizeof text), text);
}

// "AuthorizationPolicy/school/a, AuthorizationPolicy/school/b".
static struct bytes allows_of(const struct panel *panel, struct stream *stream) {
    struct bytes list = BYTES_NONE;
    for (uint32_t i = panel->deny_count; i < panel->count && i < panel->deny_count + NAMED_MAX; i++)
        list =
            pool_format(&stream->pool, "%.*s%s%.*s", BYTES_FORMAT(list), list.len > 0 ? ", " : "", BYTES_FORMAT(panel->documents[i]->policy->label));
    return list;
}

static struct bytes reason_of(const struct opinion *opinion, const struct panel *panel, struct stream *stream) {
    if (opinion->why != NULL)
        return bytes_from_text(opinion->why);
    const struct bytes client = who(stream);
    if (!is_of_no_rule(opinion))
        return client;
    const struct bytes allows = allows_of(panel, stream);
    return pool_format(&stream->pool, "%.*s: no Allow matches: %.*s", BYTES_FORMAT(client), BYTES_FORMAT(allows));
}

static enum filter_result refuse(const struct opinion *opinion, const struct panel *panel, struct stream *stream) {
    return verdict_refuse(stream, &(struct verdict){.end = opinion->end,
                                                    .policy = opinion->of->policy,
                                                    .rule = rule_of(opinion),
                                                    .reason = reason_of(opinion, panel, stream),
                                                    .state = opinion->of->states[opinion->rule]});
}

// What would be otherwise if dry runs counted. (An expression that takes too much work for all together may be an enforced one's: that says nothing.)
static void tell_dry_runs(const struct authorizer *authorizer, const struct opinion *real, struct stream *stream) {
    const struct opinion opinion = judge(&authorizer->all, authorizer->known, stream);
    if (opinion.is_open || (opinion.end == OK) == (real->end == OK) || opinion.of == NULL || !opinion.of->policy->is_dry_run)
        return;
    if (opinion.end == OK)
        verdict_would_pass(stream, opinion.of->policy, rule_of(&opinion));
    else
        (void)refuse(&opinion, &authorizer->all, stream); // it passes
}

static enum filter_result decide(struct stream *stream, const void *config, void *state) {
    (void)state;
    const struct authorizer *authorizer = config;
    const struct opinion opinion = judge(&authorizer->enforced, authorizer->known, stream);
    const bool is_last_word = opinion.end != OK || authorizer->is_last;
    if (authorizer->all.count > 0 && is_last_word)
        tell_dry_runs(authorizer, &opinion, stream);
    if (opinion.end != OK)
        return refuse(&opinion, &authorizer->enforced, stream);
    if (opinion.of != NULL && is_last_word)
        explain_decided_by(stream, opinion.of->policy, rule_of(&opinion));
    return FILTER_CONTINUE;
}

const struct filter_type filter_authorization = {
    .name = "authorization",
    .ends_without_config = true,
    .configure = configure,
    .ops = {.decide = decide, .dispose = dispose},
};

const struct filter_type filter_authorization_claims = {
    .name = "authorization_claims",
    .ends_without_config = true,
    .needs_testimony = true,
    .configure = configure_claims,
    .ops = {.decide = decide, .dispose = dispose},
};

const struct filter_type filter_authorization_agents = {
    .name = "authorization_agents",
    .ends_without_config = true,
    .needs_testimony = true,
    .configure = configure_agents,
    .ops = {.decide = decide, .dispose = dispose},
};
