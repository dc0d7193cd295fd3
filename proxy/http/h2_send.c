// Heads, bodies and trailers on their way out. A head is handed to nghttp2 by reference and written into the connection's output within the same call,
// so that neither its text nor the list of its fields is copied. A body waits in the stream's own buffer until nghttp2 asks for it, by windows and
// priorities; then its pieces move into the output by reference, behind a frame header of nine bytes.
//
// What HTTP/2 has no place for is left out here, whatever brought it into a head: fields of one connection (RFC 9113 section 8.2.2), white space at
// the ends of values, names in upper case.
#include "http/h2_private.h"

#include "base/check.h"

enum {
    FRAME_HEADER_BYTES = 9,
    PSEUDO_FIELDS_MAX = 5,
    // Pseudo fields, content-length, te and expect: what is made from a head beside its fields.
    ENTRIES_BESIDE_FIELDS = PSEUDO_FIELDS_MAX + 3,
    // What nghttp2 counts for each field when it bounds a head.
    ENTRY_OVERHEAD = 12,
};

// A head being made ready: its entries, and the text that they need and that is nobody's yet.
struct draft {
    struct h2_memory *memory;
    nghttp2_nv *entries;
    size_t count;
    size_t bytes;
    char *text; // where lower-case names go
    char status[3];
    char length[20];
};

// nghttp2 does not write to it.
static uint8_t *unconst(struct bytes text) {
    union {
        const char *given;
        uint8_t *taken;
    } at = {.given = text.at};
    return at.taken;
}

static void draft_add(struct draft *draft, struct bytes name, struct bytes value, uint8_t flags) {
    draft->entries[draft->count++] = (nghttp2_nv){
        .name = unconst(name),
        .namelen = name.len,
        .value = unconst(value),
        .valuelen = value.len,
        .flags = flags,
    };
    draft->bytes += name.len + value.len + ENTRY_OVERHEAD;
}

static void draft_add_now(struct draft *draft, struct bytes name, struct bytes value) {
    draft_add(draft, name, value, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE);
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static struct bytes trimmed(struct bytes value) {
    if (value.len > 0 && (is_blank(value.at[0]) || is_blank(value.at[value.len - 1])))
        return bytes_trim(value);
    return value;
}

static bool has_upper_case(struct bytes name) {
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] >= 'A' && name.at[i] <= 'Z')
            return true;
    return false;
}

static struct bytes lower_name(struct draft *draft, const struct field *field) {
    if (draft->memory->lower_names[field->id].len > 0)
        return draft->memory->lower_names[field->id];
    if (!has_upper_case(field->name))
        return field->name;
    struct bytes lower = bytes_from(draft->text, field->name.len);
    for (size_t i = 0; i < field->name.len; i++)
        draft->text[i] = ascii_lower(field->name.at[i]);
    draft->text += field->name.len;
    return lower;
}

// What is said elsewhere (Host, Content-Length, TE) or belongs to a connection that HTTP/2 does not have. A name that could be taken for a pseudo
// field is none of a field.
static bool is_left_out(const struct field *field) {
    switch (field->id) {
    case FIELD_HOST:
    case FIELD_CONTENT_LENGTH:
    case FIELD_CONNECTION:
    case FIELD_KEEP_ALIVE:
    case FIELD_PROXY_CONNECTION:
    case FIELD_TE:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_UPGRADE:
        return true;
    default:
        return field->name.len == 0 || field->name.at[0] == ':';
    }
}

static void draft_begin(struct draft *draft, struct h2_memory *memory, const struct fields *fields) {
    draft->memory = memory;
    draft->entries = h2_memory_entries(memory, fields->count + ENTRIES_BESIDE_FIELDS);
    draft->count = 0;
    draft->bytes = ENTRY_OVERHEAD;
    // Names all together are shorter than names and values.
    draft->text = h2_memory_text(memory, fields->bytes);
}

// Values that are new with each request: in HPACK's table they would only push out what comes again, at the price of an entry made and dropped on
// either end. (nghttp2 knows the like of :path and content-length itself.)
static bool is_of_one_request(const struct field *field) {
    switch (field->id) {
    case FIELD_X_REQUEST_ID:
    case FIELD_GRPC_TIMEOUT:
    case FIELD_GRPC_MESSAGE:
    case FIELD_X_REQUEST_TIMEOUT_MS:
    case FIELD_TRACEPARENT:
    case FIELD_B3:
        return true;
    default:
        return false;
    }
}

static uint8_t entry_flags(const struct field *field) {
    return field->never_indexed || is_of_one_request(field) ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
}

static void draft_add_fields(struct draft *draft, const struct head *head) {
    FIELDS_EACH(&head->fields, field) {
        if (!is_left_out(field) && !(field->id == FIELD_EXPECT && head->expect_continue))
            draft_add(draft, lower_name(draft, field), trimmed(field->value),
                      NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE | entry_flags(field));
    }
    if (head->te_trailers)
        draft_add_now(draft, BYTES("te"), BYTES("trailers"));
    if (head->expect_continue)
        draft_add_now(draft, BYTES("expect"), BYTES("100-continue"));
}

static void draft_add_content_length(struct draft *draft, int64_t length) {
    if (length < 0)
        return;
    char *end = draft->length + sizeof(draft->length);
    char *at = end;
    for (uint64_t rest = (uint64_t)length; at == end || rest > 0; rest /= 10)
        *--at = (char)('0' + rest % 10);
    draft_add_now(draft, BYTES("content-length"), bytes_from(at, (size_t)(end - at)));
}

static void draft_request(struct draft *draft, const struct head *head) {
    const bool extended = head->protocol.len > 0;
    draft_add_now(draft, BYTES(":method"), extended ? BYTES("CONNECT") : head->method_text);
    draft_add_now(draft, BYTES(":scheme"), head->scheme);
    if (head->authority.len > 0)
        draft_add_now(draft, BYTES(":authority"), head->authority);
    draft_add_now(draft, BYTES(":path"), head->path);
    if (extended)
        draft_add_now(draft, BYTES(":protocol"), head->protocol);
    draft_add_content_length(draft, head->content_length);
    draft_add_fields(draft, head);
}

static void draft_response(struct draft *draft, const struct head *head) {
    CHECK(head->status >= 100 && head->status <= 599);
    const unsigned status = head->status == 101 ? 200 : head->status; // HTTP/2 has no 101 (RFC 9113 section 8.6): a tunnel opens with 2xx
    draft->status[0] = (char)('0' + status / 100);
    draft->status[1] = (char)('0' + status / 10 % 10);
    draft->status[2] = (char)('0' + status % 10);
    draft_add_now(draft, BYTES(":status"), bytes_from(draft->status, sizeof(draft->status)));
    if (head->status >= 200 && head->status != 204)
        draft_add_content_length(draft, head->content_length);
    draft_add_fields(draft, head);
}

static enum error error_of(int code) {
    return code == NGHTTP2_ERR_NOMEM ? ERROR_NO_MEMORY : ERROR_INTERNAL;
}

// The head's text is borrowed until it is written: it must be, now.
static enum error write_head(struct h2_codec *codec, struct codec_stream *stream) {
    const int32_t id = (int32_t)stream->id;
    codec->sending = stream;
    h2_write_head(codec, id);
    codec->sending = NULL;
    // nghttp2 keeps heads back for reasons that were all looked at before. Were there one more, nothing of the session may be written any more.
    if (codec->head_written != id)
        h2_fail(codec, ERROR_INTERNAL);
    return codec->failure;
}

static enum error send_request(struct h2_codec *codec, struct codec_stream *stream, const struct head *head, struct draft *draft, bool end) {
    if (codec->base.refuses_new || codec->base.streams_open >= codec->base.streams_max)
        return ERROR_FULL;
    // Numbers run out after 2^30 requests; or nghttp2 knows of an end that we do not.
    if (!nghttp2_session_check_request_allowed(codec->session)) {
        codec->base.refuses_new = true;
        return ERROR_FULL;
    }
    if (head->protocol.len > 0 && !codec->base.peer_has_connect_protocol)
        return ERROR_UPGRADE_FAILED;
    CHECK(head->path.len > 0 && head->method_text.len > 0);
    CHECK(head->protocol.len == 0 || !end);
    int32_t id =
        nghttp2_submit_headers(codec->session, end ? NGHTTP2_FLAG_END_STREAM : NGHTTP2_FLAG_NONE, -1, NULL, draft->entries, draft->count, stream);
    if (id < 0) {
        h2_fail(codec, error_of(id));
        return codec->failure;
    }
    stream->method = head->method;
    stream->tunnel = head->protocol.len > 0 ? TUNNEL_ASKED : TUNNEL_NONE;
    h2_stream_begin(codec, stream, id);
    stream->sent = end ? PROGRESS_ENDED : PROGRESS_BODY;
    return write_head(codec, stream);
}

static enum error send_response(struct h2_codec *codec, struct codec_stream *stream, const struct head *head, struct draft *draft, bool end) {
    CHECK(stream->codec == &codec->base);
    CHECK(stream->sent == PROGRESS_HEAD);
    const bool opens = head->status == 101;
    const bool final = head->status >= 200 || opens;
    CHECK(!opens || (stream->tunnel == TUNNEL_ASKED && !end));
    // What is no 101 must not look like one: the client would take the body for the tunnel.
    if (stream->tunnel == TUNNEL_ASKED && head->status / 100 == 2)
        return ERROR_INTERNAL;
    CHECK(final || !end);
    int result = nghttp2_submit_headers(codec->session, end ? NGHTTP2_FLAG_END_STREAM : NGHTTP2_FLAG_NONE, (int32_t)stream->id, NULL, draft->entries,
                                        draft->count, NULL);
    if (result != 0) {
        h2_fail(codec, error_of(result));
        return codec->failure;
    }
    if (final && !end)
        stream->sent = PROGRESS_BODY;
    if (final)
        stream->tunnel = opens ? TUNNEL_OPEN : TUNNEL_NONE;
    return write_head(codec, stream);
}

enum error h2_send_head(struct codec *base, struct codec_stream *stream, const struct head *head, bool end) {
    struct h2_codec *codec = CONTAINER_OF(base, struct h2_codec, base);
    CHECK(codec->block == NULL && !codec->producing);
    const bool client = base->role == CODEC_CLIENT;
    if (codec->finished || codec->failure != OK)
        return client ? ERROR_FULL : ERROR_CONNECTION_RESET;
    struct draft draft;
    draft_begin(&draft, codec->memory, &head->fields);
    if (client)
        draft_request(&draft, head);
    else
        draft_response(&draft, head);
    if (draft.bytes > base->limits.header_bytes + H2_HEAD_ADDED_BYTES)
        return ERROR_HEADERS_TOO_LARGE;
    return client ? send_request(codec, stream, head, &draft, end) : send_response(codec, stream, head, &draft, end);
}

// --- bodies and trailers ---

// They are written later, when nghttp2 comes to them: names that it has to lower are copied by it, values live until the stream is done.
static int submit_trailers(struct h2_codec *codec, struct codec_stream *stream) {
    struct draft draft;
    draft_begin(&draft, codec->memory, stream->out_trailers);
    FIELDS_EACH(stream->out_trailers, field) {
        if (!is_left_out(field))
            draft_add(&draft, field->name, trimmed(field->value), NGHTTP2_NV_FLAG_NO_COPY_VALUE | entry_flags(field));
    }
    return nghttp2_submit_trailer(codec->session, (int32_t)stream->id, draft.entries, draft.count);
}

static bool has_trailers(const struct codec_stream *stream) {
    if (stream->out_trailers == NULL)
        return false;
    FIELDS_EACH(stream->out_trailers, field) {
        if (!is_left_out(field))
            return true;
    }
    return false;
}

// nghttp2 asks how much the next DATA frame may hold: at most `size`.
static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *at, size_t size, uint32_t *flags, nghttp2_data_source *source, void *user) {
    (void)session;
    (void)at;
    (void)source;
    struct h2_codec *codec = user;
    if (codec->hold_bodies || codec->base.out->length >= LIMIT_OUTPUT_BYTES)
        return NGHTTP2_ERR_PAUSE;
    struct codec_stream *stream = h2_stream_of(codec, id);
    if (stream == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t waiting = stream->out.length;
    if (waiting == 0 && !stream->out_end) {
        stream->out_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (waiting > size)
        return (ssize_t)size;
    if (stream->out_end) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (has_trailers(stream)) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            if (submit_trailers(codec, stream) != 0)
                return NGHTTP2_ERR_CALLBACK_FAILURE;
        }
    }
    return (ssize_t)waiting;
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *frame_header, size_t length, nghttp2_data_source *source,
                        void *user) {
    (void)session;
    (void)source;
    struct h2_codec *codec = user;
    struct codec_stream *stream = h2_stream_of(codec, frame->hd.stream_id);
    CHECK(stream != NULL && frame->data.padlen == 0);
    buffer_append(codec->base.out, h2_text(frame_header, FRAME_HEADER_BYTES));
    size_t moved = buffer_move(codec->base.out, &stream->out, length);
    CHECK(moved == length);
    codec->written += FRAME_HEADER_BYTES + length;
    stream->body_sent += length;
    if (length > 0)
        codec->barren_frames = 0;
    if (stream->out_short && stream->out.length <= H2_STREAM_OUT_BYTES / 2) {
        stream->out_short = false;
        codec->base.handler->writable(codec->base.owner, stream);
    }
    return 0;
}

// The last frame of a message: what the peer still sends of its own is not wanted any more (RFC 9113 section 8.1).
static void end_sent(struct h2_codec *codec, struct codec_stream *stream) {
    stream->sent = PROGRESS_ENDED;
    const int32_t id = (int32_t)stream->id;
    if (codec->base.role == CODEC_SERVER && stream->received != PROGRESS_ENDED && stream->tunnel != TUNNEL_OPEN) {
        if (nghttp2_session_get_stream_remote_close(codec->session, id) == 0)
            (void)nghttp2_submit_rst_stream(codec->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
        stream->received = PROGRESS_BROKEN;
    }
    if (!codec_stream_is_done(stream))
        return;
    h2_stream_forget(codec, stream);
    if (stream != codec->sending)
        codec->base.handler->writable(codec->base.owner, stream);
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    (void)session;
    struct h2_codec *codec = user;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        codec->base.refuses_new = true;
        // nghttp2 found the connection lost. INTERNAL_ERROR is its limit on resets, which lets open streams finish.
        if (frame->goaway.error_code != NGHTTP2_NO_ERROR && frame->goaway.error_code != NGHTTP2_INTERNAL_ERROR)
            h2_fail(codec, frame->goaway.error_code == NGHTTP2_ENHANCE_YOUR_CALM ? ERROR_FLOOD : ERROR_PROTOCOL);
        return 0;
    }
    if (frame->hd.type == NGHTTP2_RST_STREAM)
        h2_note_own_reset(codec, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_HEADERS)
        codec->head_written = frame->hd.stream_id;
    else if (frame->hd.type != NGHTTP2_DATA)
        return 0;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return 0;
    struct codec_stream *stream = h2_stream_of(codec, frame->hd.stream_id);
    if (stream != NULL)
        end_sent(codec, stream);
    return 0;
}

// What other streams have ready may go with it.
static void write_at_once(struct h2_codec *codec, struct codec_stream *stream) {
    codec->sending = stream;
    h2_write_all(codec);
    codec->sending = NULL;
}

void h2_send_body(struct codec *base, struct codec_stream *stream, struct buffer *body, bool end, const struct fields *trailers) {
    struct h2_codec *codec = CONTAINER_OF(base, struct h2_codec, base);
    CHECK(codec->block == NULL && !codec->producing);
    CHECK(stream->codec == base);
    CHECK(stream->sent == PROGRESS_BODY && stream->tunnel != TUNNEL_ASKED);
    if (stream->out_end) { // all was taken before and only waits
        CHECK(buffer_is_empty(body));
        return;
    }
    size_t moved = 0;
    const size_t bound = buffer_bound(&stream->out, H2_STREAM_OUT_BYTES);
    if (stream->out.length < bound)
        moved = buffer_move(&stream->out, body, bound - stream->out.length);
    stream->out_short = !buffer_is_empty(body);
    if (end && !stream->out_short) {
        stream->out_end = true;
        stream->out_trailers = trailers;
    }
    if ((moved == 0 && !stream->out_end) || codec->finished || codec->failure != OK)
        return;
    const nghttp2_data_provider provider = {.read_callback = on_read};
    int result = 0;
    if (!stream->out_submitted) {
        stream->out_submitted = true;
        result = nghttp2_submit_data(codec->session, NGHTTP2_FLAG_END_STREAM, (int32_t)stream->id, &provider);
    } else if (stream->out_deferred) {
        stream->out_deferred = false;
        result = nghttp2_session_resume_data(codec->session, (int32_t)stream->id);
    }
    if (result != 0)
        h2_fail(codec, error_of(result));
    else if (stream->out_end && stream->out.length <= H2_BODY_AT_ONCE_BYTES)
        write_at_once(codec, stream);
}

void h2_set_send_callbacks(nghttp2_session_callbacks *callbacks) {
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
}
