// Walks over the parameters of a query: see query.h.
#include "rpc/query.h"

#include "http/form.h"

bool query_next(struct bytes *query, struct pool *pool, struct bytes *name, struct bytes *value) {
    while (query->len > 0) {
        size_t length = bytes_find(*query, '&');
        struct bytes pair = bytes_from(query->at, length);
        size_t taken = length < query->len ? length + 1 : length;
        *query = bytes_from(query->at + taken, query->len - taken);
        if (pair.len == 0)
            continue;
        size_t split = bytes_find(pair, '=');
        size_t behind = split < pair.len ? split + 1 : split;
        *name = form_decode(bytes_from(pair.at, split), pool);
        *value = form_decode(bytes_from(pair.at + behind, pair.len - behind), pool);
        return true;
    }
    return false;
}

bool query_find(struct bytes query, struct bytes name, struct pool *pool, struct bytes *value) {
    struct bytes found;
    while (query_next(&query, pool, &found, value))
        if (bytes_equal(found, name))
            return true;
    return false;
}
