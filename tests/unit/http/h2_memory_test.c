// The allocator that nghttp2 is given, and that a warm connection asks the system for nothing: calls of malloc are counted over 1,000 requests.
#include "h2_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static nghttp2_mem *allocator_of(struct h2_memory *memory) {
    return &memory->allocator;
}

static void pieces_of_every_size_are_usable_and_come_back(void **state) {
    (void)state;
    struct h2_memory *memory = h2_memory_create(&no_time);
    nghttp2_mem *mem = allocator_of(memory);
    for (unsigned round = 0; round < 3; round++) {
        for (size_t size = 0; size <= 2 * H2_PIECE_MAX; size += 1 + size / 50) {
            unsigned char *at = mem->malloc(size, mem->mem_user_data);
            assert_non_null(at);
            assert_int_equal((uintptr_t)at % _Alignof(max_align_t), 0);
            memset(at, 0xee, size);
            unsigned char *zeroed = mem->calloc(1, size, mem->mem_user_data);
            assert_non_null(zeroed);
            for (size_t i = 0; i < size; i++)
                assert_int_equal(zeroed[i], 0);
            mem->free(at, mem->mem_user_data);
            mem->free(zeroed, mem->mem_user_data);
        }
        assert_int_equal(memory->pieces_used, 0);
    }
    h2_memory_destroy(memory);
}

static void freed_pieces_are_used_again(void **state) {
    (void)state;
    struct h2_memory *memory = h2_memory_create(&no_time);
    nghttp2_mem *mem = allocator_of(memory);
    void *first = mem->malloc(100, mem->mem_user_data);
    mem->free(first, mem->mem_user_data);
    uint64_t allocations = memory->allocations;
    void *second = mem->malloc(120, mem->mem_user_data); // of the same step of 32
    assert_ptr_equal(first, second);
    assert_int_equal(memory->allocations, allocations);
    mem->free(second, mem->mem_user_data);
    mem->free(NULL, mem->mem_user_data);
    h2_memory_destroy(memory);
}

static void lists_keep_no_more_than_their_bound(void **state) {
    (void)state;
    enum { COUNT = 2 * 131072 / 512 };
    struct h2_memory *memory = h2_memory_create(&no_time);
    nghttp2_mem *mem = allocator_of(memory);
    void *pieces[COUNT];
    for (unsigned i = 0; i < COUNT; i++)
        pieces[i] = mem->malloc(512, mem->mem_user_data);
    for (unsigned i = 0; i < COUNT; i++)
        mem->free(pieces[i], mem->mem_user_data);
    uint64_t allocations = memory->allocations;
    for (unsigned i = 0; i < COUNT; i++)
        pieces[i] = mem->malloc(512, mem->mem_user_data);
    assert_int_equal(memory->allocations - allocations, COUNT - H2_LIST_BYTES / 512);
    for (unsigned i = 0; i < COUNT; i++)
        mem->free(pieces[i], mem->mem_user_data);
    h2_memory_destroy(memory);
}

static void reallocation_keeps_what_was_there(void **state) {
    (void)state;
    struct h2_memory *memory = h2_memory_create(&no_time);
    nghttp2_mem *mem = allocator_of(memory);
    char *at = NULL;
    for (size_t size = 1; size < 20000; size += size) {
        at = mem->realloc(at, size, mem->mem_user_data);
        assert_non_null(at);
        at[size - 1] = 'x';
        for (size_t i = 1; i < size; i += i)
            assert_int_equal(at[i - 1], 'x');
    }
    at = mem->realloc(at, 4, mem->mem_user_data);
    assert_int_equal(at[3], 'x');
    mem->free(at, mem->mem_user_data);
    h2_memory_destroy(memory);
}

// What a peer chose the size of may be refused: the connection ends, no more.
static void lack_of_memory_for_a_large_frame_ends_the_connection(void **state) {
    (void)state;
    struct h2_drive drive;
    h2_drive_start(&drive, CODEC_SERVER);
    char value[6000];
    memset(value, 'v', sizeof(value));
    struct text block = {0};
    h2_block(&block, ":method: GET\n:scheme: http\n:authority: example.org\n:path: /\n");
    text_add(&block, BYTES("\0\1x\177\361\055")); // 127 + 113 + 45 * 128 = 6000
    text_add(&block, bytes_from(value, sizeof(value)));
    h2_frame(&drive.wire, NGHTTP2_HEADERS, H2_END_HEADERS | H2_END_STREAM, 1, text_bytes(&block));
    try_alloc_fail_after(1);
    assert_int_equal(h2_drive_feed(&drive), ERROR_NO_MEMORY);
    try_alloc_fail_after(0);
    assert_non_null(strstr(h2_drive_sent(&drive), " INTERNAL_ERROR\n"));
    assert_true(h2_drive_codec(&drive)->close_when_flushed);
    text_dispose(&block);
    h2_drive_dispose(&drive);
}

// --- calls of malloc ---

static uint64_t mallocs;
static uint64_t malloc_bytes;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *at, size_t size), void (*on_free)(const volatile void *at));

static void on_malloc(const volatile void *at, size_t size) {
    (void)at;
    mallocs++;
    malloc_bytes += size;
}

static void on_free(const volatile void *at) {
    (void)at;
}

static void count_mallocs(void) {
    static bool counting;
    if (!counting)
        assert_true(__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) > 0);
    counting = true;
}
#else
// Stands in front of the C library's, for nghttp2 and all else.
void *__libc_malloc(size_t size);

void *malloc(size_t size) {
    mallocs++;
    malloc_bytes += size;
    return __libc_malloc(size);
}

static void count_mallocs(void) {}
#endif

// The owner of a proxy's kind: streams and pools of its own, nothing recorded.
struct warm {
    struct codec_stream client;
    struct codec_stream server;
    struct pool client_pool;
    struct pool server_pool;
    bool request_ended;
    bool response_ended;
};

static struct codec_stream *warm_begin(void *user) {
    return &((struct warm *)user)->server;
}

static void warm_head(void *user, struct codec_stream *stream, bool end) {
    struct warm *warm = user;
    if (end && stream == &warm->server)
        warm->request_ended = true;
}

static void warm_body(void *user, struct codec_stream *stream, struct block *block, struct bytes piece) {
    (void)user;
    (void)stream;
    (void)block;
    (void)piece;
}

static void warm_end(void *user, struct codec_stream *stream) {
    struct warm *warm = user;
    if (stream == &warm->client)
        warm->response_ended = true;
    else
        warm->request_ended = true;
}

static void warm_failed(void *user, struct codec_stream *stream, enum error error) {
    (void)user;
    (void)stream;
    (void)error;
    CHECK(!"fails");
}

static void warm_writable(void *user, struct codec_stream *stream) {
    (void)user;
    (void)stream;
}

static const struct codec_handler warm_handler = {
    .begin = warm_begin,
    .head = warm_head,
    .body = warm_body,
    .end = warm_end,
    .failed = warm_failed,
    .writable = warm_writable,
};

static void pass(struct codec *from, struct codec *to, struct block_source *blocks) {
    enum error error = from->ops->produce(from);
    CHECK(error == OK);
    while (!buffer_is_empty(from->out)) {
        struct block *block = block_get(blocks);
        struct bytes front = buffer_front(from->out);
        size_t used;
        memcpy(block->bytes, front.at, front.len);
        block->filled = (uint32_t)front.len;
        buffer_consume(from->out, front.len);
        error = to->ops->feed(to, block, bytes_from(block->bytes, front.len), &used);
        CHECK(error == OK);
        block_unref(block);
    }
}

static void add_usual_fields(struct head *head, unsigned number) {
    fields_add(&head->fields, BYTES("Accept"), BYTES("*/*"));
    fields_add(&head->fields, BYTES("User-Agent"), BYTES("demo/1.0 (X11; Linux x86_64)"));
    fields_add(&head->fields, BYTES("Authorization"), BYTES("Bearer abcdefghijklmnopqrstuvwxyz"));
    fields_add(&head->fields, BYTES("X-Tenant-Id"), number % 3 == 0 ? BYTES("acme") : BYTES("umbrella"));
    fields_add(&head->fields, BYTES("X-Request-Id"), pool_format(head->fields.pool, "8a7f31c0-5b1d-4e2f-9c3a-%012u", number));
    fields_add(&head->fields, BYTES("traceparent"), pool_format(head->fields.pool, "00-0af7651916cd43dd8448eb211c%06u-b7ad6b7169203331-01", number));
    fields_add(&head->fields, BYTES("x-changes"), pool_format(head->fields.pool, "value %u", number));
}

struct warm_pair {
    struct warm warm;
    struct codec *client;
    struct codec *server;
    struct buffer client_out;
    struct buffer server_out;
    struct block_source blocks;
    struct pool_source chunks;
    struct h2_memory *memory;
};

static void warm_exchange(struct warm_pair *pair, struct block *body, unsigned number) {
    struct warm *warm = &pair->warm;
    *warm = (struct warm){.client = {.pool = &warm->client_pool}, .server = {.pool = &warm->server_pool}};
    pool_init(&warm->client_pool, &pair->chunks);
    pool_init(&warm->server_pool, &pair->chunks);
    struct head head;
    head_init(&head, &warm->client_pool);
    head.method = METHOD_GET;
    head.method_text = BYTES("GET");
    head.scheme = BYTES("http");
    head.authority = BYTES("courses.school.example");
    head.path = pool_format(&warm->client_pool, "/courses/%u", number);
    add_usual_fields(&head, number);
    enum error error = pair->client->ops->send_head(pair->client, &warm->client, &head, true);
    CHECK(error == OK);
    pass(pair->client, pair->server, &pair->blocks);
    CHECK(warm->request_ended);
    head_init(&head, &warm->server_pool);
    head.status = 200;
    head.content_length = 1024;
    add_usual_fields(&head, number);
    error = pair->server->ops->send_head(pair->server, &warm->server, &head, false);
    CHECK(error == OK);
    struct buffer sending;
    buffer_init(&sending, &pair->blocks);
    buffer_append_piece(&sending, body, bytes_from(body->bytes, 1024));
    pair->server->ops->send_body(pair->server, &warm->server, &sending, true, NULL);
    pass(pair->server, pair->client, &pair->blocks);
    pass(pair->client, pair->server, &pair->blocks); // window updates
    CHECK(warm->response_ended);
    CHECK(codec_stream_is_done(&warm->client) && codec_stream_is_done(&warm->server));
    pool_dispose(&warm->client_pool);
    pool_dispose(&warm->server_pool);
}

// libraries.md: "7 allocations per request over both ends"; design: none once warm.
static void warm_requests_call_no_allocator(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    struct warm_pair pair = {0};
    block_source_init(&pair.blocks, 16);
    pool_source_init(&pair.chunks, 16);
    buffer_init(&pair.client_out, &pair.blocks);
    buffer_init(&pair.server_out, &pair.blocks);
    pair.memory = h2_memory_create(&no_time);
    pair.client = h2_codec_create(CODEC_CLIENT, &limits, &warm_handler, &pair.warm, &pair.client_out, pair.memory);
    pair.server = h2_codec_create(CODEC_SERVER, &limits, &warm_handler, &pair.warm, &pair.server_out, pair.memory);
    struct block *body = block_get(&pair.blocks);
    memset(body->bytes, 'b', 1024);
    body->filled = 1024;
    count_mallocs();
    for (unsigned i = 0; i < 1000; i++)
        warm_exchange(&pair, body, i);
    uint64_t before = mallocs;
    assert_true(before > 0); // it counts
    uint64_t allocations = pair.memory->allocations;
    for (unsigned i = 1000; i < 2000; i++)
        warm_exchange(&pair, body, i);
    assert_int_equal(mallocs - before, 0);
    assert_int_equal(pair.memory->allocations - allocations, 0);
    pair.client->ops->dispose(pair.client);
    pair.server->ops->dispose(pair.server);
    block_unref(body);
    buffer_dispose(&pair.client_out);
    buffer_dispose(&pair.server_out);
    h2_memory_destroy(pair.memory);
    block_source_dispose(&pair.blocks);
    pool_source_dispose(&pair.chunks);
}

// libraries.md: "an idle session holds 25.7 KB". With the codec and the heads of pieces around it, hardly more.
static void idle_connection_takes_what_nghttp2_is_known_to_take(void **state) {
    (void)state;
    enum { COUNT = 20 };
    struct codec_limits limits = codec_owner_limits();
    struct codec_owner owners[COUNT];
    struct h2_memory *memory = h2_memory_create(&no_time);
    count_mallocs();
    uint64_t before = malloc_bytes;
    for (unsigned i = 0; i < COUNT; i++) {
        codec_owner_init(&owners[i]);
        owners[i].codec = h2_codec_create(CODEC_SERVER, &limits, &codec_owner_handler, &owners[i], &owners[i].out, memory);
    }
    uint64_t each = (malloc_bytes - before) / COUNT;
    assert_true(each > 20000); // it counts
    assert_true(each < 28000);
    for (unsigned i = 0; i < COUNT; i++)
        codec_owner_dispose(&owners[i]);
    h2_memory_destroy(memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_of_every_size_are_usable_and_come_back),
        cmocka_unit_test(freed_pieces_are_used_again),
        cmocka_unit_test(lists_keep_no_more_than_their_bound),
        cmocka_unit_test(reallocation_keeps_what_was_there),
        cmocka_unit_test(lack_of_memory_for_a_large_frame_ends_the_connection),
        cmocka_unit_test(warm_requests_call_no_allocator),
        cmocka_unit_test(idle_connection_takes_what_nghttp2_is_known_to_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
