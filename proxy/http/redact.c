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
        BYTES_OF("auth"),      BYTES_OF("cookie"), BYTES_OF("token"),      BYTES_OF("secret"),   BYTES_OF("passw"),    BYTES_OF("credential"),
        BYTES_OF("signatur"),  BYTES_OF("jwt"),    BYTES_OF("session"),    BYTES_OF("apikey"),   BYTES_OF("-key"),     BYTES_OF("_key"),
        BYTES_OF("assertion"), BYTES_OF("otp"),    BYTES_OF("accesskey"),  BYTES_OF("saml"),     BYTES_OF("bearer"),   BYTES_OF("hmac"),
        BYTES_OF("csrf"),      BYTES_OF("xsrf"),   BYTES_OF("passphrase"), BYTES_OF("passcode"), BYTES_OF("verifier"), BYTES_OF("sessid"),
    };
    // Too short, or too usual as a part of others (zip_code, shipping).
    static const struct bytes names[] = {BYTES_OF("key"),       BYTES_OF("sig"), BYTES_OF("code"),  BYTES_OF("device_code"),
                                         BYTES_OF("user_code"), BYTES_OF("pwd"), BYTES_OF("pw"),    BYTES_OF("pass"),
                                         BYTES_OF("pin"),       BYTES_OF("sid"), BYTES_OF("ticket")};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (bytes_equal_nocase(name, names[i]))
            return true;
    return contains_one(name, words, sizeof words / sizeof words[0]);
}

static struct bytes behind(struct bytes text, size_t count) {
    return bytes_from(text.at + count, text.len - count);
}

static struct bytes before_query(struct bytes url) {
    const size_t query = bytes_find(url, '?'), fragment = bytes_find(url, '#');
    return bytes_from(url.at, query < fragment ? query : fragment);
}

// What stands behind its first ":" is no port: it may be a password whose "@" did not come any more, or stands behind a sign that ends an authority.
static bool may_be_user(struct bytes authority) {
    const size_t bracket = authority.len > 0 && authority.at[0] == '[' ? bytes_find(authority, ']') : 0;
    const struct bytes rest = bracket < authority.len ? behind(authority, bracket) : authority;
    for (size_t i = bytes_find(rest, ':') + 1; i < rest.len; i++)
        if (rest.at[i] < '0' || rest.at[i] > '9')
            return true;
    return false;
}

struct bytes redact_user(struct bytes authority) {
    for (size_t i = authority.len; i-- > 0;)
        if (authority.at[i] == '@')
            return behind(authority, i + 1);
    return may_be_user(authority) ? BYTES_NONE : authority;
}

// An authority that `text` begins with; as far as the signs that may follow one in a list of URLs.
static struct bytes first_authority(struct bytes text) {
    static const char ends[] = {'/', '?', '#', ',', '>', '"', ' '};
    size_t len = 0;
    while (len < text.len && memchr(ends, text.at[len], sizeof ends) == NULL)
        len++;
    return bytes_from(text.at, len);
}

// Of all URLs in it ("https://user:password@host"): what stands behind the last that has a user; nothing where one may be hidden.
static struct bytes without_users(struct bytes value) {
    struct bytes shown = value;
    for (size_t i = 0; i + 2 < value.len; i++) {
        if (!bytes_starts_with(behind(value, i), BYTES("//")))
            continue;
        const struct bytes authority = first_authority(behind(value, i + 2)), host = redact_user(authority);
        if (host.len == 0 && authority.len > 0)
            return BYTES_NONE;
        if (host.len < authority.len)
            shown = behind(value, (size_t)(host.at - value.at));
    }
    return shown;
}

struct bytes redact_url(struct bytes name, struct bytes value) {
    static const struct bytes words[] = {BYTES_OF("refer"), BYTES_OF("location"), BYTES_OF("url"),    BYTES_OF("uri"), BYTES_OF("path"),
                                         BYTES_OF("link"),  BYTES_OF("refresh"),  BYTES_OF("target"), BYTES_OF("dest")};
    return contains_one(name, words, sizeof words / sizeof words[0]) ? without_users(before_query(value)) : value;
}

struct bytes redact_target(struct bytes target) {
    if (target.len == 0 || target.at[0] == '/' || target.at[0] == '*')
        return before_query(target);
    const size_t colon = bytes_find(target, ':');
    const bool is_url = bytes_starts_with(behind(target, colon), BYTES("://"));
    const struct bytes place = is_url ? behind(target, colon + 3) : target, authority = first_authority(place), host = redact_user(authority);
    const struct bytes path = behind(place, authority.len);
    if (bytes_find(path, '@') < path.len || host.len == 0 || (is_url && path.len == 0 && host.len == authority.len))
        return BYTES_NONE;
    return before_query(host.len < authority.len ? behind(place, authority.len - host.len) : target);
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
