// Each pair of a grant's `from` and `to` becomes a key; what cannot be referred to here makes none.
#include "config/grant.h"

#include "config/resource_route.h"
#include "config/resources.h"

static char grant_mark[1]; // any pointer that is not NULL

// `name` empty: all of the kind.
static struct bytes key_of(struct pool *scratch, struct bytes from_kind, struct bytes from_namespace, struct bytes kind, struct bytes namespace_name,
                           struct bytes name) {
    return pool_format(scratch, "%.*s/%.*s %.*s/%.*s/%.*s", BYTES_FORMAT(from_kind), BYTES_FORMAT(from_namespace), BYTES_FORMAT(kind),
                       BYTES_FORMAT(namespace_name), BYTES_FORMAT(name));
}

static void add_grant(struct grants *grants, const struct document *grant) {
    const struct reference_grant_spec *spec = grant->spec;
    for (uint32_t i = 0; i < spec->from_count; i++) {
        const struct grant_from *from = &spec->from[i];
        for (uint32_t j = 0; j < spec->to_count; j++) {
            const struct grant_to *to = &spec->to[j];
            if (grant_from_is_known(from) && grant_to_is_known(to))
                map_put(&grants->permitted, key_of(grants->scratch, from->kind, from->namespace_name, to->kind, grant->namespace_name, to->name),
                        grant_mark);
        }
    }
}

void grants_init(struct grants *grants, const struct loading *loading) {
    *grants = (struct grants){.scratch = loading->scratch};
    map_init(&grants->permitted);
    for (const struct document *document = loading->first; document != NULL; document = document->next)
        if (document->kind->spec == &reference_grant_table)
            add_grant(grants, document);
}

void grants_dispose(struct grants *grants) {
    map_dispose(&grants->permitted);
}

bool grants_permit(const struct grants *grants, const struct document *from, struct bytes kind, struct bytes namespace_name, struct bytes name) {
    struct bytes from_kind = bytes_from_text(from->kind->name);
    if (bytes_equal(from->namespace_name, namespace_name))
        return true;
    return map_get(&grants->permitted, key_of(grants->scratch, from_kind, from->namespace_name, kind, namespace_name, name)) != NULL ||
           map_get(&grants->permitted, key_of(grants->scratch, from_kind, from->namespace_name, kind, namespace_name, BYTES(""))) != NULL;
}
