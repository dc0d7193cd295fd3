// What an HTTP/1 connection costs in memory: no call of the allocator for a request once warm, and little while idle. Counted by the hooks of
// AddressSanitizer; a build without it has nothing to count with.
#include "base/poison.h"
#include "http/h1_codec.h"
#include "http/headers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#if POISON_ENABLED
// Of the sanitizer's allocator_interface.h, which gcc does not install.
int __sanitizer_install_malloc_and_free_hooks(void (*malloc_hook)(const volatile void *at, size_t size), void (*free_hook)(const volatile void *at));
#endif

static unsigned allocations;
static size_t allocated;

#if POISON_ENABLED
static void on_malloc(const volatile void *at, size_t size) {
    (void)at;
    allocations++;
    allocated += size;
}

static void on_free(const volatile void *at) {
    (void)at;
}
#endif

static void count_allocations(void) {
#if POISON_ENABLED
    static int installed;
    if (installed == 0)
        installed = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
    assert_true(installed > 0);
#else
    skip();
#endif
    allocations = 0;
    allocated = 0;
}

// An owner that calls no allocator itself: one stream, whose pool is given back after each exchange.
struct lean_owner {
    struct codec *codec;
    struct buffer out;
    struct block_source blocks;
    struct pool_source chunks;
    struct pool pool;
    struct codec_stream stream;
    unsigned ended;
};

static struct codec_stream *on_begin(void *user) {
    struct lean_owner *owner = user;
    return &owner->stream;
}

static void on_head(void *user, struct codec_stream *stream, bool end) {
    (void)stream;
    struct lean_owner *owner = user;
    owner->ended += end;
}

static void on_body(void *user, struct codec_stream *stream, struct block *block, struct bytes piece) {
    (void)user;
    (void)stream;
    (void)block;
    (void)piece;
}

static void on_end(void *user, struct codec_stream *stream) {
    (void)stream;
    struct lean_owner *owner = user;
    owner->ended++;
}

static void on_failed(void *user, struct codec_stream *stream, enum error error) {
    (void)user;
    (void)stream;
    fail_msg("%s", error_name(error));
}

static const struct codec_handler handler = {.begin = on_begin, .head = on_head, .body = on_body, .end = on_end, .failed = on_failed};

static void owner_init(struct lean_owner *owner, enum codec_role role) {
    static const struct codec_limits limits = {.headers = 100, .header_bytes = 60 * 1024, .url_bytes = 8 * 1024};
    *owner = (struct lean_owner){0};
    block_source_init(&owner->blocks, 8);
    pool_source_init(&owner->chunks, 8);
    buffer_init(&owner->out, &owner->blocks);
    owner->codec = h1_codec_create(role, &limits, &handler, owner, &owner->out);
}

static void owner_dispose(struct lean_owner *owner) {
    owner->codec->ops->dispose(owner->codec);
    buffer_dispose(&owner->out);
    block_source_dispose(&owner->blocks);
    pool_source_dispose(&owner->chunks);
}

static void stream_begin(struct lean_owner *owner) {
    pool_init(&owner->pool, &owner->chunks);
    owner->stream = (struct codec_stream){.pool = &owner->pool};
}

static void stream_end(struct lean_owner *owner) {
    assert_true(codec_stream_is_done(&owner->stream));
    assert_null(owner->stream.codec);
    pool_dispose(&owner->pool);
}

static void feed(struct lean_owner *owner, struct bytes in) {
    struct block *block = block_get(&owner->blocks);
    size_t used = 0;
    memcpy(block->bytes, in.at, in.len);
    block->filled = (uint32_t)in.len;
    assert_int_equal(owner->codec->ops->feed(owner->codec, block, bytes_from(block->bytes, in.len), &used), OK);
    assert_int_equal(used, in.len);
    block_unref(block);
}

// One request through a server and a client, with its response back: what a proxy does.
static void exchange(struct lean_owner *server, struct lean_owner *client) {
    stream_begin(server);
    stream_begin(client);
    feed(server, BYTES("GET /a HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nUser-Agent: test\r\nX-Request-Id: 1\r\nConnection: keep-alive\r\n\r\n"));
    assert_int_equal(client->codec->ops->send_head(client->codec, &client->stream, &server->stream.head, true), OK);
    buffer_clear(&client->out);
    feed(client, BYTES("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
    struct buffer body;
    buffer_init(&body, &server->blocks);
    buffer_append(&body, BYTES("hello"));
    assert_int_equal(server->codec->ops->send_head(server->codec, &server->stream, &client->stream.head, false), OK);
    server->codec->ops->send_body(server->codec, &server->stream, &body, true, &client->stream.trailers);
    buffer_clear(&server->out);
    stream_end(server);
    stream_end(client);
}

static void warm_exchange_calls_no_allocator(void **state) {
    (void)state;
    struct lean_owner server;
    struct lean_owner client;
    owner_init(&server, CODEC_SERVER);
    owner_init(&client, CODEC_CLIENT);
    for (int i = 0; i < 10; i++)
        exchange(&server, &client);
    count_allocations();
    for (int i = 0; i < 1000; i++)
        exchange(&server, &client);
    assert_int_equal(allocations, 0);
    assert_int_equal(server.ended, 1010);
    assert_int_equal(client.ended, 1010);
    owner_dispose(&server);
    owner_dispose(&client);
}

// Of the 2 KiB that an idle connection may cost, the codec takes one allocation of a quarter.
static void idle_codec_is_small_and_gathers_nothing(void **state) {
    (void)state;
    struct lean_owner server;
    struct lean_owner client;
    count_allocations();
    owner_init(&server, CODEC_SERVER);
    assert_int_equal(allocations, 1);
    assert_true(allocated <= 512);
    owner_init(&client, CODEC_CLIENT);
    exchange(&server, &client);
    assert_int_equal(server.blocks.used, 0);
    assert_int_equal(server.chunks.used, 0);
    owner_dispose(&server);
    owner_dispose(&client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warm_exchange_calls_no_allocator),
        cmocka_unit_test(idle_codec_is_small_and_gathers_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
