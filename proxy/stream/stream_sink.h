// How a stream writes back down: to the client's connection (downstream/server_conn), to a filter (subrequest), or to a test.
#ifndef STREAM_STREAM_SINK_H
#define STREAM_STREAM_SINK_H

#include "base/buffer.h"
#include "base/error.h"
#include "http/message.h"

#include <stdbool.h>

struct stream_sink;

struct stream_sink_ops {
    // A 1xx, or the response, once. `end`: nothing follows. Written out at once. False: it was not, and nothing will be: the sink has called stream_on_failed, and of
    // a final head only `done` follows.
    bool (*send_head)(struct stream_sink *sink, const struct head *head, bool end);

    // Takes from `body` what there is room for; the stream is woken when there is room for the rest. `end` and `trailers` as for a codec.
    void (*send_body)(struct stream_sink *sink, struct buffer *body, bool end, const struct fields *trailers);

    // `count` bytes of the request's body have gone on.
    void (*consumed)(struct stream_sink *sink, size_t count);

    // The response cannot be completed: cut it so that the client notices.
    void (*reset)(struct stream_sink *sink, enum error error);

    // The stream is over; last call. The sink calls stream_release once its codec has forgotten the stream (bodies and trailers may still wait in it).
    void (*done)(struct stream_sink *sink);
};

struct stream_sink {
    const struct stream_sink_ops *ops;
};

#endif
