// By which keys the access log tells the requests of a destination apart: those that the Proxy names, and those that limits and bulkheads there count by, so that a log can be replayed
// (outrigger simulate).
#include "config/freeze_private.h"

#include "config/policy_keys.h"

// Parts of a request that the log has none of otherwise.
static bool is_hidden(const struct request_key_part *part) {
    return part->type == KEY_HEADER || part->type == KEY_COOKIE || part->type == KEY_QUERY || part->type == KEY_CLAIM;
}

static bool has_part(const struct request_key *keys, const struct request_key_part *part) {
    for (uint32_t i = 0; i < keys->count; i++)
        if (keys->parts[i].type == part->type && bytes_equal(keys->parts[i].name, part->name))
            return true;
    return false;
}

struct gathering {
    struct freezing *freezing;
    struct bytes service;
    struct request_key keys;
};

// Nobody would look for it in the log and know why it is not there.
static void warn_of_no_room(struct freezing *freezing, struct bytes service, const struct request_key_part *part) {
    const char *type = request_key_type_name(part->type);
    const struct bytes key = pool_format(freezing->loading->scratch, "logged key|%s|%.*s", type, BYTES_FORMAT(part->name));
    if (map_put(&freezing->told, key, freezing) == NULL)
        config_errors_add(
            freezing->loading->warnings, freezing->snapshot->proxy.place, NULL, "spec.telemetry.accessLog.keys",
            "a line has room for the hashes of %d parts of a request, of those listed here and then of those that limits go by: %s %.*s "
            "is left out for %.*s, and a replay of the log cannot tell requests apart by it",
            LOGGED_KEYS_MAX, type, BYTES_FORMAT(part->name), BYTES_FORMAT(service));
}

static void add_parts(struct gathering *gathering, const struct request_key *more) {
    struct request_key *keys = &gathering->keys;
    for (uint32_t i = 0; i < more->count; i++) {
        if (!is_hidden(&more->parts[i]) || has_part(keys, &more->parts[i]))
            continue;
        if (keys->count == LOGGED_KEYS_MAX)
            warn_of_no_room(gathering->freezing, gathering->service, &more->parts[i]);
        else
            keys->parts[keys->count++] = more->parts[i];
    }
}

static void add_policy(struct gathering *gathering, const struct policy *policy) {
    struct policy_key of_rule;
    for (uint32_t i = 0; policy_key_at(policy, i, &of_rule); i++)
        add_parts(gathering, of_rule.key);
}

void freeze_logged_keys(struct freezing *freezing, struct destination *destination) {
    struct request_key_part parts[LOGGED_KEYS_MAX];
    struct gathering gathering = {.freezing = freezing, .service = destination->service->key, .keys = {.parts = parts}};
    add_parts(&gathering, &freezing->snapshot->proxy.telemetry.access_log.keys);
    for (uint32_t i = 0; i < destination->policy_count; i++)
        add_policy(&gathering, destination->policies[i]);
    if (gathering.keys.count == 0)
        return;
    struct request_key *kept = pool_alloc_zeroed(freezing->pool, sizeof(*kept));
    kept->count = gathering.keys.count;
    kept->parts = pool_alloc_zeroed(freezing->pool, kept->count * sizeof(parts[0]));
    memcpy(kept->parts, parts, kept->count * sizeof(parts[0]));
    destination->logged_keys = kept;
}
