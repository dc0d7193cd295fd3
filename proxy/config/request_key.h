// What requests are told apart by, as documents say it: `key: [{type: Header, name: x-tenant-id}]`. One language for balancers, limits and bulkheads; what it is of a
// request is in stream/request_key.
#ifndef CONFIG_REQUEST_KEY_H
#define CONFIG_REQUEST_KEY_H

#include "base/bytes.h"

#include <stdint.h>

struct table;
struct document;
struct node;

enum request_key_type {
    KEY_CLIENT_ADDRESS,
    KEY_IDENTITY,
    KEY_HEADER,
    KEY_COOKIE,
    KEY_QUERY,
    KEY_CLAIM,
    KEY_PATH,
    KEY_METHOD,
};

struct request_key_part {
    enum request_key_type type;
    struct bytes name; // of the header, cookie, parameter or claim; else empty
};

// All parts together; none: there is no key. As a row: VALUE_LIST of request_key_table.
struct request_key {
    struct request_key_part *parts;
    uint32_t count;
};

// More parts than anybody needs.
#define REQUEST_KEY_PARTS_MAX 8

extern const struct table request_key_table;

// The word that documents have for it.
const char *request_key_type_name(enum request_key_type type);

// The rules between the fields of a part, of a key or of whatever else names something of a request.
void request_key_part_check(struct document *document, const struct request_key_part *part, const struct node *node);

// The same of all parts; `list` is the key's node, may be NULL.
void request_key_check(struct document *document, const struct request_key *key, const struct node *list);

#endif
