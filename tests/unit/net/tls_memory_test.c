// OpenSSL on an allocator of ours: buffers of records are kept, content stays, threads come and go.
#include "net/tls_memory.h"

#include "tls_two_ends.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void buffers_of_records_are_kept_for_the_next(void **state) {
    (void)state;
    void *taken[TLS_MEMORY_KEPT];
    for (size_t i = 0; i < TLS_MEMORY_KEPT; i++)
        taken[i] = OPENSSL_malloc(16400 + 100 * i);
    for (size_t i = 0; i < TLS_MEMORY_KEPT; i++)
        OPENSSL_free(taken[i]);
    for (size_t i = TLS_MEMORY_KEPT; i-- > 0;)
        assert_ptr_equal(OPENSSL_malloc(17000), taken[i]);
    for (size_t i = 0; i < TLS_MEMORY_KEPT; i++)
        OPENSSL_free(taken[i]);
}

static void a_connection_works_on_them(void **state) {
    (void)state;
    struct tls_pair pair;
    tls_pair_init(&pair, client_credentials, server_credentials);
    tls_pair_begin(&pair, NULL);
    check_loop_settle(&pair.check);
    assert_int_equal(pair.server.ready_error, OK);
    for (int i = 0; i < 100; i++) {
        tls_end_send(&pair.client, BYTES("request"));
        check_loop_settle(&pair.check);
        tls_end_send(&pair.server, BYTES("response"));
        check_loop_settle(&pair.check);
    }
    assert_int_equal(pair.server.received_length, 700);
    assert_int_equal(pair.client.received_length, 800);
    tls_pair_end(&pair);
    tls_pair_dispose(&pair);
}

static void memory_of_all_sizes_keeps_its_content(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 100, 16383, 16384, 16500, 18432, 18433, 40000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
            unsigned char *memory = OPENSSL_malloc(sizes[i]);
            memset(memory, 7, sizes[i]);
            memory = OPENSSL_realloc(memory, sizes[j]);
            size_t shorter = sizes[i] < sizes[j] ? sizes[i] : sizes[j];
            for (size_t k = 0; k < shorter; k++)
                assert_int_equal(memory[k], 7);
            memset(memory, 8, sizes[j]);
            OPENSSL_free(memory);
        }
    }
    OPENSSL_free(NULL);
}

static void *take_and_leave(void *argument) {
    void **given = argument;
    OPENSSL_free(*given); // taken on another thread
    void *buffers[TLS_MEMORY_KEPT * 2];
    for (size_t i = 0; i < TLS_MEMORY_KEPT * 2; i++)
        buffers[i] = OPENSSL_malloc(16400);
    *given = buffers[0];
    for (size_t i = 1; i < TLS_MEMORY_KEPT * 2; i++)
        OPENSSL_free(buffers[i]);
    return NULL;
}

static void what_a_thread_has_kept_goes_with_it(void **state) {
    (void)state;
    void *given = OPENSSL_malloc(16400);
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, take_and_leave, &given), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    OPENSSL_free(given);
}

int main(void) {
    tls_memory_install();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffers_of_records_are_kept_for_the_next),
        cmocka_unit_test(a_connection_works_on_them),
        cmocka_unit_test(memory_of_all_sizes_keeps_its_content),
        cmocka_unit_test(what_a_thread_has_kept_goes_with_it),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
