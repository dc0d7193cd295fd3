// Loads the three files as they change (identity/watched_files), publishes what is usable, and warns of a certificate that is not renewed.
#include "identity/file_identity.h"

#include "base/check.h"
#include "base/log.h"
#include "base/pool.h"
#include "identity/secret_file.h"
#include "identity/watched_files.h"
#include "net/loop.h"
#include "net/tls.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILE_CERTIFICATE, FILE_PRIVATE_KEY, FILE_TRUST_BUNDLE, FILE_COUNT };

struct file_identity {
    struct loop *loop;
    struct ticket_keys *ticket_keys;
    nanoseconds (*wall_clock)(void);
    void (*publish)(void *owner, struct credentials *credentials);
    void (*refused)(void *owner, const char *reason);
    void *owner;
    char *paths[FILE_COUNT];
    unsigned char content_digest[32]; // of the set in force
    struct watched_files *files;
    struct credentials *credentials;
    struct identity_state state;
    uint32_t warned_percent; // of the life left, when last warned; 100: not warned
    bool closing;
    struct task release;
};

// --- how long the leaf still lasts ---

// Renewal happens at half of the life or two thirds: what is left then has failed to be renewed.
static void warn_of_end(struct file_identity *identity) {
    static const uint32_t steps[] = {0, 10, 30};
    if (identity->credentials == NULL)
        return;
    int64_t end = credentials_not_after(identity->credentials);
    int64_t life = end - credentials_not_before(identity->credentials);
    int64_t left = end - (int64_t)(identity->wall_clock() / NS_PER_S);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (left * 100 > life * (int64_t)steps[i] || identity->warned_percent <= steps[i])
            continue;
        identity->warned_percent = steps[i];
        log_event(steps[i] < 30 ? LOG_ERROR : LOG_WARN, left > 0 ? "identity_expires" : "identity_expired", "id=%.*s left_s=%lld not_after=%lld",
                  BYTES_FORMAT(credentials_id(identity->credentials)->text), (long long)left, (long long)end);
        return;
    }
}

// --- loading ---

static void digest_contents(const struct bytes contents[FILE_COUNT], unsigned char digest[32]) {
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    CHECK(hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1);
    for (int i = 0; i < FILE_COUNT; i++) {
        uint64_t length = contents[i].len;
        CHECK(EVP_DigestUpdate(hash, &length, sizeof(length)) == 1);
        CHECK(EVP_DigestUpdate(hash, contents[i].at, contents[i].len) == 1);
    }
    CHECK(EVP_DigestFinal_ex(hash, digest, NULL) == 1);
    EVP_MD_CTX_free(hash);
}

static void put_in_force(struct file_identity *identity, struct credentials *credentials) {
    credentials_unref(identity->credentials);
    identity->credentials = credentials;
    identity->state.generation = credentials_generation(credentials);
    identity->state.loaded_wall = identity->wall_clock();
    identity->warned_percent = 100;
    log_event(LOG_INFO, "identity_loaded", "generation=%llu id=%.*s serial=%s not_after=%lld roots=%u",
              (unsigned long long)identity->state.generation, BYTES_FORMAT(credentials_id(credentials)->text), credentials_serial(credentials),
              (long long)credentials_not_after(credentials), trust_bundle_root_count(credentials_bundle(credentials)));
    identity->publish(identity->owner, credentials);
}

// ERROR_INVALID or ERROR_IO with the reason in `reason`.
static enum error read_and_use(struct file_identity *identity, char *reason, size_t reason_size) {
    struct bytes contents[FILE_COUNT] = {BYTES_NONE};
    enum error error = OK;
    for (int i = 0; error == OK && i < FILE_COUNT; i++)
        error = secret_file_read(identity->paths[i], &contents[i], reason, reason_size);
    if (error == OK)
        error = watched_files_confirm(identity->files, reason, reason_size);
    unsigned char digest[sizeof(identity->content_digest)];
    struct credentials *credentials = NULL;
    if (error == OK) {
        digest_contents(contents, digest);
        // Touched, or swapped for the same: nobody needs new connections for it.
        bool same = identity->credentials != NULL && memcmp(digest, identity->content_digest, sizeof(digest)) == 0;
        if (!same)
            error =
                credentials_create(contents[FILE_CERTIFICATE], contents[FILE_PRIVATE_KEY], contents[FILE_TRUST_BUNDLE], identity->ticket_keys,
                                   identity->state.generation + 1, (int64_t)(identity->wall_clock() / NS_PER_S), &credentials, reason, reason_size);
    }
    for (int i = 0; i < FILE_COUNT; i++)
        secret_file_forget(&contents[i]);
    if (error != OK)
        return error;
    identity->state.last_error[0] = '\0';
    if (credentials != NULL) {
        memcpy(identity->content_digest, digest, sizeof(digest));
        put_in_force(identity, credentials);
    }
    return OK;
}

static enum error load(void *owner, char *reason, size_t reason_size) {
    struct file_identity *identity = owner;
    enum error error = read_and_use(identity, reason, reason_size);
    if (error == OK)
        warn_of_end(identity);
    return error;
}

static void refuse(void *owner, const char *reason) {
    struct file_identity *identity = owner;
    identity->state.refused++;
    snprintf(identity->state.last_error, sizeof(identity->state.last_error), "%s", reason);
    log_event(LOG_ERROR, "identity_refused", "in_force=%llu reason=\"%s\"", (unsigned long long)identity->state.generation, reason);
    if (identity->refused != NULL)
        identity->refused(identity->owner, reason);
}

static void looked(void *owner) {
    warn_of_end(owner);
}

// --- life ---

static void on_release(struct task *task) {
    struct file_identity *identity = CONTAINER_OF(task, struct file_identity, release);
    identity->loop->handles--;
    credentials_unref(identity->credentials);
    for (int i = 0; i < FILE_COUNT; i++)
        free(identity->paths[i]);
    free(identity);
}

struct file_identity *file_identity_create(struct loop *loop, const struct file_identity_options *options) {
    struct file_identity *identity = alloc_zeroed_or_abort(1, sizeof(*identity));
    identity->loop = loop;
    identity->ticket_keys = options->ticket_keys;
    identity->wall_clock = options->wall_clock != NULL ? options->wall_clock : clock_wall_ns;
    identity->state.generation = options->generation_before;
    identity->publish = options->publish;
    identity->refused = options->refused;
    identity->owner = options->owner;
    identity->paths[FILE_CERTIFICATE] = copy_text_or_abort(options->certificate);
    identity->paths[FILE_PRIVATE_KEY] = copy_text_or_abort(options->private_key);
    identity->paths[FILE_TRUST_BUNDLE] = copy_text_or_abort(options->trust_bundle);
    task_init(&identity->release, on_release);
    loop->handles++;
    const struct watched_files_options files = {
        .paths = (const char *const *)identity->paths,
        .count = FILE_COUNT,
        .poll_interval = options->poll_interval,
        .load = load,
        .refuse = refuse,
        .looked = looked,
        .owner = identity,
    };
    identity->files = watched_files_create(loop, &files);
    return identity;
}

const struct identity_state *file_identity_state(const struct file_identity *identity) {
    return &identity->state;
}

struct credentials *file_identity_credentials(const struct file_identity *identity) {
    return identity->credentials;
}

void file_identity_reload(struct file_identity *identity) {
    watched_files_look(identity->files);
}

bool file_identity_is_settling(const struct file_identity *identity) {
    return watched_files_are_settling(identity->files);
}

void file_identity_close(struct file_identity *identity) {
    CHECK(!identity->closing);
    identity->closing = true;
    watched_files_close(identity->files);
    identity->files = NULL;
    loop_defer(identity->loop, &identity->release);
}
