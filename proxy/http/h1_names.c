// Title-Case for names that came over HTTP/2, where they are lower-case: some HTTP/1 software compares names exactly. Used by h1_write.c.
#include "http/h1_private.h"

// Spellings that the rule (a capital after every hyphen) does not give.
static const struct bytes exceptions[] = {
    {"DNT", 3},
    {"NEL", 3},
    {"TE", 2},
    {"ETag", 4},
    {"Sec-GPC", 7},
    {"SOAPAction", 10},
    {"Content-MD5", 11},
    {"X-UA-Compatible", 15},
    {"WWW-Authenticate", 16},
    {"X-XSS-Protection", 16},
    {"Sec-WebSocket-Key", 17},
    {"Sec-WebSocket-Accept", 20},
    {"Sec-WebSocket-Version", 21},
    {"Sec-WebSocket-Protocol", 22},
    {"X-DNS-Prefetch-Control", 22},
    {"Sec-WebSocket-Extensions", 24},
};

static const struct bytes *exception_for(struct bytes name) {
    for (size_t i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++)
        if (exceptions[i].len == name.len && bytes_equal_nocase(exceptions[i], name))
            return &exceptions[i];
    return NULL;
}

void h1_title_case(char *to, struct bytes name) {
    const struct bytes *exception = exception_for(name);
    if (exception != NULL) {
        memcpy(to, exception->at, exception->len);
        return;
    }
    bool first = true;
    for (size_t i = 0; i < name.len; i++) {
        char c = ascii_lower(name.at[i]);
        to[i] = first && c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
        first = c == '-';
    }
}
