// Canonical paths and hosts. Most requests have them already: one pass finds that out, and only the others are rewritten, in a second.
#include "http/canonical.h"

#include "base/check.h"

#include <arpa/inet.h>

// A domain name with its last dot (RFC 1035 section 3.1 allows 255 octets on the wire).
#define HOST_MAX 254

// ---- paths

enum path_class {
    PATH_REFUSED, // control, space, `\`, `#`, not ASCII
    PATH_PLAIN,
    PATH_SLASH,
    PATH_ESCAPE,
    PATH_QUERY
};

static const unsigned char path_classes[256] = {
    ['!' ... '"'] = PATH_PLAIN, ['$'] = PATH_PLAIN, ['%'] = PATH_ESCAPE,        ['&' ... '.'] = PATH_PLAIN, ['/'] = PATH_SLASH,
    ['0' ... '>'] = PATH_PLAIN, ['?'] = PATH_QUERY, ['@' ... '['] = PATH_PLAIN, [']' ... '~'] = PATH_PLAIN,
};

static enum path_class path_class_of(char c) {
    return (enum path_class)path_classes[(unsigned char)c];
}

static bool is_letter_or_digit(char c) {
    char lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
}

// RFC 3986 section 2.3: an escape of these means what they mean themselves.
static bool is_unreserved(char c) {
    return is_letter_or_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

// Where the path ends and the query begins, as far as the path is canonical: `*rewrite` is set, and the search given up, at what is not, or may not be.
static size_t path_scan(struct bytes target, bool *rewrite) {
    for (size_t i = 0; i < target.len; i++) {
        switch (path_class_of(target.at[i])) {
        case PATH_PLAIN:
            continue;
        case PATH_SLASH:
            if (i + 1 == target.len || target.at[i + 1] != '.')
                continue;
            break;
        case PATH_QUERY:
            return i;
        case PATH_REFUSED:
        case PATH_ESCAPE:
            break;
        }
        *rewrite = true;
        return i;
    }
    return target.len;
}

// `\` is no character of a URI, but means nothing in a query.
static bool is_query(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if (path_class_of(text.at[i]) == PATH_REFUSED && text.at[i] != '\\')
            return false;
    return true;
}

static bool is_dots(struct bytes segment) {
    return bytes_equal(segment, BYTES(".")) || bytes_equal(segment, BYTES(".."));
}

// Up to the first `mark`, or all of it.
static struct bytes before(struct bytes text, struct bytes mark) {
    const char *at = text.len == 0 ? NULL : memmem(text.at, text.len, mark.at, mark.len);
    return at == NULL ? text : bytes_from(text.at, (size_t)(at - text.at));
}

// Whether the segment is none of dots, but somebody behind us could make it one: by taking `%2F` for a slash, or by cutting parameters off, from `;` on.
static bool hides_dots(struct bytes segment) {
    struct bytes rest = segment;
    for (;;) {
        struct bytes part = before(rest, BYTES("%2F"));
        struct bytes cut = before(before(part, BYTES(";")), BYTES("%3B"));
        if (is_dots(cut) && cut.len < segment.len)
            return true;
        if (part.len == rest.len)
            return false;
        rest = bytes_from(part.at + part.len + 3, rest.len - part.len - 3);
    }
}

// A path on its way into its canonical form.
struct rewriting {
    char *at; // what is canonical so far
    size_t len;
    size_t segment; // where the last segment begins
};

// Decodes or normalises the escape at the front of `text`. False: it is none, or one that is refused.
static bool rewrite_escape(struct rewriting *path, struct bytes text) {
    static const char digits[] = "0123456789ABCDEF";
    int value = bytes_octet_of_hex(bytes_from(text.at + 1, text.len - 1));
    if (value < 0x20 || value == 0x7f || value == '\\')
        return false;
    if (value < 0x80 && is_unreserved((char)value)) {
        path->at[path->len++] = (char)value;
        return true;
    }
    path->at[path->len++] = '%';
    path->at[path->len++] = digits[value >> 4];
    path->at[path->len++] = digits[value & 15];
    return true;
}

// A segment is complete; `more`: a slash follows it in the path. RFC 3986 section 5.2.4.
static bool rewrite_segment_end(struct rewriting *path, bool more) {
    struct bytes segment = bytes_from(path->at + path->segment, path->len - path->segment);
    if (hides_dots(segment))
        return false;
    if (is_dots(segment)) {
        path->len = path->segment;
        if (segment.len == 1)
            return true;
        if (path->len == 1)
            return false; // above the root
        do
            path->len--;
        while (path->at[path->len - 1] != '/');
    } else if (more) {
        path->at[path->len++] = '/';
    }
    path->segment = path->len;
    return true;
}

// `text` is the path with what follows; *end is where the query begins. False: refused.
static bool rewrite_path(struct rewriting *path, struct bytes text, size_t *end) {
    path->at[path->len++] = '/';
    path->segment = 1;
    size_t i = 1;
    while (i < text.len) {
        enum path_class class = path_class_of(text.at[i]);
        if (class == PATH_REFUSED)
            return false;
        if (class == PATH_QUERY)
            break;
        if (class == PATH_ESCAPE) {
            if (!rewrite_escape(path, bytes_from(text.at + i, text.len - i)))
                return false;
            i += 3;
            continue;
        }
        if (class == PATH_PLAIN)
            path->at[path->len++] = text.at[i];
        else if (!rewrite_segment_end(path, true))
            return false;
        i++;
    }
    *end = i;
    return rewrite_segment_end(path, false);
}

enum error canonical_path(struct bytes target, struct pool *pool, struct bytes *canonical) {
    *canonical = target;
    if (bytes_equal(target, BYTES("*")))
        return OK;
    if (target.len == 0 || target.at[0] != '/')
        return ERROR_BAD_REQUEST;
    bool rewrite = false;
    size_t end = path_scan(target, &rewrite);
    if (!rewrite)
        return is_query(bytes_from(target.at + end, target.len - end)) ? OK : ERROR_BAD_REQUEST;
    // It never grows.
    struct rewriting path = {.at = pool_alloc(pool, target.len)};
    if (!rewrite_path(&path, target, &end))
        return ERROR_BAD_REQUEST;
    struct bytes query = bytes_from(target.at + end, target.len - end);
    if (!is_query(query))
        return ERROR_BAD_REQUEST;
    memcpy(path.at + path.len, query.at, query.len);
    *canonical = bytes_from(path.at, path.len + query.len);
    CHECK(canonical->len <= target.len);
    return OK;
}

// ---- hosts

static bool is_port(struct bytes text) {
    uint64_t port;
    return text.len == 0 || (bytes_to_u64(text, 65535, &port) && port > 0);
}

static bool is_ipv6(struct bytes text) {
    char terminated[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (text.len >= sizeof(terminated))
        return false;
    memcpy(terminated, text.at, text.len);
    terminated[text.len] = '\0';
    return strlen(terminated) == text.len && inet_pton(AF_INET6, terminated, &address) == 1;
}

enum host_class { HOST_REFUSED, HOST_LABEL, HOST_DOT };

static const unsigned char host_classes[256] = {
    ['a' ... 'z'] = HOST_LABEL, ['A' ... 'Z'] = HOST_LABEL, ['0' ... '9'] = HOST_LABEL, ['-'] = HOST_LABEL,
    ['_'] = HOST_LABEL,         ['~'] = HOST_LABEL,         ['.'] = HOST_DOT,
};

// How long the name is that `text` begins with: labels of letters, digits, `-`, `_` and `~`, none empty but that behind the last dot. 0: none.
static size_t name_length(struct bytes text) {
    unsigned char previous = HOST_DOT;
    size_t length = 0;
    while (length < text.len) {
        unsigned char class = host_classes[(unsigned char)text.at[length]];
        if (class == HOST_DOT && previous == HOST_DOT)
            return 0;
        if (class == HOST_REFUSED)
            break;
        previous = class;
        length++;
    }
    return length <= HOST_MAX ? length : 0;
}

void authority_split(struct bytes authority, struct bytes *host, struct bytes *port) {
    size_t end = 0;
    if (authority.len > 0 && authority.at[0] == '[')
        end = bytes_find(authority, ']');
    end += bytes_find(bytes_from(authority.at + end, authority.len - end), ':');
    *host = bytes_from(authority.at, end);
    *port = end == authority.len ? BYTES("") : bytes_from(authority.at + end + 1, authority.len - end - 1);
}

bool authority_is_valid(struct bytes authority) {
    if (authority.len == 0)
        return false;
    if (authority.at[0] != '[') {
        size_t length = name_length(authority);
        if (length == 0 || length == authority.len)
            return length > 0;
        return authority.at[length] == ':' && is_port(bytes_from(authority.at + length + 1, authority.len - length - 1));
    }
    struct bytes host;
    struct bytes port;
    authority_split(authority, &host, &port);
    return is_port(port) && host.len > 2 && host.at[host.len - 1] == ']' && is_ipv6(bytes_from(host.at + 1, host.len - 2));
}

static bool has_capitals(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if (ascii_lower(text.at[i]) != text.at[i])
            return true;
    return false;
}

// The port as it is matched: without leading zeros, empty where it is the scheme's.
static struct bytes canonical_port(struct bytes port, struct bytes scheme) {
    while (port.len > 0 && port.at[0] == '0') {
        port.at++;
        port.len--;
    }
    struct bytes usual = bytes_equal(scheme, BYTES("https")) ? BYTES("443") : BYTES("80");
    return bytes_equal(port, usual) ? BYTES("") : port;
}

struct bytes canonical_authority(struct bytes authority, struct bytes scheme, struct pool *pool) {
    struct bytes host;
    struct bytes port;
    authority_split(authority, &host, &port);
    port = canonical_port(port, scheme);
    if (bytes_ends_with(host, BYTES(".")))
        host.len--;
    size_t length = host.len + (port.len > 0 ? 1 + port.len : 0);
    if (!has_capitals(host)) {
        // Cut off at the end, if at all.
        bool tail_kept = port.len == 0 || length == authority.len;
        if (tail_kept)
            return bytes_from(authority.at, length);
    }
    char *text = pool_alloc(pool, length + 1);
    for (size_t i = 0; i < host.len; i++)
        text[i] = ascii_lower(host.at[i]);
    if (port.len > 0) {
        text[host.len] = ':';
        memcpy(text + host.len + 1, port.at, port.len);
    }
    return bytes_from(text, length);
}
