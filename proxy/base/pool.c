// Pools of chunks from a worker's free list, and the allocations that abort or are allowed to fail.
//
// Under AddressSanitizer all of a chunk is poisoned but what was handed out, with a gap behind each object.
#include "base/pool.h"

#include "base/check.h"
#include "base/poison.h"

#include <assert.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define ALIGNMENT alignof(max_align_t)
#define GAP (POISON_ENABLED ? ALIGNMENT : 0)

struct pool_chunk {
    struct pool_chunk *next;
    alignas(max_align_t) char bytes[];
};

#define CHUNK_CAPACITY (POOL_CHUNK_SIZE - sizeof(struct pool_chunk))

// Texts up to this length are formatted once, on the stack.
#define FORMAT_SIZE 512

static_assert(CHUNK_CAPACITY % alignof(max_align_t) == 0, "objects are aligned from both ends of a chunk");

void pool_source_init(struct pool_source *source, uint32_t free_max) {
    *source = (struct pool_source){.free_max = free_max};
}

void pool_source_dispose(struct pool_source *source) {
    CHECK(source->used == 0);
    pool_source_trim(source, 0);
    CHECK(source->free == NULL);
}

static void chunk_free(struct pool_source *source, struct pool_chunk *chunk) {
    if (source->room != NULL)
        memory_room_give_back(source->room, POOL_CHUNK_SIZE);
    memory_unpoison(chunk->bytes, CHUNK_CAPACITY);
    free(chunk);
}

void pool_source_trim(struct pool_source *source, uint32_t keep) {
    while (source->free_count > keep) {
        struct pool_chunk *chunk = source->free;
        source->free = chunk->next;
        source->free_count--;
        chunk_free(source, chunk);
    }
}

static struct pool_chunk *chunk_get(struct pool_source *source) {
    struct pool_chunk *chunk = source->free;
    if (chunk != NULL) {
        source->free = chunk->next;
        source->free_count--;
    } else {
        chunk = alloc_or_abort(POOL_CHUNK_SIZE);
        memory_poison(chunk->bytes, CHUNK_CAPACITY);
        if (source->room != NULL)
            memory_room_take(source->room, POOL_CHUNK_SIZE);
    }
    source->used++;
    return chunk;
}

static void chunk_put(struct pool_source *source, struct pool_chunk *chunk) {
    CHECK(source->used > 0);
    source->used--;
    if (source->free_count >= source->free_max) {
        chunk_free(source, chunk);
        return;
    }
    memory_poison(chunk->bytes, CHUNK_CAPACITY);
    chunk->next = source->free;
    source->free = chunk;
    source->free_count++;
}

void pool_init(struct pool *pool, struct pool_source *source) {
    *pool = (struct pool){.source = source};
}

void pool_dispose(struct pool *pool) {
    // One by one from the list: a disposer may cancel others and add some.
    while (pool->disposers != NULL) {
        struct pool_disposer *disposer = pool->disposers;
        pool->disposers = disposer->next;
        if (disposer->dispose != NULL)
            disposer->dispose(disposer->argument);
    }
    // From here on `pool` may go with the chunk that it lies in.
    struct pool_source *source = pool->source;
    struct pool_chunk *chunks = pool->chunks;
    struct pool_chunk *large = pool->large;
    pool_init(pool, source);
    while (large != NULL) {
        struct pool_chunk *following = large->next;
        free(large);
        large = following;
    }
    while (chunks != NULL) {
        struct pool_chunk *following = chunks->next;
        chunk_put(source, chunks);
        chunks = following;
    }
}

static void *alloc_large(struct pool *pool, size_t size) {
    CHECK(size <= SIZE_MAX / 2);
    struct pool_chunk *chunk = alloc_or_abort(sizeof(*chunk) + size);
    chunk->next = pool->large;
    pool->large = chunk;
    return chunk->bytes;
}

// From a new chunk, which becomes the current one unless the old one has more room left.
static void *alloc_from_new_chunk(struct pool *pool, size_t step) {
    struct pool_chunk *chunk = chunk_get(pool->source);
    if (pool->chunks != NULL && (size_t)(pool->end - pool->next) >= CHUNK_CAPACITY - step) {
        chunk->next = pool->chunks->next;
        pool->chunks->next = chunk;
        return chunk->bytes;
    }
    chunk->next = pool->chunks;
    pool->chunks = chunk;
    pool->next = chunk->bytes + step;
    pool->end = chunk->bytes + CHUNK_CAPACITY;
    return chunk->bytes;
}

void *pool_alloc_slowly(struct pool *pool, size_t size) {
    if (size > CHUNK_CAPACITY - GAP)
        return alloc_large(pool, size);
    if (size == 0)
        size = 1; // even nothing has an address of its own
    size_t step = ((size + ALIGNMENT - 1) & ~(ALIGNMENT - 1)) + GAP;
    void *memory;
    if ((size_t)(pool->end - pool->next) >= step) {
        memory = pool->next;
        pool->next += step;
    } else {
        memory = alloc_from_new_chunk(pool, step);
    }
    memory_unpoison(memory, size);
    return memory;
}

void *pool_alloc_zeroed(struct pool *pool, size_t size) {
    return memset(pool_alloc(pool, size), 0, size);
}

struct bytes pool_copy(struct pool *pool, struct bytes text) {
    char *copy = pool_alloc(pool, text.len + 1);
    if (text.len > 0)
        memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    return bytes_from(copy, text.len);
}

struct bytes pool_digits(struct pool *pool, uint64_t number) {
    char digits[20];
    char *at = digits + sizeof digits;
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return pool_copy(pool, bytes_from(at, (size_t)(digits + sizeof digits - at)));
}

struct bytes pool_format(struct pool *pool, const char *format, ...) {
    char text[FORMAT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    CHECK(length >= 0);
    if ((size_t)length < sizeof(text))
        return pool_copy(pool, bytes_from(text, (size_t)length));

    char *whole = pool_alloc(pool, (size_t)length + 1);
    va_start(arguments, format);
    int written = vsnprintf(whole, (size_t)length + 1, format, arguments);
    va_end(arguments);
    CHECK(written == length);
    return bytes_from(whole, (size_t)length);
}

struct pool_disposer *pool_on_dispose(struct pool *pool, void (*dispose)(void *argument), void *argument) {
    struct pool_disposer *disposer = pool_alloc(pool, sizeof(*disposer));
    *disposer = (struct pool_disposer){pool->disposers, dispose, argument};
    pool->disposers = disposer;
    return disposer;
}

void pool_cancel_dispose(struct pool *pool, struct pool_disposer *disposer) {
    // It stays in the list, which only pool_dispose walks: a stream hangs up a handful, and its memory goes with the pool anyway.
    CHECK(pool != NULL && disposer->dispose != NULL);
    disposer->dispose = NULL;
}

static _Noreturn void abort_without_memory(size_t size) {
    fprintf(stderr, "no memory for %zu bytes\n", size);
    fflush(stderr);
    abort();
}

void *alloc_or_abort(size_t size) {
    void *memory = malloc(size > 0 ? size : 1);
    if (memory == NULL)
        abort_without_memory(size);
    return memory;
}

void *alloc_zeroed_or_abort(size_t count, size_t size) {
    void *memory = count > 0 && size > 0 ? calloc(count, size) : calloc(1, 1);
    if (memory == NULL)
        abort_without_memory(size);
    return memory;
}

char *copy_text_or_abort(struct bytes text) {
    char *copy = alloc_or_abort(text.len + 1);
    if (text.len > 0)
        memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    return copy;
}

// The one variable of this file: which of the next try_alloc is to fail. Atomic, since any thread may allocate.
static _Atomic unsigned fail_after;

void *try_alloc(size_t size) {
    if (atomic_load_explicit(&fail_after, memory_order_relaxed) > 0 && atomic_fetch_sub_explicit(&fail_after, 1, memory_order_relaxed) == 1)
        return NULL;
    return malloc(size > 0 ? size : 1);
}

void try_alloc_fail_after(unsigned n) {
    atomic_store_explicit(&fail_after, n, memory_order_relaxed);
}
