// What the tests of client connections share: documents of a proxy with both kinds of listener and one service, and servers that answer by themselves.
#ifndef TESTS_DOWNSTREAM_NEAR_DRIVE_H
#define TESTS_DOWNSTREAM_NEAR_DRIVE_H

#include "support/fake_downstream.h"
#include "unit/stream/stream_drive.h"

// A server that answers each request, once it is complete, with its path as body.
static inline void serve_paths(struct far_conn *conn, void *user) {
    (void)user;
    for (struct owner_stream *request = conn->server.streams; request != NULL; request = request->next) {
        if (!request->ended || request->stream.codec == NULL || request->stream.sent != PROGRESS_HEAD)
            continue;
        struct codec *codec = conn->server.codec;
        struct bytes path = request->stream.head.path;
        struct head head;
        head_init(&head, &request->pool);
        head.version = codec->version;
        head.status = 200;
        head.content_length = (int64_t)path.len;
        enum error error = codec->ops->send_head(codec, &request->stream, &head, false);
        CHECK(error == OK);
        owner_stream_send(request, path, true, NULL);
    }
}

#endif
