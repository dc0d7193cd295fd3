// Rules against requests, part by part: see authorization_match.h. What is worked out of a request is kept; nothing is decided here but whether a rule is for it.
#include "filters/authorization_match.h"

#include "base/check.h"
#include "http/canonical.h"
#include "http/form.h"
#include "http/headers.h"
#include "stream/claims.h"
#include "stream/route_match.h"
#include "stream/stream.h"

// ---- values that may stand several times

// What something must be: as a match says it, or one of the values of a condition.
struct wanted {
    const struct field_match *match;
    const struct authorization_condition *condition;
};

struct tally {
    enum reading reading;
    bool is_there;    // by its very name
    bool some, every; // of its values are wanted
};

static struct tally tally_of(enum reading reading) {
    return (struct tally){.reading = reading, .every = true};
}

static bool tally_holds(const struct tally *tally) {
    return tally->reading == READING_ANY ? tally->some : tally->is_there && tally->every;
}

static bool is_one_of(const struct authorization_condition *condition, struct bytes value) {
    for (uint32_t i = 0; i < condition->value_count; i++)
        if (bytes_equal(condition->values[i], value))
            return true;
    return false;
}

static bool is_wanted(const struct authorization_request *request, struct wanted wanted, struct bytes value) {
    if (wanted.match == NULL)
        return is_one_of(wanted.condition, value);
    return route_value_matches(wanted.match, value, request->stream->bound->matcher);
}

static void count_value(const struct authorization_request *request, struct wanted wanted, struct bytes value, struct tally *tally) {
    const bool yes = is_wanted(request, wanted, value);
    tally->some |= yes;
    tally->every &= yes;
}

// Several lines of one name mean the same as one line with commas between (RFC 9110 section 5.3).
static void count_members(const struct authorization_request *request, struct wanted wanted, struct bytes value, struct tally *tally) {
    struct bytes list = value, member;
    while (bytes_find(value, ',') < value.len && bytes_next(&list, ',', &member))
        tally->some |= is_wanted(request, wanted, member);
}

// ---- parts of the request; all return false where there is no request

// Host is no field of the head: it has become the authority. It is compared in its canonical form (policy.md, Trust).
static bool host_holds(struct authorization_request *request, struct wanted wanted) {
    const struct head *head = request->head;
    struct pool *pool = &request->stream->pool;
    if (head->authority.len == 0)
        return false;
    if (request->host.len == 0)
        request->host = canonical_authority(head->authority, head->scheme, pool);
    if (wanted.match != NULL && wanted.match->type == VALUE_REGEX)
        return is_wanted(request, wanted, request->host);
    const struct bytes *values = wanted.match != NULL ? &wanted.match->value : wanted.condition->values;
    const uint32_t count = wanted.match != NULL ? 1 : wanted.condition->value_count;
    for (uint32_t i = 0; i < count; i++)
        if (authority_is_valid(values[i]) && bytes_equal(canonical_authority(values[i], head->scheme, pool), request->host))
            return true;
    return false;
}

static bool header_holds(struct authorization_request *request, struct bytes name, struct wanted wanted, enum reading reading) {
    struct tally tally = tally_of(reading);
    if (bytes_equal_nocase(name, BYTES("host")))
        return host_holds(request, wanted);
    FIELDS_EACH(&request->head->fields, field) {
        if (!field_name_reads_as(field->name, name))
            continue;
        tally.is_there |= bytes_equal_nocase(field->name, name);
        count_value(request, wanted, field->value, &tally);
        if (reading == READING_ANY && !tally.some)
            count_members(request, wanted, field->value, &tally);
    }
    return tally_holds(&tally);
}

// RFC 6265 section 5.4: name=value, with "; " between them; HTTP/2 may have a field for each.
static bool cookie_holds(const struct authorization_request *request, struct bytes name, struct wanted wanted, enum reading reading) {
    const struct fields *fields = &request->head->fields;
    struct tally tally = tally_of(reading);
    for (const struct field *field = fields_find(fields, FIELD_COOKIE); field != NULL; field = fields_find_next(fields, field)) {
        struct bytes list = field->value, cookie;
        while (bytes_next(&list, ';', &cookie)) {
            const size_t equals = bytes_find(cookie, '=');
            if (equals == cookie.len || !bytes_equal(bytes_trim(bytes_from(cookie.at, equals)), name))
                continue;
            tally.is_there = true;
            count_value(request, wanted, bytes_trim(bytes_from(cookie.at + equals + 1, cookie.len - equals - 1)), &tally);
        }
    }
    return tally_holds(&tally);
}

// What of a path there is to look at more closely, in one pass: most have nothing.
enum { MARK_ESCAPE = 1, MARK_SEMICOLON = 2, MARK_SLASH = 4 };

static const unsigned char marks[256] = {['%'] = MARK_ESCAPE, [';'] = MARK_SEMICOLON, ['/'] = MARK_SLASH};

// `*twice`: those that stand beside each other.
static unsigned marks_in(struct bytes path, unsigned *twice) {
    unsigned seen = 0, before = 0;
    *twice = 0;
    for (size_t i = 0; i < path.len; i++) {
        const unsigned mark = marks[(unsigned char)path.at[i]];
        *twice |= mark & before;
        seen |= mark;
        before = mark;
    }
    return seen;
}

static bool has_escape(struct bytes path, const char *escape) {
    return memmem(path.at, path.len, escape, strlen(escape)) != NULL;
}

// "/a;x=1/b%3By" as "/a/b".
static struct bytes without_parameters(struct bytes path, struct pool *pool) {
    char *text = pool_alloc(pool, path.len);
    size_t length = 0;
    bool is_cut = false;
    for (size_t i = 0; i < path.len; i++) {
        is_cut = path.at[i] != '/' && (is_cut || bytes_starts_with(bytes_from(path.at + i, path.len - i), BYTES("%3B")) || path.at[i] == ';');
        if (!is_cut)
            text[length++] = path.at[i];
    }
    return bytes_from(text, length);
}

static void look_at_path(struct authorization_request *request) {
    const struct bytes target = request->head->path;
    if (request->path_is_looked_at)
        return;
    request->path_is_looked_at = true;
    const size_t end = bytes_find(target, '?');
    request->path = request->bare_path = bytes_from(target.at, end);
    if (end < target.len)
        request->query = bytes_from(target.at + end + 1, target.len - end - 1);
    unsigned twice;
    const unsigned seen = marks_in(request->path, &twice);
    const bool has_escapes = (seen & MARK_ESCAPE) != 0;
    request->has_escaped_slash = has_escapes && has_escape(request->path, "%2F");
    request->has_empty_segment = (twice & MARK_SLASH) != 0;
    if ((seen & MARK_SEMICOLON) == 0 && !(has_escapes && has_escape(request->path, "%3B")))
        return;
    request->bare_path = without_parameters(request->path, &request->stream->pool);
    marks_in(request->bare_path, &twice);
    request->has_empty_segment |= (twice & MARK_SLASH) != 0;
}

// Decoded, so that no other spelling of it is another parameter.
static bool query_holds(struct authorization_request *request, struct bytes name, struct wanted wanted, enum reading reading) {
    struct pool *pool = &request->stream->pool;
    struct tally tally = tally_of(reading);
    look_at_path(request);
    struct bytes list = request->query, parameter;
    while (bytes_next(&list, '&', &parameter)) {
        const size_t equals = bytes_find(parameter, '=');
        if (!bytes_equal(form_decode(bytes_from(parameter.at, equals), pool), name))
            continue;
        const bool has_value = equals < parameter.len;
        const struct bytes value = has_value ? bytes_from(parameter.at + equals + 1, parameter.len - equals - 1) : BYTES_NONE;
        tally.is_there = true;
        count_value(request, wanted, form_decode(value, pool), &tally);
    }
    return tally_holds(&tally);
}

static bool is_wanted_path(const struct authorization_request *request, const struct route_match *match,
                           const struct authorization_condition *condition, struct bytes path) {
    return match != NULL ? route_path_matches(match, path, request->stream->bound->matcher) : is_one_of(condition, path);
}

// Of a match, or of a condition. As the path came, and as a server may see it that cuts parameters off; to some `/a/` is the same as `/a`, which an Allow need not care for: it is for what it
// says alone.
static bool path_holds(struct authorization_request *request, const struct route_match *match, const struct authorization_condition *condition,
                       enum reading reading) {
    look_at_path(request);
    const struct bytes bare = request->bare_path;
    const bool is_bare = bare.len == request->path.len;
    const bool as_it_came = is_wanted_path(request, match, condition, request->path);
    if (reading == READING_ALL)
        return as_it_came && (is_bare || is_wanted_path(request, match, condition, bare));
    return as_it_came || (!is_bare && is_wanted_path(request, match, condition, bare)) ||
           (bare.len > 1 && bare.at[bare.len - 1] == '/' && is_wanted_path(request, match, condition, bytes_from(bare.at, bare.len - 1)));
}

// ---- what a rule says of the request

static bool match_holds(struct authorization_request *request, const struct route_match *match, enum reading reading) {
    if (match->method.len > 0 && !bytes_equal(match->method, request->head->method_text))
        return false;
    const bool is_any_path = match->path_type == PATH_PREFIX && match->path.len == 0;
    if (!is_any_path && !path_holds(request, match, NULL, reading))
        return false;
    for (uint32_t i = 0; i < match->header_count; i++)
        if (!header_holds(request, match->headers[i].name, (struct wanted){.match = &match->headers[i]}, reading))
            return false;
    for (uint32_t i = 0; i < match->query_count; i++)
        if (!query_holds(request, match->queries[i].name, (struct wanted){.match = &match->queries[i]}, reading))
            return false;
    return true;
}

static bool any_match_holds(struct authorization_request *request, const struct route_match *matches, uint32_t count, enum reading reading) {
    for (uint32_t i = 0; i < count; i++)
        if (match_holds(request, &matches[i], reading))
            return true;
    return false;
}

static bool is_asked_for(const struct authorization_rule *rule, enum reading reading, struct authorization_request *request) {
    if (rule->match_count == 0)
        return true;
    return request->head == NULL ? reading == READING_ANY : any_match_holds(request, rule->matches, rule->match_count, reading);
}

// What holds a request out of a rule is read in the other way: an Allow is not for one that may be among these.
static bool is_left_out(const struct authorization_rule *rule, enum reading reading, struct authorization_request *request) {
    if (rule->not_match_count == 0)
        return false;
    if (request->head == NULL)
        return reading == READING_ALL;
    return any_match_holds(request, rule->not_matches, rule->not_match_count, reading == READING_ANY ? READING_ALL : READING_ANY);
}

// ---- what it says of who asks

static bool is_among(const struct identity_patterns *patterns, const struct authorization_request *request) {
    const struct stream_client *client = &request->stream->client;
    for (uint32_t i = 0; client->identity != NULL && i < patterns->count; i++)
        if (identity_matches(&patterns->items[i], client->identity, client->is_kin))
            return true;
    return false;
}

static bool is_in(const struct address_ranges *ranges, struct authorization_request *request) {
    if (!request->ip_is_looked_at)
        request->has_ip = stream_client_ip(request->stream, &request->ip);
    request->ip_is_looked_at = true;
    for (uint32_t i = 0; request->has_ip && i < ranges->count; i++)
        if (cidr_contains(&ranges->items[i], &request->ip))
            return true;
    return false;
}

static bool is_source(const struct authorization_source *source, struct authorization_request *request) {
    return (source->accounts.count == 0 || is_among(&source->accounts, request)) &&
           (source->identities.count == 0 || is_among(&source->identities, request)) &&
           (source->namespaces.count == 0 || is_among(&source->namespaces, request)) &&
           (source->addresses.count == 0 || is_in(&source->addresses, request));
}

static bool comes_from(const struct authorization_rule *rule, struct authorization_request *request) {
    for (uint32_t i = 0; i < rule->source_count; i++)
        if (is_source(&rule->sources[i], request))
            return true;
    return rule->source_count == 0;
}

// Who has shown no identity, or no address, may be one of those that are held out.
static bool is_held_out(const struct authorization_rule *rule, enum reading reading, struct authorization_request *request) {
    if (rule->not_identities.count > 0 &&
        (request->stream->client.identity == NULL ? reading == READING_ALL : is_among(&rule->not_identities, request)))
        return true;
    return rule->not_addresses.count > 0 && (is_in(&rule->not_addresses, request) || (!request->has_ip && reading == READING_ALL));
}

// Of a claim with several values, or several words, any will do: they are what the caller has.
static bool claim_holds(const struct authorization_condition *condition, const struct authorization_request *request) {
    bool holds = request->before_claims;
    for (uint32_t i = 0; i < condition->value_count; i++)
        holds |= claims_have(request->stream->claims, condition->part.name, condition->values[i]);
    return holds;
}

static bool condition_holds(const struct authorization_condition *condition, enum reading reading, struct authorization_request *request) {
    const struct wanted wanted = {.condition = condition};
    if (condition->part.type == KEY_CLIENT_ADDRESS)
        return is_in(&condition->addresses, request);
    if (condition->part.type == KEY_IDENTITY)
        return is_among(&condition->identities, request);
    if (request->head == NULL)
        return reading == READING_ANY;
    switch (condition->part.type) {
    case KEY_HEADER:
        return header_holds(request, condition->part.name, wanted, reading);
    case KEY_COOKIE:
        return cookie_holds(request, condition->part.name, wanted, reading);
    case KEY_QUERY:
        return query_holds(request, condition->part.name, wanted, reading);
    case KEY_CLAIM:
        return claim_holds(condition, request);
    case KEY_PATH:
        return path_holds(request, NULL, condition, reading);
    case KEY_METHOD:
        return is_one_of(condition, request->head->method_text);
    case KEY_CLIENT_ADDRESS:
    case KEY_IDENTITY:
        break;
    }
    check_failed("a condition is of a type that is none", __FILE__, __LINE__);
}

static bool conditions_hold(const struct authorization_rule *rule, enum reading reading, struct authorization_request *request) {
    for (uint32_t i = 0; i < rule->condition_count; i++)
        if (!condition_holds(&rule->conditions[i], reading, request))
            return false;
    return true;
}

void authorization_request_begin(struct authorization_request *request, struct stream *stream, bool before_claims) {
    *request =
        (struct authorization_request){.stream = stream, .head = stream->request->opaque ? NULL : stream->request, .before_claims = before_claims};
    if (stream->bound->matcher != NULL)
        regex_matcher_begin(stream->bound->matcher);
}

bool authorization_rule_is_from(const struct authorization_rule *rule, enum reading reading, struct authorization_request *request) {
    return comes_from(rule, request) && !is_held_out(rule, reading, request);
}

bool authorization_rule_holds(const struct authorization_rule *rule, enum reading reading, struct authorization_request *request) {
    return authorization_rule_is_from(rule, reading, request) && is_asked_for(rule, reading, request) && !is_left_out(rule, reading, request) &&
           conditions_hold(rule, reading, request);
}

const char *authorization_path_fault(struct authorization_request *request) {
    if (request->head == NULL)
        return NULL;
    look_at_path(request);
    if (request->has_escaped_slash)
        return "an escaped slash in the path";
    if (request->has_empty_segment)
        return "an empty segment in the path";
    return NULL;
}

bool authorization_gave_up(const struct authorization_request *request) {
    const struct regex_matcher *matcher = request->stream->bound->matcher;
    return matcher != NULL && regex_matcher_gave_up(matcher);
}
