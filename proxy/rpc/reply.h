// What a reply of the HTTP server looks like: its head, and the short texts that it answers by itself where a request cannot be handed over. Used by connection.c alone;
// what proxied traffic is told stands in stream/error_reply.
#ifndef RPC_REPLY_H
#define RPC_REPLY_H

#include "base/buffer.h"
#include "base/error.h"
#include "http/message.h"

struct reply {
    uint16_t status;      // 0: none yet
    struct bytes type;    // a constant; empty: no body
    struct fields fields; // further ones
};

// The status and the text for a request that failed with `error`.
void reply_set_error(struct reply *reply, enum error error, struct buffer *body);

// With a body of `length` bytes; -1: not known. The head is valid as long as `pool`.
void reply_fill_head(const struct reply *reply, struct pool *pool, int64_t length, struct head *head);

#endif
