// Records what a codec tells, and asserts that it tells it as http/codec.h says. Checks are CHECKs, so that fuzz targets abort with them too.
#include "support/codec_owner.h"

#include "base/check.h"
#include "base/rng.h"

#include <stdio.h>
#include <stdlib.h>

void text_add(struct text *text, struct bytes more) {
    if (text->len + more.len + 1 > text->capacity) {
        text->capacity = 2 * (text->len + more.len) + 64;
        text->at = realloc(text->at, text->capacity);
        CHECK(text->at != NULL);
    }
    if (more.len > 0)
        memcpy(text->at + text->len, more.at, more.len);
    text->len += more.len;
    text->at[text->len] = '\0';
}

void text_format(struct text *text, const char *format, ...) {
    char *line = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&line, format, arguments);
    va_end(arguments);
    CHECK(length >= 0);
    text_add(text, bytes_from(line, (size_t)length));
    free(line);
}

void text_clear(struct text *text) {
    text->len = 0;
    if (text->at != NULL)
        text->at[0] = '\0';
}

void text_dispose(struct text *text) {
    free(text->at);
    *text = (struct text){0};
}

struct bytes text_bytes(const struct text *text) {
    return bytes_from(text->at, text->len);
}

struct codec_limits codec_owner_limits(void) {
    return (struct codec_limits){
        .headers = 100,
        .header_bytes = 60 * 1024,
        .url_bytes = 8 * 1024,
        .streams = 100,
        .stream_window_first = 64 * 1024,
        .stream_window = 64 * 1024,
        .stream_window_max = 1024 * 1024,
    };
}

void codec_owner_init(struct codec_owner *owner) {
    *owner = (struct codec_owner){0};
    block_source_init(&owner->blocks, 64);
    pool_source_init(&owner->chunks, 64);
    buffer_init(&owner->out, &owner->blocks);
}

static void destroy_stream(struct owner_stream *item) {
    buffer_dispose(&item->sending);
    pool_dispose(&item->pool);
    text_dispose(&item->events);
    text_dispose(&item->body);
    free(item);
}

void codec_owner_dispose(struct codec_owner *owner) {
    owner->codec->ops->dispose(owner->codec);
    owner->codec = NULL;
    while (owner->streams != NULL) {
        struct owner_stream *next = owner->streams->next;
        destroy_stream(owner->streams);
        owner->streams = next;
    }
    buffer_dispose(&owner->out);
    text_dispose(&owner->held);
    text_dispose(&owner->sent);
    block_source_dispose(&owner->blocks);
    pool_source_dispose(&owner->chunks);
}

struct owner_stream *codec_owner_new_stream(struct codec_owner *owner) {
    struct owner_stream *item = calloc(1, sizeof(*item));
    CHECK(item != NULL);
    item->owner = owner;
    pool_init(&item->pool, &owner->chunks);
    buffer_init(&item->sending, &owner->blocks);
    item->stream.pool = &item->pool;
    if (owner->last == NULL)
        owner->streams = item;
    else
        owner->last->next = item;
    owner->last = item;
    owner->count++;
    return item;
}

struct owner_stream *codec_owner_stream(const struct codec_owner *owner, unsigned position) {
    struct owner_stream *item = owner->streams;
    while (item != NULL && position-- > 0)
        item = item->next;
    return item;
}

static struct codec_stream *on_begin(void *user) {
    struct codec_owner *owner = user;
    CHECK(owner->feeding);
    CHECK(owner->codec->role == CODEC_SERVER);
    return owner->refuse ? NULL : &codec_owner_new_stream(owner)->stream;
}

// What holds whenever a callback of a stream comes.
static struct owner_stream *called_for(struct codec_owner *owner, struct codec_stream *stream) {
    struct owner_stream *item = CONTAINER_OF(stream, struct owner_stream, stream);
    CHECK(item->owner == owner);
    CHECK(!item->has_failed);
    CHECK(stream->codec == owner->codec || stream->codec == NULL);
    return item;
}

static void add_fields(struct text *text, const struct fields *fields) {
    uint32_t bytes = 0;
    FIELDS_EACH(fields, field) {
        CHECK(field->id == field_id_of(field->name));
        text_format(text, "%.*s: %.*s\n", BYTES_FORMAT(field->name), BYTES_FORMAT(field->value));
        bytes += (uint32_t)(field->name.len + field->value.len);
    }
    CHECK(bytes == fields->bytes);
}

static void add_flag(struct text *text, bool set, const char *name) {
    if (set)
        text_format(text, " %s", name);
}

static void add_head(struct text *text, enum codec_role role, const struct head *head, bool end) {
    if (role == CODEC_SERVER) {
        struct bytes method = head->method == METHOD_OTHER ? head->method_text : method_text(head->method);
        text_format(text, "head %.*s %.*s %.*s %.*s", BYTES_FORMAT(method), BYTES_FORMAT(head->scheme), BYTES_FORMAT(head->authority),
                    BYTES_FORMAT(head->path));
    } else {
        text_format(text, "head %u %.*s", head->status, BYTES_FORMAT(head->reason));
    }
    text_format(text, " %d length=%lld", (int)head->version, (long long)head->content_length);
    add_flag(text, end, "end");
    add_flag(text, head->expect_continue, "expect");
    add_flag(text, head->te_trailers, "te-trailers");
    if (head->protocol.len > 0)
        text_format(text, " protocol=%.*s", BYTES_FORMAT(head->protocol));
    text_format(text, "\n");
    add_fields(text, &head->fields);
}

static void on_head(void *user, struct codec_stream *stream, bool end) {
    struct codec_owner *owner = user;
    struct owner_stream *item = called_for(owner, stream);
    const struct head *head = &stream->head;
    CHECK(owner->feeding || (codec_is_raw(owner->codec) && owner->sending == stream));
    CHECK(!item->ended && item->pieces == 0);
    bool interim = owner->codec->role == CODEC_CLIENT && head->status < 200 && head->status != 101;
    CHECK(stream->received == (end ? PROGRESS_ENDED : interim ? PROGRESS_HEAD : PROGRESS_BODY));
    item->heads++;
    item->ended = end;
    add_head(&item->events, owner->codec->role, head, end);
}

static void on_body(void *user, struct codec_stream *stream, struct block *block, struct bytes piece) {
    struct codec_owner *owner = user;
    struct owner_stream *item = called_for(owner, stream);
    CHECK(owner->feeding);
    CHECK(item->heads > 0 && !item->ended);
    CHECK(stream->received == PROGRESS_BODY);
    CHECK(piece.len > 0);
    CHECK(piece.at >= block->bytes && piece.at + piece.len <= block->bytes + block->filled);
    item->pieces++;
    item->unconsumed += piece.len;
    text_add(&item->body, piece);
    CHECK(item->body.len == stream->body_received);
}

static void on_end(void *user, struct codec_stream *stream) {
    struct codec_owner *owner = user;
    struct owner_stream *item = called_for(owner, stream);
    CHECK(owner->feeding);
    CHECK(item->heads > 0 && !item->ended);
    CHECK(stream->received == PROGRESS_ENDED);
    item->ended = true;
}

static void on_failed(void *user, struct codec_stream *stream, enum error error) {
    struct codec_owner *owner = user;
    struct owner_stream *item = called_for(owner, stream);
    CHECK(owner->feeding || owner->producing);
    CHECK(error != OK);
    bool reply_may_follow = owner->codec->role == CODEC_SERVER && stream->codec != NULL;
    CHECK(!reply_may_follow || stream->sent == PROGRESS_HEAD);
    item->has_failed = true;
    item->failed = error;
}

static void on_writable(void *user, struct codec_stream *stream) {
    struct codec_owner *owner = user;
    struct owner_stream *item = CONTAINER_OF(stream, struct owner_stream, stream);
    CHECK(item->owner == owner);
    // A stream that sends sees by itself what became of it.
    CHECK(owner->producing || owner->feeding || (owner->sending != NULL && owner->sending != stream));
    // Also behind `failed`, when the reply that may follow it has gone out.
    CHECK(!item->has_failed || codec_stream_is_done(stream));
    item->writables++;
}

const struct codec_handler codec_owner_handler = {
    .begin = on_begin,
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .failed = on_failed,
    .writable = on_writable,
};

static void note(struct codec_owner *owner, enum error error) {
    if (owner->error == OK)
        owner->error = error;
}

static void give_back(struct codec_owner *owner) {
    for (struct owner_stream *item = owner->streams; item != NULL && !owner->keep_body; item = item->next) {
        size_t count = item->unconsumed;
        item->unconsumed = 0;
        if (count > 0 && item->stream.codec != NULL)
            owner->codec->ops->consumed(owner->codec, &item->stream, count);
    }
}

// Feeds one block's worth.
static enum error feed_piece(struct codec_owner *owner, struct bytes in, size_t *used) {
    struct block *block = block_get(&owner->blocks);
    CHECK(in.len <= BLOCK_CAPACITY);
    memcpy(block->bytes, in.at, in.len);
    block->filled = (uint32_t)in.len;
    owner->feeding = true;
    enum error error = owner->codec->ops->feed(owner->codec, block, bytes_from(block->bytes, in.len), used);
    owner->feeding = false;
    CHECK(*used <= in.len);
    // Nobody may count on the bytes once feed has returned.
    if (block->references == 1)
        memset(block->bytes, '~', in.len);
    block_unref(block);
    note(owner, error);
    give_back(owner);
    return error;
}

enum error codec_owner_resume(struct codec_owner *owner) {
    size_t taken = 0;
    enum error error = OK;
    while (taken < owner->held.len && error == OK) {
        size_t length = owner->held.len - taken;
        size_t used = 0;
        if (length > BLOCK_CAPACITY)
            length = BLOCK_CAPACITY;
        error = feed_piece(owner, bytes_from(owner->held.at + taken, length), &used);
        taken += used;
        if (used < length)
            break;
    }
    owner->held.len -= taken;
    if (taken > 0)
        memmove(owner->held.at, owner->held.at + taken, owner->held.len);
    return error;
}

enum error codec_owner_feed(struct codec_owner *owner, struct bytes in) {
    CHECK(in.len > 0);
    text_add(&owner->held, in);
    return codec_owner_resume(owner);
}

enum error codec_owner_feed_end(struct codec_owner *owner) {
    struct block *block = block_get(&owner->blocks);
    size_t used = 0;
    owner->feeding = true;
    enum error error = owner->codec->ops->feed(owner->codec, block, BYTES_NONE, &used);
    owner->feeding = false;
    block_unref(block);
    note(owner, error);
    give_back(owner);
    return error;
}

enum error codec_owner_feed_split(struct codec_owner *owner, struct bytes in, size_t max, struct rng *rng) {
    CHECK(max > 0);
    enum error error = OK;
    while (in.len > 0 && error == OK) {
        size_t length = rng == NULL ? max : 1 + rng_below(rng, (uint32_t)max);
        if (length > in.len)
            length = in.len;
        error = codec_owner_feed(owner, bytes_from(in.at, length));
        in.at += length;
        in.len -= length;
    }
    return error;
}

struct bytes codec_owner_sent(struct codec_owner *owner) {
    text_clear(&owner->sent);
    do {
        while (!buffer_is_empty(&owner->out)) {
            struct bytes front = buffer_front(&owner->out);
            text_add(&owner->sent, front);
            buffer_consume(&owner->out, front.len);
        }
        owner->producing = true;
        note(owner, owner->codec->ops->produce(owner->codec));
        owner->producing = false;
    } while (!buffer_is_empty(&owner->out));
    return text_bytes(&owner->sent);
}

bool owner_stream_resume(struct owner_stream *item) {
    struct codec *codec = item->stream.codec;
    item->owner->sending = &item->stream;
    if (codec != NULL && item->stream.sent == PROGRESS_BODY)
        codec->ops->send_body(codec, &item->stream, &item->sending, item->send_end, item->send_trailers);
    item->owner->sending = NULL;
    return buffer_is_empty(&item->sending);
}

void owner_stream_send(struct owner_stream *item, struct bytes body, bool end, const struct fields *trailers) {
    CHECK(!item->send_end);
    buffer_append(&item->sending, body);
    item->send_end = end;
    item->send_trailers = trailers;
    owner_stream_resume(item);
}

void owner_stream_transcript(const struct owner_stream *item, struct text *to) {
    text_add(to, text_bytes(&item->events));
    if (item->body.len > 0)
        text_format(to, "body %zu ", item->body.len);
    text_add(to, text_bytes(&item->body));
    if (item->body.len > 0)
        text_format(to, "\n");
    if (item->has_failed)
        text_format(to, "failed %s\n", error_name(item->failed));
    else if (item->ended)
        text_format(to, "end\n");
    if (item->ended && item->stream.trailers.count > 0)
        add_fields(to, &item->stream.trailers);
}

void codec_owner_transcript(const struct codec_owner *owner, struct text *to) {
    text_clear(to);
    unsigned number = 1;
    for (const struct owner_stream *item = owner->streams; item != NULL; item = item->next) {
        text_format(to, "stream %u\n", number++);
        owner_stream_transcript(item, to);
    }
}
