// Watches the three files, loads them when they change, and publishes what is usable.
//
// Two things tell of a change: the system, for the folders that the files are in (a swap of symbolic links is a change of the folder, not of the files), and a
// look every few seconds at where the links lead, for file systems that tell nothing. Neither is believed to mean that the set is whole: a new certificate may
// be there before its key. So a set that cannot be used is tried again for a moment before it counts as refused.
//
//   steady -> settling: the marks of the files have changed
//   settling -> steady: loaded
//   settling -> refused: still not usable after SETTLE_MAX
//   refused -> settling: the marks have changed again
//   refused -> steady: usable after all (a certificate has become valid)
#include "identity/file_identity.h"

#include "base/check.h"
#include "base/log.h"
#include "base/pool.h"
#include "identity/secret_file.h"
#include "net/file_watch.h"
#include "net/loop.h"
#include "net/tls.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#define POLL_INTERVAL_DEFAULT (5 * NS_PER_S)
#define SETTLE_FIRST (20 * NS_PER_MS) // after a change: whoever writes three files one by one is done by then, mostly
#define SETTLE_AGAIN (200 * NS_PER_MS)
#define SETTLE_MAX (2 * NS_PER_S)

enum { FILE_CERTIFICATE, FILE_PRIVATE_KEY, FILE_TRUST_BUNDLE, FILE_COUNT };

enum identity_phase { IDENTITY_STEADY, IDENTITY_SETTLING, IDENTITY_REFUSED };

struct file_identity {
    struct loop *loop;
    struct ticket_keys *ticket_keys;
    nanoseconds (*wall_clock)(void);
    void (*publish)(void *owner, struct credentials *credentials);
    void *owner;
    char *paths[FILE_COUNT];
    uint64_t marks[FILE_COUNT];       // of the set that was tried last
    unsigned char content_digest[32]; // of the set in force
    struct file_watch *watch;
    enum identity_phase phase;
    nanoseconds settle_until;
    struct timer attempt;
    struct credentials *credentials;
    struct identity_state state;
    uint32_t warned_percent; // of the life left, when last warned; 100: not warned
    bool closing;
    struct task release;
};

static void set_phase(struct file_identity *identity, enum identity_phase phase) {
    CHECK(identity->phase != phase);
    identity->phase = phase;
}

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

static void read_marks(const struct file_identity *identity, uint64_t marks[FILE_COUNT]) {
    for (int i = 0; i < FILE_COUNT; i++)
        marks[i] = secret_file_mark(identity->paths[i]);
}

static bool marks_changed(const struct file_identity *identity) {
    uint64_t marks[FILE_COUNT];
    read_marks(identity, marks);
    return memcmp(marks, identity->marks, sizeof(marks)) != 0;
}

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

// Tries what the files say now. Their marks were taken before, and compared by whoever calls: what changes in between will still be seen as a change. ERROR_INVALID or
// ERROR_IO with the reason in `reason`.
static enum error load(struct file_identity *identity, char *reason, size_t reason_size) {
    struct bytes contents[FILE_COUNT] = {BYTES_NONE};
    enum error error = OK;
    for (int i = 0; error == OK && i < FILE_COUNT; i++)
        error = secret_file_read(identity->paths[i], &contents[i], reason, reason_size);
    if (error == OK && marks_changed(identity)) {
        snprintf(reason, reason_size, "the files change while they are read");
        error = ERROR_IO;
    }
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

static void refuse(struct file_identity *identity, const char *reason) {
    set_phase(identity, IDENTITY_REFUSED);
    identity->state.refused++;
    snprintf(identity->state.last_error, sizeof(identity->state.last_error), "%s", reason);
    log_event(LOG_ERROR, "identity_refused", "in_force=%llu reason=\"%s\"", (unsigned long long)identity->state.generation, reason);
}

static void try_to_load(struct file_identity *identity) {
    char reason[sizeof(identity->state.last_error)];
    nanoseconds now = identity->loop->now;
    if (load(identity, reason, sizeof(reason)) == OK) {
        if (identity->phase != IDENTITY_STEADY)
            set_phase(identity, IDENTITY_STEADY);
        warn_of_end(identity);
        return;
    }
    if (identity->phase == IDENTITY_REFUSED)
        return; // said already
    if (now >= identity->settle_until)
        refuse(identity, reason);
    else
        loop_timer_start(identity->loop, &identity->attempt, SETTLE_AGAIN);
}

static void on_attempt(struct timer *timer) {
    struct file_identity *identity = CONTAINER_OF(timer, struct file_identity, attempt);
    read_marks(identity, identity->marks);
    try_to_load(identity);
}

static void settle(struct file_identity *identity) {
    if (identity->phase == IDENTITY_SETTLING)
        return;
    set_phase(identity, IDENTITY_SETTLING);
    identity->settle_until = identity->loop->now + SETTLE_MAX;
    loop_timer_start(identity->loop, &identity->attempt, SETTLE_FIRST);
}

static void look(struct file_identity *identity) {
    if (marks_changed(identity))
        settle(identity);
    else if (identity->phase == IDENTITY_REFUSED)
        try_to_load(identity);
}

// --- watching ---

static void on_look(void *owner) {
    struct file_identity *identity = owner;
    look(identity);
    warn_of_end(identity);
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
    identity->owner = options->owner;
    identity->paths[FILE_CERTIFICATE] = copy_text_or_abort(options->certificate);
    identity->paths[FILE_PRIVATE_KEY] = copy_text_or_abort(options->private_key);
    identity->paths[FILE_TRUST_BUNDLE] = copy_text_or_abort(options->trust_bundle);
    task_init(&identity->release, on_release);
    timer_init(&identity->attempt, on_attempt);
    loop->handles++;
    const struct file_watch_options watch = {
        .poll_interval = options->poll_interval > 0 ? options->poll_interval : POLL_INTERVAL_DEFAULT,
        .look = on_look,
        .owner = identity,
    };
    identity->watch = file_watch_create(loop, &watch);
    (void)file_watch_set_files(identity->watch, (const char *const *)identity->paths, FILE_COUNT);
    identity->phase = IDENTITY_SETTLING;
    identity->settle_until = loop->now + SETTLE_MAX;
    loop_timer_start(loop, &identity->attempt, 0);
    return identity;
}

const struct identity_state *file_identity_state(const struct file_identity *identity) {
    return &identity->state;
}

struct credentials *file_identity_credentials(const struct file_identity *identity) {
    return identity->credentials;
}

void file_identity_reload(struct file_identity *identity) {
    look(identity);
}

bool file_identity_is_settling(const struct file_identity *identity) {
    return identity->phase == IDENTITY_SETTLING;
}

void file_identity_close(struct file_identity *identity) {
    CHECK(!identity->closing);
    identity->closing = true;
    file_watch_close(identity->watch);
    identity->watch = NULL;
    loop_timer_stop(identity->loop, &identity->attempt);
    loop_defer(identity->loop, &identity->release);
}
