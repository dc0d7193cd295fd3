// By which keys the access log tells the requests of a destination apart: those that the Proxy names, and those that limits and bulkheads there count by, so that a log can be replayed
// (outrigger simulate).
#include "config/freeze_private.h"

#include "config/policy_keys.h"

// Parts of a request that the log has none of otherwise.
static bool is_hidden(const struct request_key_part *part) {
    return part->type == KEY_HEADER || part->type == KEY_COOKIE || part->type == KEY_QUERY;
}

static bool has_part(const struct request_key *keys, const struct request_key_part *part) {
    for (uint32_t i = 0; i < keys->count; i++)
        if (keys->parts[i].type == part->type && bytes_equal(keys->parts[i].name, part->name))
            return true;
    return false;
}

// As long as there is room.
static void add_parts(struct request_key *keys, const struct request_key *more) {
    for (uint32_t i = 0; i < more->count && keys->count < LOGGED_KEYS_MAX; i++)
        if (is_hidden(&more->parts[i]) && !has_part(keys, &more->parts[i]))
            keys->parts[keys->count++] = more->parts[i];
}

static void add_policy(struct request_key *keys, const struct policy *policy) {
    struct policy_key of_rule;
    for (uint32_t i = 0; policy_key_at(policy, i, &of_rule); i++)
        add_parts(keys, of_rule.key);
}

void freeze_logged_keys(struct freezing *freezing, struct destination *destination) {
    struct request_key_part parts[LOGGED_KEYS_MAX];
    struct request_key keys = {.parts = parts};
    add_parts(&keys, &freezing->snapshot->proxy.telemetry.access_log.keys);
    for (uint32_t i = 0; i < destination->policy_count; i++)
        add_policy(&keys, destination->policies[i]);
    if (keys.count == 0)
        return;
    struct request_key *kept = pool_alloc_zeroed(freezing->pool, sizeof(*kept));
    kept->count = keys.count;
    kept->parts = pool_alloc_zeroed(freezing->pool, keys.count * sizeof(parts[0]));
    memcpy(kept->parts, parts, keys.count * sizeof(parts[0]));
    destination->logged_keys = kept;
}
