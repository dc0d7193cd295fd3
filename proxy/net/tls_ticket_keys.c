// The keys that seal session tickets: current and previous, shared by all workers, made anew every hour when the next ticket is sealed. They outlive
// versions of credentials, so that a renewed certificate does not cost every client a full handshake.
#include "net/tls_ticket_keys.h"

#include "base/check.h"

#include <openssl/provider.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

struct ticket_keys {
    pthread_mutex_t lock;
    struct ticket_key current;
    struct ticket_key previous;
    OSSL_LIB_CTX *bare_library;
    OSSL_PROVIDER *nothing; // what it provides
};

struct ticket_keys *ticket_keys_create(void) {
    // A page of their own that never reaches a core dump.
    struct ticket_keys *keys = mmap(NULL, sizeof(*keys), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(keys != MAP_FAILED);
    (void)madvise(keys, sizeof(*keys), MADV_DONTDUMP);
    CHECK(pthread_mutex_init(&keys->lock, NULL) == 0);
    keys->bare_library = OSSL_LIB_CTX_new();
    keys->nothing = OSSL_PROVIDER_load(keys->bare_library, "null"); // else everything would be loaded when first asked for
    CHECK(keys->bare_library != NULL && keys->nothing != NULL);
    return keys;
}

void ticket_keys_destroy(struct ticket_keys *keys) {
    if (keys == NULL)
        return;
    pthread_mutex_destroy(&keys->lock);
    OSSL_PROVIDER_unload(keys->nothing);
    OSSL_LIB_CTX_free(keys->bare_library);
    OPENSSL_cleanse(keys, sizeof(*keys));
    munmap(keys, sizeof(*keys));
}

static void rotate(struct ticket_keys *keys, nanoseconds now) {
    keys->previous = keys->current;
    struct ticket_key *made = &keys->current;
    CHECK(RAND_bytes(made->name, sizeof(made->name)) == 1);
    CHECK(RAND_priv_bytes(made->cipher_secret, sizeof(made->cipher_secret)) == 1);
    CHECK(RAND_priv_bytes(made->mac_secret, sizeof(made->mac_secret)) == 1);
    made->made_at = now;
    made->valid = true;
}

// Loops read their clocks at slightly different moments: `now` may lie before `made_at`.
static nanoseconds age_of(const struct ticket_key *key, nanoseconds now) {
    return now > key->made_at ? now - key->made_at : 0;
}

void ticket_keys_sealing(struct ticket_keys *keys, nanoseconds now, struct ticket_key *copy) {
    pthread_mutex_lock(&keys->lock);
    if (!keys->current.valid || age_of(&keys->current, now) >= TICKET_KEY_LIFE)
        rotate(keys, now);
    *copy = keys->current;
    pthread_mutex_unlock(&keys->lock);
}

static bool opens(const struct ticket_key *key, nanoseconds now, const unsigned char name[TICKET_NAME_SIZE]) {
    return key->valid && memcmp(key->name, name, TICKET_NAME_SIZE) == 0 && age_of(key, now) < 2 * TICKET_KEY_LIFE;
}

bool ticket_keys_opening(struct ticket_keys *keys, nanoseconds now, const unsigned char name[TICKET_NAME_SIZE], struct ticket_key *copy) {
    pthread_mutex_lock(&keys->lock);
    const struct ticket_key *found = opens(&keys->current, now, name) ? &keys->current : opens(&keys->previous, now, name) ? &keys->previous : NULL;
    if (found != NULL)
        *copy = *found;
    pthread_mutex_unlock(&keys->lock);
    return found != NULL;
}

OSSL_LIB_CTX *ticket_keys_bare_library(const struct ticket_keys *keys) {
    return keys->bare_library;
}
