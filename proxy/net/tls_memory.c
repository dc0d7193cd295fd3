// See tls_memory.h. What is kept belongs to a thread and goes with it; a buffer may be given back on another thread than it was taken on.
#include "net/tls_memory.h"

#include "base/check.h"
#include "base/pool.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/ssl3.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

// OpenSSL's buffers for records are of this size and up to a kilobyte more; hardly anything else of it is.
#define BUFFER_MIN SSL3_RT_MAX_PLAIN_LENGTH
#define BUFFER_SIZE (SSL3_RT_MAX_PLAIN_LENGTH + 2048) // of all that are kept

// What the C library may make of that size: larger ones are something else.
#define BUFFER_SIZE_USABLE (BUFFER_SIZE + 64)

struct kept {
    unsigned count;
    void *buffers[TLS_MEMORY_KEPT];
};

// OpenSSL's callbacks have no argument that could lead to it. The key frees it when its thread ends.
static _Thread_local struct kept *kept_here;
static pthread_key_t kept_key;

static void free_kept(void *argument) {
    struct kept *kept = argument;
    kept_here = NULL;
    while (kept->count > 0)
        free(kept->buffers[--kept->count]);
    free(kept);
}

static struct kept *kept_of_thread(void) {
    if (kept_here == NULL) {
        kept_here = alloc_zeroed_or_abort(1, sizeof(*kept_here));
        CHECK(pthread_setspecific(kept_key, kept_here) == 0);
    }
    return kept_here;
}

static void *take(size_t size, const char *file, int line) {
    (void)file, (void)line;
    if (size < BUFFER_MIN || size > BUFFER_SIZE)
        return try_alloc(size);
    struct kept *kept = kept_of_thread();
    return kept->count > 0 ? kept->buffers[--kept->count] : try_alloc(BUFFER_SIZE);
}

static void give_back(void *memory, const char *file, int line) {
    (void)file, (void)line;
    size_t size = memory != NULL ? malloc_usable_size(memory) : 0;
    if (size < BUFFER_SIZE || size > BUFFER_SIZE_USABLE) {
        free(memory);
        return;
    }
    struct kept *kept = kept_of_thread();
    if (kept->count < TLS_MEMORY_KEPT)
        kept->buffers[kept->count++] = memory;
    else
        free(memory);
}

static void *resize(void *memory, size_t size, const char *file, int line) {
    size_t before = memory != NULL ? malloc_usable_size(memory) : 0;
    void *made = take(size, file, line);
    if (made == NULL || memory == NULL)
        return made;
    memcpy(made, memory, before < size ? before : size);
    give_back(memory, file, line);
    return made;
}

size_t tls_memory_kept(void) {
    return kept_here != NULL ? (size_t)kept_here->count * BUFFER_SIZE : 0;
}

void tls_memory_install(void) {
    CHECK(pthread_key_create(&kept_key, free_kept) == 0);
    CHECK(CRYPTO_set_mem_functions(take, resize, give_back) == 1);
}
