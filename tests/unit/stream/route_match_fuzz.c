// Any method, target and fields against a table of all kinds of matches. Properties: the rule found is one whose match holds, and no match that holds goes before it; where
// none is found none holds; and what the canonical form makes equal goes by the same rule.
#include "stream/route_match.h"

#include "base/check.h"
#include "config/load.h"
#include "http/canonical.h"
#include "http/headers.h"

#include <string.h>

#define MATCHES_MAX 32

static const char documents[] =
    "apiVersion: outrigger.dev/v1alpha1\nkind: Proxy\nmetadata: {name: p}\nspec: {listeners: [{name: o, role: Outbound, address: "
    "'127.0.0.1:15001'}]}\n---\n"
    "apiVersion: outrigger.dev/v1alpha1\nkind: ServiceEntry\nmetadata: {name: s}\n"
    "spec: {hosts: [s], ports: [{name: http, port: 80}], tls: {mode: None}, endpoints: [{address: '127.0.0.1:1'}]}\n---\n"
    "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n  parentRefs: [{group: '', kind: Service, name: s}]\n  "
    "rules:\n"
    "  - matches: [{path: {type: Exact, value: /a}}, {path: {type: Exact, value: /a/b}, method: PUT}]\n"
    "  - matches: [{path: {value: /a}}, {path: {value: /a/b}}, {path: {value: /a/b/}, headers: [{name: x, value: '1'}]}]\n"
    "  - matches: [{path: {value: /}, method: GET}, {path: {value: /a}, queryParams: [{name: q, value: '1'}]}]\n"
    "  - matches: [{path: {value: /a}, headers: [{name: X, value: '1'}, {name: y, value: '2'}]}, {path: {value: /%C3%A9}}]\n"
    "  - matches: [{path: {type: RegularExpression, value: '/[a-c]+/(b|x*y)*'}}, {path: {type: RegularExpression, value: '/(a|aa)+z'}}]\n"
    "  - matches: [{queryParams: [{type: RegularExpression, name: 'a b', value: '[0-9]+'}]}, {headers: [{name: host, value: s}]}]\n";

struct request {
    struct head head;
    struct bytes path, query;
    struct regex_matcher *matcher;
    struct pool *pool;
};

// ---- a slow and simple reading of the same rules

static bool same(const struct request *request, const struct field_match *match, struct bytes value) {
    return match->type == VALUE_EXACT ? bytes_equal(match->value, value) : regex_match(match->regex, request->matcher, value) == REGEX_YES;
}

// In lower case, without the port of the scheme and the dot at the end.
static struct bytes plain_host(const struct request *request) {
    struct bytes authority = request->head.authority, host, port;
    char *out = pool_alloc(request->pool, authority.len + 1);
    authority_split(authority, &host, &port);
    while (port.len > 0 && port.at[0] == '0')
        port = bytes_from(port.at + 1, port.len - 1);
    size_t length = host.len - bytes_ends_with(host, BYTES("."));
    for (size_t i = 0; i < length; i++)
        out[i] = ascii_lower(host.at[i]);
    if (port.len > 0 && !bytes_equal(port, BYTES("80"))) {
        out[length] = ':';
        memcpy(out + length + 1, port.at, port.len);
        length += 1 + port.len;
    }
    return bytes_from(out, length);
}

static bool field_holds(const struct request *request, const struct field_match *match) {
    if (bytes_equal_nocase(match->name, BYTES("host")))
        return request->head.authority.len > 0 && same(request, match, plain_host(request));
    FIELDS_EACH(&request->head.fields, field)
        if (bytes_equal_nocase(field->name, match->name))
            return same(request, match, field->value);
    return false;
}

static int digit(char c) {
    const char *digits = "0123456789abcdef", *found = c == 0 ? NULL : strchr(digits, ascii_lower(c));
    return found == NULL ? -1 : (int)(found - digits);
}

static struct bytes plain(const struct request *request, struct bytes text) {
    char *out = pool_alloc(request->pool, text.len + 1);
    size_t length = 0;
    for (size_t i = 0; i < text.len; i++) {
        int high = text.at[i] == '%' && i + 2 < text.len ? digit(text.at[i + 1]) : -1;
        int low = high >= 0 ? digit(text.at[i + 2]) : -1;
        out[length++] = low >= 0 ? (char)(high * 16 + low) : text.at[i] == '+' ? ' ' : text.at[i];
        i += low >= 0 ? 2 : 0;
    }
    return bytes_from(out, length);
}

static bool parameter_holds(const struct request *request, const struct field_match *match) {
    struct bytes rest = request->query;
    while (rest.len > 0) {
        struct bytes one = bytes_from(rest.at, bytes_find(rest, '&'));
        rest = bytes_from(rest.at + one.len + (one.len < rest.len), rest.len - one.len - (one.len < rest.len));
        one = bytes_trim(one);
        size_t equals = bytes_find(one, '=');
        if (one.len > 0 && bytes_equal(plain(request, bytes_from(one.at, equals)), match->name))
            return same(request, match, equals < one.len ? plain(request, bytes_from(one.at + equals + 1, one.len - equals - 1)) : BYTES_NONE);
    }
    return false;
}

static bool path_holds(const struct request *request, const struct route_match *match) {
    struct bytes path = request->path;
    switch (match->path_type) {
    case PATH_EXACT:
        return bytes_equal(path, match->path);
    case PATH_REGEX:
        return regex_match(match->regex, request->matcher, path) == REGEX_YES;
    default:
        return bytes_starts_with(path, match->path) && (path.len == match->path.len || path.at[match->path.len] == '/' || match->path.len == 0);
    }
}

static bool holds(const struct request *request, const struct route_match *match) {
    bool all = path_holds(request, match) && (match->method.len == 0 || bytes_equal(match->method, request->head.method_text));
    for (uint32_t i = 0; i < match->header_count; i++)
        all = all && field_holds(request, &match->headers[i]);
    for (uint32_t i = 0; i < match->query_count; i++)
        all = all && parameter_holds(request, &match->queries[i]);
    return all;
}

// How far in front a match stands, but for equal ones.
static uint64_t rank(const struct route_match *match) {
    uint64_t type = match->path_type == PATH_EXACT ? 2 : match->path_type == PATH_REGEX ? 1 : 0;
    return type << 40 | (uint64_t)match->path.len << 20 | (uint64_t)(match->method.len > 0) << 16 | (uint64_t)match->header_count << 8 |
           match->query_count;
}

static uint32_t add_list(const struct route_match *first, const struct route_match **all, uint32_t count) {
    for (; first != NULL; first = first->next) {
        CHECK(count < MATCHES_MAX);
        all[count++] = first;
    }
    return count;
}

static uint32_t all_matches(const struct route_table *table, const struct route_match **all) {
    uint32_t count = add_list(table->regexes, all, 0);
    count = add_list(table->any_path, all, count);
    const struct map *maps[] = {&table->exact, &table->prefixes};
    for (int i = 0; i < 2; i++) {
        uint32_t position = 0;
        struct bytes key;
        void *value;
        while (map_next(maps[i], &position, &key, &value))
            count = add_list(value, all, count);
    }
    return count;
}

static void check_rule(const struct route_table *table, const struct request *request, const struct route_rule *rule) {
    const struct route_match *all[MATCHES_MAX];
    uint32_t count = all_matches(table, all);
    uint64_t best = 0, found = 0;
    bool any = false;
    for (uint32_t i = 0; i < count; i++) {
        if (!holds(request, all[i]))
            continue;
        any = true;
        best = rank(all[i]) > best ? rank(all[i]) : best;
        if (all[i]->rule == rule && rank(all[i]) > found)
            found = rank(all[i]);
    }
    CHECK(any == (rule != NULL));
    CHECK(found == best);
}

// ---- requests

static struct bytes take_line(struct bytes *rest) {
    struct bytes line = bytes_from(rest->at, bytes_find(*rest, '\n'));
    size_t skipped = line.len + (line.len < rest->len);
    *rest = bytes_from(rest->at + skipped, rest->len - skipped);
    return line;
}

static void split_path(struct request *request) {
    struct bytes path = request->head.path;
    size_t end = bytes_find(path, '?');
    request->path = bytes_from(path.at, end);
    request->query = end == path.len ? BYTES_NONE : bytes_from(path.at + end + 1, path.len - end - 1);
}

static bool read_request(struct request *request, struct bytes text) {
    head_init(&request->head, request->pool);
    request->head.method_text = take_line(&text);
    struct bytes target = take_line(&text);
    request->head.authority = take_line(&text);
    if (request->head.authority.len > 0 && !authority_is_valid(request->head.authority))
        return false; // no codec tells such a one
    while (text.len > 0) {
        struct bytes line = take_line(&text);
        size_t colon = bytes_find(line, ':');
        if (colon < line.len && is_token(bytes_from(line.at, colon)))
            fields_add(&request->head.fields, bytes_from(line.at, colon), bytes_trim(bytes_from(line.at + colon + 1, line.len - colon - 1)));
    }
    if (target.len == 0 || target.at[0] != '/' || canonical_path(target, request->pool, &request->head.path) != OK)
        return false;
    split_path(request);
    return true;
}

// The same path with letters as escapes, and a segment that goes up again.
static struct bytes other_spelling(const struct request *request) {
    struct bytes path = request->path;
    char *out = pool_alloc(request->pool, 3 * path.len + request->query.len + 8);
    size_t length = 0;
    memcpy(out, "/q/..", 5);
    length += 5;
    for (size_t i = 0; i < path.len; i++) {
        char c = path.at[i];
        bool is_escape = i >= 1 && (path.at[i - 1] == '%' || (i >= 2 && path.at[i - 2] == '%'));
        if (c >= 'a' && c <= 'z' && !is_escape) {
            out[length++] = '%';
            out[length++] = "0123456789abcdef"[c >> 4];
            c = "0123456789abcdef"[c & 15];
        }
        out[length++] = c;
    }
    return bytes_from(out, length);
}

static void look(const struct snapshot *snapshot, struct request *request, struct bytes text) {
    const struct route_table *table = snapshot_find_host(snapshot, BYTES("s"), 80)->routes;
    if (!read_request(request, text))
        return;
    regex_matcher_begin(request->matcher);
    const struct route_rule *rule = route_match(table, &request->head, false, request->matcher, request->pool);
    if (!regex_matcher_gave_up(request->matcher))
        check_rule(table, request, rule);
    regex_matcher_begin(request->matcher);
    struct bytes canonical;
    enum error error = canonical_path(other_spelling(request), request->pool, &canonical);
    CHECK(error == OK && bytes_equal(canonical, request->path));
    request->head.path = request->path; // without the query
    const struct route_rule *plain_rule = route_match(table, &request->head, false, request->matcher, request->pool);
    request->head.path = canonical;
    CHECK(route_match(table, &request->head, false, request->matcher, request->pool) == plain_rule);
}

static struct snapshot *load(void) {
    struct config_errors errors, warnings;
    struct snapshot *snapshot;
    config_errors_init(&errors);
    config_errors_init(&warnings);
    enum error error = config_load_text("t.yaml", bytes_from_text(documents), &snapshot, &errors, &warnings);
    CHECK(error == OK);
    config_errors_dispose(&errors);
    config_errors_dispose(&warnings);
    return snapshot;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    static struct snapshot *snapshot;
    static struct regex_matcher *matcher;
    if (snapshot == NULL) {
        snapshot = load();
        matcher = regex_matcher_create();
    }
    struct pool_source chunks;
    struct pool pool;
    pool_source_init(&chunks, 8);
    pool_init(&pool, &chunks);
    struct request request = {.matcher = matcher, .pool = &pool};
    look(snapshot, &request, bytes_from((const char *)input, size));
    pool_dispose(&pool);
    pool_source_dispose(&chunks);
    return 0;
}
