// What a request is by a key of the documents (config/request_key.h): one number, the same in every proxy and after every restart.
#ifndef STREAM_REQUEST_KEY_H
#define STREAM_REQUEST_KEY_H

#include "config/request_key.h"

struct stream;

// The hash over all parts, in their order. False when the request lacks one of them. Only once the request's head has arrived; a stream that has none lacks all that
// would be in it.
bool request_key_hash(const struct request_key *key, struct stream *stream, uint64_t *hash);

// The same for limits, which who sends a request would like to escape: a number of this process alone, that nobody outside can aim at; and a part that stands more than once, or a header that
// stands with `_` for `-` beside it, is none: what reads the request may take either.
bool request_key_hash_guarded(const struct request_key *key, struct stream *stream, uint64_t *hash);

// What it is of a key of one part whose value is a text, as guarded: of a claim with several values the last. False as above.
bool request_key_value_guarded(const struct request_key *key, struct stream *stream, struct bytes *value);

// One part of a key by itself, guarded in the same way.
bool request_key_part_hash(const struct request_key_part *part, struct stream *stream, uint64_t *hash);
// And of a key of one part, no ClientAddress, whose text in the request is this.
uint64_t request_key_hash_guarded_text(struct bytes text);

#endif
