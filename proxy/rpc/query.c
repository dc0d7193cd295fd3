// Walks over the parameters of a query: see query.h.
#include "rpc/query.h"

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = ascii_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static struct bytes decode(struct bytes text, struct pool *pool) {
    char *decoded = pool_alloc(pool, text.len + 1);
    size_t length = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%' && text.len - i > 2 && hex_value(text.at[i + 1]) >= 0 && hex_value(text.at[i + 2]) >= 0) {
            c = (char)(hex_value(text.at[i + 1]) * 16 + hex_value(text.at[i + 2]));
            i += 2;
        }
        decoded[length++] = c;
    }
    return bytes_from(decoded, length);
}

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
        *name = decode(bytes_from(pair.at, split), pool);
        *value = decode(bytes_from(pair.at + behind, pair.len - behind), pool);
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
