// Asks a running proxy for a page of its admin listener: one request, one reply, blocking. For commands of people.
#ifndef CLI_ADMIN_CLIENT_H
#define CLI_ADMIN_CLIENT_H

#include "base/bytes.h"

#include <stdbool.h>

struct admin_answer {
    unsigned status;
    struct bytes body; // owned: bytes_drop
};

// `where`: "127.0.0.1:15000", "[::1]:15000" or "unix:/path". `target`: path and query, escaped. False: nothing came that is an answer; `error` says why, in a line.
bool admin_get(const char *where, const char *target, struct admin_answer *answer, char *error, size_t error_size);

// Where a reply of status 200 that goes on goes.
struct admin_follower {
    int output;                                     // a file descriptor
    void (*passed)(void *user, struct bytes piece); // it went there
    void *user;
    int stop_signal; // ends it, also while nobody takes what is put out
};

// The same, of such a page: `answer` then has the status alone. Other replies come whole, as above. `*stopped`: by that signal. False also where the output failed.
bool admin_follow(const char *where, const char *target, const struct admin_follower *follower, struct admin_answer *answer, bool *stopped,
                  char *error, size_t error_size);

#endif
