// Field by field: see access_match.h.
#include "telemetry/access_match.h"

// Where a line cuts a text, what is wanted must go on behind the cut as well; how it does is not looked at.
static bool is_wanted(struct bytes wanted, enum access_field field, struct bytes text) {
    if (wanted.len == 0)
        return true;
    const struct bytes shown = access_shown(field, text);
    return shown.len == text.len ? bytes_equal(wanted, text) : wanted.len > shown.len && bytes_starts_with(wanted, shown);
}

static bool path_is_wanted(struct bytes wanted, struct bytes path) {
    const struct bytes shown = wanted.len == 0 ? BYTES_NONE : access_shown(ACCESS_PATH, path);
    if (shown.len < path.len && wanted.len > shown.len)
        wanted.len = shown.len;
    return bytes_starts_with(shown, wanted);
}

static struct bytes without_last_dot(struct bytes host) {
    if (host.len > 0 && host.at[host.len - 1] == '.')
        host.len--;
    return host;
}

// Where the port begins, or its end: behind the last colon, but for those of an IPv6 address in brackets.
static struct bytes without_port(struct bytes authority) {
    for (size_t i = authority.len; i-- > 0 && authority.at[i] != ']';)
        if (authority.at[i] == ':')
            return bytes_from(authority.at, i);
    return authority;
}

static bool host_is_wanted(struct bytes wanted, struct bytes authority) {
    if (wanted.len == 0)
        return true;
    const struct bytes shown = access_shown(ACCESS_AUTHORITY, authority);
    if (shown.len < authority.len) // no host is so long
        return wanted.len > shown.len && bytes_equal_nocase(bytes_from(wanted.at, shown.len), shown);
    const bool has_port = without_port(wanted).len < wanted.len;
    return bytes_equal_nocase(without_last_dot(wanted), without_last_dot(has_port ? authority : without_port(authority)));
}

// "kind/namespace/name" by any of its ends: "name", "namespace/name".
static bool is_called(struct bytes text, struct bytes name) {
    return bytes_ends_with(text, name) && (text.len == name.len || text.at[text.len - name.len - 1] == '/');
}

// What stands behind the first colon counts where the wanted name says it as well.
static bool name_is_wanted(struct bytes wanted, struct bytes text) {
    if (wanted.len == 0)
        return true;
    if (bytes_find(wanted, ':') == wanted.len)
        text.len = bytes_find(text, ':');
    return is_called(text, wanted);
}

bool access_match_wants(const struct access_match *match, const struct access_record *record) {
    const bool status = match->status_most == 0 || (record->status >= match->status_least && record->status <= match->status_most);
    return status && record->duration >= match->slower && (!match->by_end || match->end == record->end) &&
           is_wanted(match->method, ACCESS_METHOD, record->method) && is_wanted(match->listener, ACCESS_LISTENER, record->listener) &&
           is_wanted(match->direction, ACCESS_DIRECTION, record->direction) &&
           is_wanted(match->identity, ACCESS_PEER_IDENTITY, record->peer_identity) && host_is_wanted(match->host, record->authority) &&
           path_is_wanted(match->path, access_path(record)) && name_is_wanted(match->service, record->service) &&
           name_is_wanted(match->route, record->route);
}
