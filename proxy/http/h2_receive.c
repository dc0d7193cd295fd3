// What nghttp2 tells of the frames received, but for header blocks (h2_head.c): DATA becomes pieces of body; resets, SETTINGS and GOAWAY change what the
// codec says of streams and connection; and what carries nothing, or takes back what it began, is counted until it is too much.
#include "http/h2_private.h"
#include "http/h2_window.h"

#include "base/check.h"

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *at, size_t length, void *user) {
    (void)flags;
    struct h2_codec *codec = user;
    h2_window_data(codec);
    if (codec->failure != OK || nghttp2_session_consume_connection(session, length) != 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    struct codec_stream *stream = h2_stream_of(codec, id);
    if (stream == NULL || stream->received != PROGRESS_BODY)
        return 0;
    stream->body_received += length;
    codec->base.handler->body(codec->base.owner, stream, codec->block, h2_text(at, length));
    return 0;
}

static void settings_received(struct h2_codec *codec) {
    uint32_t streams = nghttp2_session_get_remote_settings(codec->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    codec->base.streams_max = streams < codec->base.limits.streams ? streams : codec->base.limits.streams;
    codec->base.peer_is_known = true;
    codec->base.peer_has_connect_protocol = nghttp2_session_get_remote_settings(codec->session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

static int on_frame_received(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    (void)session;
    struct h2_codec *codec = user;
    if (codec->failure != OK)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    struct codec_stream *stream;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        h2_fields_complete(codec, end);
        break;
    case NGHTTP2_DATA:
        stream = end ? h2_stream_of(codec, frame->hd.stream_id) : NULL;
        if (stream != NULL && stream->received == PROGRESS_BODY)
            h2_message_complete(codec, stream);
        break;
    case NGHTTP2_RST_STREAM:
        codec->reset_by_peer = frame->hd.stream_id; // on_stream_close comes next
        break;
    case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
            settings_received(codec);
        break;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
            codec->base.pings_outstanding = 0; // any answer is a sign of life
            h2_window_ping_answered(codec, frame->ping.opaque_data);
        }
        break;
    case NGHTTP2_GOAWAY:
        codec->base.refuses_new = true; // the streams above its last id are closed next
        break;
    default:
        break;
    }
    return codec->failure == OK ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

// nghttp2 counts the streams that are open, and refuses one too many; where the peer has acknowledged the limit, the connection with it.
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user) {
    struct h2_codec *codec = user;
    // One that is refused never is a stream of nghttp2's: what follows on it may come before RST_STREAM goes.
    if (frame->hd.type == NGHTTP2_HEADERS)
        h2_note_own_reset(codec, frame->hd.stream_id);
    bool begins =
        codec->base.role == CODEC_SERVER && frame->hd.type == NGHTTP2_HEADERS && nghttp2_session_find_stream(session, frame->hd.stream_id) == NULL;
    bool all_open = codec->base.streams_open >= codec->base.limits.streams;
    if (begins && all_open && (error == NGHTTP2_ERR_REFUSED_STREAM || error == NGHTTP2_ERR_PROTO))
        codec->base.streams_refused++;
    return 0;
}

static bool may_be_reset(const struct h2_codec *codec, int32_t id) {
    if (id <= codec->own_resets_gone)
        return true;
    for (size_t i = 0; i < H2_OWN_RESETS_KEPT; i++)
        if (codec->own_resets[i] == id)
            return true;
    return false;
}

void h2_note_own_reset(struct h2_codec *codec, int32_t id) {
    if (codec->base.role != CODEC_SERVER || may_be_reset(codec, id))
        return;
    int32_t *place = &codec->own_resets[codec->own_resets_count++ % H2_OWN_RESETS_KEPT];
    if (*place > codec->own_resets_gone)
        codec->own_resets_gone = *place;
    *place = id;
}

// A client's HEADERS on a stream that it has ended itself, or has passed over when it began a later one (RFC 9113 sections 5.1 and 5.1.1). nghttp2 skips
// them, since it does not remember whether they were on their way when we reset the stream; after GOAWAY we do not either. Which of the two it was nobody remembers:
// PROTOCOL_ERROR is said of both. (nghttp2 still knows a stream that PRIORITY has named and that was passed over: there it skips.)
static bool is_on_ended_stream(struct h2_codec *codec, int32_t id) {
    if (id > codec->begun_last) {
        codec->begun_last = id;
        return false;
    }
    return !codec->base.refuses_new && nghttp2_session_find_stream(codec->session, id) == NULL && !may_be_reset(codec, id);
}

// Every frame but CONTINUATION, DATA of streams that are gone and unknown ones, which nghttp2 skips at the cost of their bytes.
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *frame, void *user) {
    (void)session;
    struct h2_codec *codec = user;
    switch (frame->type) {
    case NGHTTP2_PUSH_PROMISE: // before our SETTINGS are acknowledged nghttp2 would only refuse it
        h2_fail(codec, ERROR_PROTOCOL);
        break;
    case NGHTTP2_DATA:
        if (frame->length > 0 || (frame->flags & NGHTTP2_FLAG_END_STREAM) != 0)
            codec->barren_frames = 0;
        else
            codec->barren_frames++;
        break;
    case NGHTTP2_PING:       // bounded by its answers
    case NGHTTP2_RST_STREAM: // and this by what it ends
    case NGHTTP2_CONTINUATION:
        break;
    case NGHTTP2_HEADERS: // one that somebody waits for sets this back
        codec->barren_frames++;
        if (codec->base.role == CODEC_SERVER && is_on_ended_stream(codec, frame->stream_id))
            h2_fail(codec, ERROR_PROTOCOL);
        break;
    default:
        codec->barren_frames++;
        break;
    }
    if (codec->barren_frames > H2_BARREN_FRAMES_MAX)
        h2_fail(codec, ERROR_FLOOD);
    return codec->failure == OK ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

// --- ends of streams ---

static void count_closed(struct h2_codec *codec, bool early) {
    codec->closed_streams++;
    if (early)
        codec->closed_early++;
    if (codec->closed_early >= H2_EARLY_RESETS_MAX && codec->closed_early > codec->closed_streams / 4 * 3)
        h2_fail(codec, ERROR_FLOOD);
    if (codec->closed_streams >= H2_CLOSED_STREAMS_WINDOW) {
        codec->closed_streams /= 2;
        codec->closed_early /= 2;
    }
}

static enum error close_error(const struct h2_codec *codec, const struct codec_stream *stream, uint32_t code, bool by_peer) {
    if (codec->base.role == CODEC_SERVER)
        return by_peer ? ERROR_CLIENT_GONE : ERROR_BAD_REQUEST;
    // Refused, or above GOAWAY's last id. Whoever has begun to answer has not refused.
    if (code == NGHTTP2_REFUSED_STREAM && stream->received == PROGRESS_HEAD && stream->informational == 0)
        return ERROR_REFUSED_STREAM;
    return by_peer || code == NGHTTP2_REFUSED_STREAM ? ERROR_UPSTREAM_RESET : ERROR_RESPONSE_MALFORMED;
}

// Comes for every stream of nghttp2's; those that ended in order, or by reset(), are forgotten by then.
static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user) {
    (void)session;
    struct h2_codec *codec = user;
    const bool by_peer = codec->reset_by_peer == id;
    codec->reset_by_peer = 0;
    struct codec_stream *stream = h2_stream_of(codec, id);
    if (codec->base.role == CODEC_SERVER)
        count_closed(codec, stream != NULL && stream->sent == PROGRESS_HEAD);
    if (stream == NULL || codec->failure != OK)
        return 0;
    const enum error error = close_error(codec, stream, code, by_peer);
    const bool answered = codec->base.role == CODEC_CLIENT && stream->received == PROGRESS_ENDED;
    const bool refused = stream->received == PROGRESS_BROKEN; // the owner was told before
    if (!answered)
        stream->received = PROGRESS_BROKEN;
    stream->sent = PROGRESS_BROKEN;
    h2_stream_forget(codec, stream);
    if (answered || refused || codec->block == NULL)
        codec->base.handler->writable(codec->base.owner, stream);
    else
        codec->base.handler->failed(codec->base.owner, stream, error);
    return 0;
}

void h2_set_receive_callbacks(nghttp2_session_callbacks *callbacks) {
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_received);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
}
