// Replaces a whole path, or the prefix by which the rule matched; the query stays in any case.
#include "filters/path_change.h"

static struct bytes without_last_slash(struct bytes text) {
    return text.len > 0 && text.at[text.len - 1] == '/' ? bytes_from(text.at, text.len - 1) : text;
}

struct bytes path_change_apply(const struct path_change *change, struct bytes path, struct pool *pool) {
    if (bytes_equal(path, BYTES("*")))
        return path; // OPTIONS of the server as a whole: no path at all (RFC 9112 section 3.2.4)
    size_t end = bytes_find(path, '?');
    struct bytes query = bytes_from(path.at + end, path.len - end);
    if (change->type == PATH_CHANGE_FULL)
        return pool_format(pool, "%.*s%.*s", BYTES_FORMAT(change->full), BYTES_FORMAT(query));
    if (change->type != PATH_CHANGE_PREFIX || end < change->matched.len)
        return path;
    // The rest begins with a slash or is empty; "/" is what is left of nothing.
    struct bytes rest = bytes_from(path.at + change->matched.len, end - change->matched.len);
    struct bytes prefix = rest.len > 0 ? without_last_slash(change->prefix) : change->prefix;
    if (prefix.len + rest.len == 0)
        rest = BYTES("/");
    return pool_format(pool, "%.*s%.*s%.*s", BYTES_FORMAT(prefix), BYTES_FORMAT(rest), BYTES_FORMAT(query));
}

void rewrite_apply(const struct route_rewrite *rewrite, struct head *head, struct pool *pool) {
    if (rewrite->hostname.len > 0)
        head->authority = rewrite->hostname;
    head->path = path_change_apply(&rewrite->path, head->path, pool);
}
