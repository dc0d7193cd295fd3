// Names are looked at for words that tell of secrets: rather one value too few is shown. See redact.h.
#include "http/redact.h"

#include "http/form.h"

#include <string.h>

static bool contains(struct bytes name, struct bytes word) {
    for (size_t i = 0; i + word.len <= name.len; i++)
        if (bytes_equal_nocase(bytes_from(name.at + i, word.len), word))
            return true;
    return false;
}

static bool contains_one(struct bytes name, const struct bytes *words, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (contains(name, words[i]))
            return true;
    return false;
}

bool redact_is_secret(struct bytes name) {
    static const struct bytes words[] = {
        BYTES_OF("auth"),       BYTES_OF("cookie"),   BYTES_OF("token"),     BYTES_OF("secret"),  BYTES_OF("passw"),
        BYTES_OF("credential"), BYTES_OF("signatur"), BYTES_OF("jwt"),       BYTES_OF("session"), BYTES_OF("apikey"),
        BYTES_OF("-key"),       BYTES_OF("_key"),     BYTES_OF("assertion"), BYTES_OF("otp"),     BYTES_OF("accesskey"),
    };
    return contains_one(name, words, sizeof words / sizeof words[0]) || bytes_equal_nocase(name, BYTES("key")) ||
           bytes_equal_nocase(name, BYTES("sig"));
}

struct bytes redact_user(struct bytes authority) {
    for (size_t i = authority.len; i-- > 0;)
        if (authority.at[i] == '@')
            return bytes_from(authority.at + i + 1, authority.len - i - 1);
    return authority;
}

// "https://user:password@" in front of a host.
static struct bytes without_user(struct bytes url) {
    size_t begin = bytes_find(url, ':');
    if (!bytes_starts_with(bytes_from(url.at + begin, url.len - begin), BYTES("://")))
        return url;
    begin += 3;
    const struct bytes rest = bytes_from(url.at + begin, url.len - begin);
    const struct bytes authority = bytes_from(rest.at, bytes_find(rest, '/')), host = redact_user(authority);
    return host.len == authority.len ? url : bytes_from(host.at, rest.len - (authority.len - host.len));
}

struct bytes redact_url(struct bytes name, struct bytes value) {
    static const struct bytes words[] = {BYTES_OF("refer"), BYTES_OF("location"), BYTES_OF("url"),    BYTES_OF("uri"), BYTES_OF("path"),
                                         BYTES_OF("link"),  BYTES_OF("refresh"),  BYTES_OF("target"), BYTES_OF("dest")};
    if (!contains_one(name, words, sizeof words / sizeof words[0]))
        return value;
    const size_t query = bytes_find(value, '?'), fragment = bytes_find(value, '#');
    return without_user(bytes_from(value.at, query < fragment ? query : fragment));
}

// Of "name=value", with the name as whoever reads the form understands it.
static bool is_secret(struct bytes parameter, struct pool *pool) {
    const size_t split = bytes_find(parameter, '=');
    return split + 1 < parameter.len && redact_is_secret(form_decode(bytes_from(parameter.at, split), pool));
}

static struct bytes next_parameter(struct bytes *rest) {
    const struct bytes parameter = bytes_from(rest->at, bytes_find(*rest, '&'));
    const size_t used = parameter.len < rest->len ? parameter.len + 1 : parameter.len;
    *rest = bytes_from(rest->at + used, rest->len - used);
    return parameter;
}

static bool has_secret(struct bytes query, struct pool *pool) {
    while (query.len > 0)
        if (is_secret(next_parameter(&query), pool))
            return true;
    return false;
}

static char *append(char *to, struct bytes text) {
    memcpy(to, text.at, text.len);
    return to + text.len;
}

struct bytes redact_query(struct bytes target, struct pool *pool) {
    const size_t mark = bytes_find(target, '?');
    struct bytes rest = mark < target.len ? bytes_from(target.at + mark + 1, target.len - mark - 1) : BYTES_NONE;
    if (!has_secret(rest, pool))
        return target;
    // A parameter that is redacted is two bytes long at least.
    char *const text = pool_alloc(pool, target.len + (target.len / 2 + 1) * REDACTED.len);
    char *to = append(text, bytes_from(target.at, mark + 1));
    while (rest.len > 0) {
        const struct bytes parameter = next_parameter(&rest);
        const bool is_hidden = is_secret(parameter, pool);
        to = append(to, is_hidden ? bytes_from(parameter.at, bytes_find(parameter, '=') + 1) : parameter);
        if (is_hidden)
            to = append(to, REDACTED);
        if (rest.len > 0)
            to = append(to, BYTES("&"));
    }
    return bytes_from(text, (size_t)(to - text));
}
