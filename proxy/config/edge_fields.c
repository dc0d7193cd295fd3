// The list of fields that a gateway guards: see edge_fields.h.
#include "config/edge_fields.h"

static const struct bytes guarded[] = {BYTES_OF("x-tier"),    BYTES_OF("x-priority"), BYTES_OF("x-tenant-id"), BYTES_OF("x-request-timeout-ms"),
                                       BYTES_OF("x-real-ip"), BYTES_OF("forwarded")};
static const struct bytes forwarded = BYTES_OF("x-forwarded-"), debug = BYTES_OF("x-debug"), debug_more = BYTES_OF("x-debug-");

static bool begins_alike(struct bytes name, struct bytes with) {
    if (name.len < with.len)
        return false;
    for (size_t i = 0; i < with.len; i++)
        if (ascii_lower(name.at[i]) != with.at[i] && !(name.at[i] == '_' && with.at[i] == '-'))
            return false;
    return true;
}

bool edge_field_is_of_debugging(struct bytes name) {
    return (name.len == debug.len && begins_alike(name, debug)) || begins_alike(name, debug_more);
}

bool edge_field_is_guarded(struct bytes name) {
    for (size_t i = 0; i < sizeof guarded / sizeof guarded[0]; i++)
        if (name.len == guarded[i].len && begins_alike(name, guarded[i]))
            return true;
    return begins_alike(name, forwarded) || edge_field_is_of_debugging(name);
}

bool edge_field_may_be_trusted(struct bytes name) {
    return edge_field_is_guarded(name) && bytes_find(name, '_') == name.len && !bytes_equal_nocase(name, BYTES("x-forwarded-client-cert"));
}
