// What the access log says of parts of a request that documents name: keys as hashes, headers as they are.
#ifndef STREAM_LOG_PARTS_H
#define STREAM_LOG_PARTS_H

#include <stddef.h>

struct stream;

// Longer than the access log lets them be.
#define LOG_PARTS_MAX 256

// Write at most LOG_PARTS_MAX bytes to `text`, no NUL; return their number. What the request lacks is left out.
size_t log_keys_print(struct stream *stream, char text[LOG_PARTS_MAX]);
size_t log_headers_print(const struct stream *stream, char text[LOG_PARTS_MAX]);

#endif
