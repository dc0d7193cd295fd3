// Keys that all workers share, under a lock, the one fetch of them, and who waits for it in each worker: those the worker alone touches, and it is told by a note. See jwks.h.
#include "filters/jwks.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mailbox.h"
#include "base/pool.h"
#include "config/authentication_config.h"
#include "http/headers.h"
#include "stream/subrequest.h"

#include <pthread.h>
#include <stdlib.h>

// Whoever makes up key ids has the issuer asked no more often than that.
#define UNKNOWN_EVERY_NS (10 * NS_PER_S)

// While an issuer does not answer, requests wait for it once in that time, and the others are refused at once.
#define NONE_EVERY_NS NS_PER_S

// And keys that are there are tried to be refreshed once in that time.
#define REFRESH_EVERY_NS (10 * NS_PER_S)

// What an answer's max-age counts for.
#define AGE_MIN_S 60
#define AGE_MAX_S (24 * 3600)

// Of the time that keys are fresh; then they are fetched anew.
#define REFRESH_PERCENT 75

// Who waits in one worker, which alone touches that. All of them stand in a list under the lock.
struct jwks_fetcher {
    struct jwks_fetcher *next;
    struct jwks *jwks;
    struct stream_env *env;
    struct list waiting; // struct jwks_waiter, in the order of their fetches
    struct note note;    // that a fetch of another worker is over
    bool is_waited_for;  // under the lock: somebody waits, and is to be told
};

struct jwks {
    _Atomic uint32_t references;
    _Atomic uint64_t version;
    _Atomic uint64_t refresh_at;   // 0: never fetched
    _Atomic uint64_t usable_until; // 0: the same
    pthread_mutex_t lock;          // all below
    struct jwk_set *keys;
    struct bytes text; // that they were read from; owned
    struct jwks_fetcher *fetchers;
    bool is_running;           // a fetch, which has a reference
    uint64_t begun, over;      // the numbers of the newest that has begun, and that is over
    nanoseconds not_before[2]; // by enum jwks_lack: no fetch for that is begun earlier
    // Of the fetch that runs, whose worker alone touches it.
    struct bytes url; // owned
    nanoseconds cache_for, keep_for;
};

struct jwks *jwks_create(void) {
    struct jwks *jwks = alloc_zeroed_or_abort(1, sizeof *jwks);
    atomic_init(&jwks->references, 1);
    pthread_mutex_init(&jwks->lock, NULL);
    return jwks;
}

static void ref(struct jwks *jwks) {
    const uint32_t before = atomic_fetch_add_explicit(&jwks->references, 1, memory_order_relaxed);
    CHECK(before > 0);
}

void jwks_unref(struct jwks *jwks) {
    const uint32_t before = atomic_fetch_sub_explicit(&jwks->references, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before > 1)
        return;
    CHECK(!jwks->is_running);
    while (jwks->fetchers != NULL) {
        struct jwks_fetcher *fetcher = jwks->fetchers;
        CHECK(!fetcher->is_waited_for && list_is_empty(&fetcher->waiting));
        jwks->fetchers = fetcher->next;
        free(fetcher);
    }
    if (jwks->keys != NULL)
        jwk_set_unref(jwks->keys);
    bytes_drop(&jwks->text);
    pthread_mutex_destroy(&jwks->lock);
    free(jwks);
}

static bool are_usable(const struct jwks *jwks, nanoseconds now) {
    return now < atomic_load_explicit(&jwks->usable_until, memory_order_acquire);
}

uint64_t jwks_version(const struct jwks *jwks, nanoseconds now) {
    return are_usable(jwks, now) ? atomic_load_explicit(&jwks->version, memory_order_acquire) : 0;
}

struct jwk_set *jwks_keys(struct jwks *jwks, nanoseconds now, uint64_t *version) {
    pthread_mutex_lock(&jwks->lock);
    struct jwk_set *keys = are_usable(jwks, now) ? jwk_set_ref(jwks->keys) : NULL;
    *version = keys == NULL ? 0 : atomic_load_explicit(&jwks->version, memory_order_relaxed);
    pthread_mutex_unlock(&jwks->lock);
    return keys;
}

// ---- what comes of a fetch

// RFC 9111 section 5.2.2: how long the answer is fresh. What must not be stored is kept for the least time: it cannot be asked for with each request.
static nanoseconds freshness(const struct head *head, nanoseconds otherwise) {
    nanoseconds found = otherwise;
    FIELDS_EACH(&head->fields, field) {
        struct bytes list = field->value, directive;
        if (!bytes_equal_nocase(field->name, BYTES("cache-control")))
            continue;
        while (bytes_next(&list, ',', &directive)) {
            const size_t equals = bytes_find(directive, '=');
            uint64_t seconds = 0;
            const struct bytes name = bytes_from(directive.at, equals);
            if (bytes_equal_nocase(name, BYTES("no-store")) || bytes_equal_nocase(name, BYTES("no-cache")))
                return AGE_MIN_S * NS_PER_S;
            if (!bytes_equal_nocase(name, BYTES("max-age")) || equals == directive.len)
                continue;
            if (!bytes_to_u64(bytes_from(directive.at + equals + 1, directive.len - equals - 1), AGE_MAX_S, &seconds))
                seconds = directive.len > equals + 1 && directive.at[equals + 1] >= '0' && directive.at[equals + 1] <= '9' ? AGE_MAX_S : AGE_MIN_S;
            found = (seconds < AGE_MIN_S ? AGE_MIN_S : seconds) * NS_PER_S;
        }
    }
    return found;
}

// Owned; at NULL: there is no memory for it.
static struct bytes gather(struct buffer *body) {
    char *text = try_alloc(body->length + 1);
    size_t length = 0;
    while (text != NULL && !buffer_is_empty(body)) {
        const struct bytes piece = buffer_front(body);
        memcpy(text + length, piece.at, piece.len);
        length += piece.len;
        buffer_consume(body, piece.len);
    }
    return bytes_from(text, length);
}

// Takes over `text`.
static void publish(struct jwks *jwks, nanoseconds now, struct jwk_set *keys, struct bytes text, nanoseconds fresh) {
    pthread_mutex_lock(&jwks->lock);
    const bool is_change = jwks->keys == NULL || !bytes_equal(jwks->text, text);
    struct jwk_set *before = jwks->keys;
    jwks->keys = keys;
    bytes_drop(&jwks->text);
    jwks->text = text;
    if (is_change)
        atomic_fetch_add_explicit(&jwks->version, 1, memory_order_release);
    atomic_store_explicit(&jwks->usable_until, now + fresh + jwks->keep_for, memory_order_release);
    atomic_store_explicit(&jwks->refresh_at, now + fresh / 100 * REFRESH_PERCENT, memory_order_release);
    const uint32_t count = keys->count; // from here on another worker may take them away
    pthread_mutex_unlock(&jwks->lock);
    if (before != NULL)
        jwk_set_unref(before);
    if (is_change)
        log_event(LOG_INFO, "jwks_fetched", "url=\"%.*s\" keys=%u", BYTES_FORMAT(jwks->url), count);
}

// NULL: it was taken; else why not.
static const char *take_answer(const struct jwks_fetcher *fetcher, const struct subrequest_answer *answer) {
    const char *wrong = "there is no memory for it";
    if (answer->end != OK)
        return error_name(answer->end);
    if (answer->head->status != 200)
        return "its status is not 200";
    struct bytes text = gather(answer->body);
    struct jwk_set *keys = text.at == NULL ? NULL : jwk_set_read(text, &wrong);
    if (keys == NULL) {
        bytes_drop(&text);
        return wrong;
    }
    publish(fetcher->jwks, fetcher->env->loop->now, keys, text, freshness(answer->head, fetcher->jwks->cache_for));
    return NULL;
}

// On the fetcher's worker: those whose fetch is over. Others may wait for the next one by now.
static void wake_waiting(struct jwks_fetcher *fetcher, uint64_t over) {
    while (!list_is_empty(&fetcher->waiting) && LIST_ENTRY(fetcher->waiting.next, struct jwks_waiter, link)->fetch <= over)
        stream_wake(LIST_ENTRY(list_pop_front(&fetcher->waiting), struct jwks_waiter, link)->stream);
}

static void on_note(struct note *note) {
    struct jwks_fetcher *fetcher = CONTAINER_OF(note, struct jwks_fetcher, note);
    pthread_mutex_lock(&fetcher->jwks->lock);
    const uint64_t over = fetcher->jwks->over;
    pthread_mutex_unlock(&fetcher->jwks->lock);
    wake_waiting(fetcher, over);
}

// The fetch that runs is over. Where somebody is told there is a stream that waits, and so its worker and these keys: whoever stops to wait takes the lock.
static void finish(struct jwks_fetcher *fetcher) {
    struct jwks *jwks = fetcher->jwks;
    bytes_drop(&jwks->url);
    pthread_mutex_lock(&jwks->lock);
    CHECK(jwks->is_running);
    jwks->is_running = false;
    const uint64_t over = jwks->over = jwks->begun;
    for (struct jwks_fetcher *other = jwks->fetchers; other != NULL; other = other->next) {
        if (other->is_waited_for && other != fetcher)
            mailbox_leave_note(&other->env->loop->mailbox, &other->note);
        other->is_waited_for = false;
    }
    pthread_mutex_unlock(&jwks->lock);
    wake_waiting(fetcher, over);
    mailbox_withdraw_note(&fetcher->env->loop->mailbox,
                          &fetcher->note); // of a fetch before, whose waiters have just been woken: none of them does it any more
    jwks_unref(jwks);
}

static void completed(void *user, const struct subrequest_answer *answer) {
    struct jwks_fetcher *fetcher = user;
    struct worker_metrics *metrics = fetcher->env->metrics;
    const char *wrong = take_answer(fetcher, answer);
    metric_add(wrong == NULL ? &metrics->jwks_fetched : &metrics->jwks_failed, 1);
    if (wrong != NULL)
        log_event(LOG_ERROR, "jwks_failed", "url=\"%.*s\" reason=\"%s\"", BYTES_FORMAT(fetcher->jwks->url), wrong);
    finish(fetcher);
}

// ---- a fetch

// Under the lock.
static struct jwks_fetcher *fetcher_of(struct jwks *jwks, struct stream_env *env) {
    struct jwks_fetcher *fetcher = jwks->fetchers;
    while (fetcher != NULL && fetcher->env != env)
        fetcher = fetcher->next;
    if (fetcher == NULL) {
        fetcher = alloc_zeroed_or_abort(1, sizeof *fetcher);
        *fetcher = (struct jwks_fetcher){.next = jwks->fetchers, .jwks = jwks, .env = env};
        list_init(&fetcher->waiting);
        note_init(&fetcher->note, on_note);
        jwks->fetchers = fetcher;
    }
    return fetcher;
}

// Under the lock: from now on a fetch runs.
static void claim(struct jwks *jwks, nanoseconds now) {
    jwks->is_running = true;
    jwks->begun++;
    for (unsigned lack = JWKS_NONE; lack <= JWKS_KEY_UNKNOWN; lack++)
        jwks->not_before[lack] = now + (lack == JWKS_NONE ? NONE_EVERY_NS : UNKNOWN_EVERY_NS);
    ref(jwks);
}

// One that was claimed. False: nothing can be asked now, and it is over.
static bool start(struct jwks_fetcher *fetcher, struct stream *stream, const struct jwt_provider *provider) {
    const struct service_url *url = provider->url;
    struct jwks *jwks = fetcher->jwks;
    struct head *head = pool_alloc_zeroed(&stream->pool, sizeof *head);
    head_init(head, &stream->pool);
    head->version = HTTP_1_1;
    head->method = METHOD_GET;
    head->method_text = BYTES("GET");
    head->scheme = url->is_https ? BYTES("https") : BYTES("http");
    head->authority = url->authority;
    head->path = url->path;
    head->content_length = -1;
    fields_add(&head->fields, BYTES("accept"), BYTES("application/jwk-set+json, application/json"));
    const struct subrequest_order order = {.kind = SUBREQUEST_KEYS,
                                           .service = url->service,
                                           .head = head,
                                           .timeout = provider->timeout,
                                           .answer_bytes_max = JWK_SET_BYTES_MAX,
                                           .completed = completed,
                                           .user = fetcher};
    jwks->url = bytes_keep(url->text);
    jwks->cache_for = provider->cache_for;
    jwks->keep_for = provider->keep_for;
    if (subrequest_start(stream, &order, NULL) == OK)
        return true;
    metric_add(&fetcher->env->metrics->jwks_failed, 1);
    finish(fetcher);
    return false;
}

void jwks_refresh(struct jwks *jwks, struct stream *stream, const struct jwt_provider *provider) {
    const nanoseconds now = stream->env->loop->now;
    uint64_t due = atomic_load_explicit(&jwks->refresh_at, memory_order_relaxed);
    // One request of all workers' in that time.
    if (due == 0 || now < due || !atomic_compare_exchange_strong(&jwks->refresh_at, &due, now + REFRESH_EVERY_NS))
        return;
    pthread_mutex_lock(&jwks->lock);
    struct jwks_fetcher *fetcher = fetcher_of(jwks, stream->env);
    const bool is_first = !jwks->is_running;
    if (is_first)
        claim(jwks, now);
    pthread_mutex_unlock(&jwks->lock);
    if (is_first)
        (void)start(fetcher, stream, provider);
}

static bool has_changed(const struct jwks *jwks, nanoseconds now, uint64_t version) {
    return jwks_version(jwks, now) != version;
}

enum jwks_wait jwks_await(struct jwks *jwks, struct stream *stream, const struct jwt_provider *provider, enum jwks_lack lack, uint64_t version,
                          struct jwks_waiter *waiter) {
    const nanoseconds now = stream->env->loop->now;
    pthread_mutex_lock(&jwks->lock);
    struct jwks_fetcher *fetcher = fetcher_of(jwks, stream->env);
    const bool is_changed = has_changed(jwks, now, version);
    const bool is_first = !is_changed && !jwks->is_running && now >= jwks->not_before[lack];
    if (is_first)
        claim(jwks, now);
    const bool is_coming = !is_changed && jwks->is_running;
    const uint64_t fetch = jwks->begun;
    fetcher->is_waited_for |= is_coming && !is_first; // else its own worker runs it, and needs no note
    pthread_mutex_unlock(&jwks->lock);
    if (!is_coming)
        return is_changed ? JWKS_CHANGED : JWKS_LACKING;
    if (is_first && !start(fetcher, stream, provider))
        return JWKS_LACKING;
    *waiter = (struct jwks_waiter){.stream = stream, .fetcher = fetcher, .fetch = fetch};
    list_init(&waiter->link);
    list_push_back(&fetcher->waiting, &waiter->link);
    return JWKS_COMING;
}

void jwks_leave(struct jwks_waiter *waiter) {
    struct jwks_fetcher *fetcher = waiter->fetcher;
    if (!list_is_linked(&waiter->link))
        return;
    list_remove(&waiter->link);
    if (!list_is_empty(&fetcher->waiting))
        return;
    pthread_mutex_lock(&fetcher->jwks->lock);
    fetcher->is_waited_for = false;
    pthread_mutex_unlock(&fetcher->jwks->lock);
    mailbox_withdraw_note(&fetcher->env->loop->mailbox, &fetcher->note);
}
