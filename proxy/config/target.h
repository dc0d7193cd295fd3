// What a policy is for: `targetRefs`, the same in all kinds of policies, and what each kind may be for.
#ifndef CONFIG_TARGET_H
#define CONFIG_TARGET_H

#include "config/document.h"
#include "config/policy.h"

enum target_kind {
    TARGET_SERVICE,
    TARGET_NAMESPACE,
    TARGET_HTTP_ROUTE,
    TARGET_GRPC_ROUTE,
    TARGET_TLS_ROUTE,
    TARGET_TCP_ROUTE,
    TARGET_GATEWAY,
    TARGET_MESH
};

struct target_ref {
    struct bytes group;
    enum target_kind kind;
    struct bytes namespace_name; // empty: the policy's
    struct bytes name;
    struct bytes section_name; // empty: the whole
};

enum policy_mode { MODE_ENFORCE, MODE_DRY_RUN };

// The first member of the spec of each kind of policy.
struct policy_head {
    struct target_ref *targets;
    uint32_t target_count;
    uint32_t mode; // enum policy_mode, of kinds that have it as a whole
};

extern const struct table target_table;
extern const struct choice policy_modes[];

// The row `targetRefs` of a policy's spec.
#define TARGET_REFS_ROW                                                                                                                      \
    {                                                                                                                                        \
        .name = "targetRefs", .type = VALUE_LIST, .item = VALUE_OBJECT, .object = &target_table,                                             \
        ROW_LIST(struct policy_head, targets, target_count), .min = 1, .max = 64, .is_required = true, .describes = "what the policy is for" \
    }

// The row `mode` of a policy's spec that has it as a whole.
#define POLICY_MODE_ROW(text) \
    { .name = "mode", .type = VALUE_ENUM, ROW_AT(struct policy_head, mode), .choices = policy_modes, .fallback = "Enforce", .describes = (text) }

// The row `matches` of a policy's rule, `spec`, with members `matches` and `match_count`.
#define POLICY_MATCHES_ROW(spec, text)                                                                                                             \
    {                                                                                                                                              \
        .name = "matches", .type = VALUE_LIST, .item = VALUE_OBJECT, .object = &http_match_table, ROW_LIST(spec, matches, match_count), .max = 64, \
        .describes = (text)                                                                                                                        \
    }

// POLICY_NONE: it is no policy of an additive kind.
enum policy_kind policy_kind_of(const struct document *document);

// Whether that policy of an additive kind acts in the caller's proxy; others act in the target's own, or where none is.
bool policy_is_caller_s(const struct document *document);

// Whether policies of that kind act on opaque connections too; the others act on requests alone.
static inline bool policy_is_of_connections(enum policy_kind kind) {
    return kind == POLICY_AUTHORIZATION;
}

// Whether it is a policy of a kind of which one alone may be for a target.
bool policy_is_merged(const struct document *document);

// NULL: it is no policy.
const struct policy_head *policy_head_of(const struct document *document);

// The rules between the fields of each target.
void targets_check(struct document *document);

// The namespace that a target is in: where it names none, that of the policy.
struct bytes target_namespace(struct bytes policy_namespace, const struct target_ref *target);

// Equal for equal targets of policies of one namespace, and for these alone.
struct bytes target_key(struct pool *pool, struct bytes policy_namespace, const struct target_ref *target);

// Whether targets of that kind are routes.
static inline bool target_is_route(enum target_kind kind) {
    return kind >= TARGET_HTTP_ROUTE && kind <= TARGET_TCP_ROUTE;
}

#endif
