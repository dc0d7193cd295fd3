// Workers share credentials, ticket keys, verified peers and sessions: two threads, each with a loop of its own, use them at once, while a third replaces the
// version in force. ThreadSanitizer is the judge.
#include "net/tls.h"

#include "tls_drive.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

#define THREADS 2
#define ROUNDS 40

static struct test_identity root, client_identity, server_identity;
static struct ticket_keys *keys;

// The version in force, as a mailbox would bring it to each worker.
struct shared {
    pthread_mutex_t lock;
    struct credentials *client, *server;
    _Atomic unsigned running;
};

// libuv closes the descriptors of a loop by the bare system call, which ThreadSanitizer does not see: where the other thread's loop gets the same number next, it would
// take the two for writers of one descriptor. In the proxy all loops are made before the threads.
static pthread_mutex_t making_loops = PTHREAD_MUTEX_INITIALIZER;

struct worker {
    struct shared *shared;
    unsigned seed;
    unsigned done, resumed;
    pthread_t thread;
};

static void take_versions(struct shared *shared, struct credentials **client, struct credentials **server) {
    pthread_mutex_lock(&shared->lock);
    *client = credentials_ref(shared->client);
    *server = credentials_ref(shared->server);
    pthread_mutex_unlock(&shared->lock);
}

static void *run_worker(void *argument) {
    static const struct bytes http1[] = {{"http/1.1", 8}};
    struct worker *worker = argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct credentials *client, *server;
        struct tls_pair pair;
        take_versions(worker->shared, &client, &server);
        pthread_mutex_lock(&making_loops);
        tls_pair_init(&pair, client, server);
        pthread_mutex_unlock(&making_loops);
        pair.client_options.protocols = (struct tls_protocols){http1, 1};
        pair.client_options.session_key = BYTES("one for all");
        tls_pair_begin(&pair, &(struct fake_options){.seed = worker->seed + i, .piece_max = 500});
        credentials_unref(client); // the connections hold them
        credentials_unref(server);
        check_loop_settle(&pair.check);
        if (pair.client.ready_error == OK && pair.server.ready_error == OK)
            worker->done++;
        worker->resumed += tls_was_resumed(pair.server.tls);
        tls_send_ticket(pair.server.tls);
        tls_end_send(&pair.server, BYTES("answer"));
        check_loop_settle(&pair.check);
        tls_pair_end(&pair);
        pthread_mutex_lock(&making_loops);
        tls_pair_dispose(&pair);
        pthread_mutex_unlock(&making_loops);
    }
    atomic_fetch_sub(&worker->shared->running, 1);
    return NULL;
}

static void renew(struct shared *shared, uint64_t generation) {
    struct credentials *client = tls_make_credentials(&client_identity, &root, NULL, keys, generation);
    struct credentials *server = tls_make_credentials(&server_identity, &root, NULL, keys, generation);
    pthread_mutex_lock(&shared->lock);
    struct credentials *old_client = shared->client, *old_server = shared->server;
    shared->client = client;
    shared->server = server;
    pthread_mutex_unlock(&shared->lock);
    credentials_unref(old_client);
    credentials_unref(old_server);
}

static void workers_share_credentials_ticket_keys_and_sessions(void **state) {
    (void)state;
    struct shared shared = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct worker workers[THREADS];
    atomic_init(&shared.running, THREADS);
    renew(&shared, 1);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.shared = &shared, .seed = 1000 * i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]), 0);
    }
    for (uint64_t generation = 2; generation < 6 || atomic_load(&shared.running) == THREADS; generation++)
        renew(&shared, generation);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].done, ROUNDS);
    }
    credentials_unref(shared.client);
    credentials_unref(shared.server);
}

static void sessions_go_from_one_worker_to_the_other(void **state) {
    (void)state;
    struct shared shared = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct worker workers[THREADS];
    atomic_init(&shared.running, THREADS);
    renew(&shared, 1);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.shared = &shared, .seed = 1000 * i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]), 0);
    }
    unsigned resumed = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].done, ROUNDS);
        resumed += workers[i].resumed;
    }
    // All but the first of each, which may have begun before any ticket was there.
    assert_true(resumed >= THREADS * ROUNDS - THREADS);
    credentials_unref(shared.client);
    credentials_unref(shared.server);
}

static int set_up(void **state) {
    (void)state;
    root = test_root("spiffe://school.local");
    client_identity = test_svid(CLIENT_ID, &root);
    server_identity = test_svid(SERVER_ID, &root);
    keys = ticket_keys_create();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    ticket_keys_destroy(keys);
    test_identity_free(&client_identity);
    test_identity_free(&server_identity);
    test_identity_free(&root);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_share_credentials_ticket_keys_and_sessions),
        cmocka_unit_test(sessions_go_from_one_worker_to_the_other),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
