// Chains of a snapshot: built once for each service, the same for all who share them, and ended once with the last of them, whichever thread that is on.
#include "stream/chain_set.h"

#include "base/check.h"
#include "config/load.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define HOLDERS 8
#define SERVICES 3 // of the documents below: two ports and the application

static const char documents[] = "apiVersion: outrigger.dev/v1alpha1\n"
                                "kind: Proxy\n"
                                "metadata: {name: p}\n"
                                "spec:\n"
                                "  admin: {disabled: true}\n"
                                "  metrics: {disabled: true}\n"
                                "  listeners:\n"
                                "    - {name: out, role: Outbound, address: '127.0.0.1:15001'}\n"
                                "    - {name: in, role: Inbound, address: '127.0.0.1:15006', forwardTo: '127.0.0.1:8080', mtls: {mode: Disable}}\n"
                                "---\n"
                                "apiVersion: outrigger.dev/v1alpha1\n"
                                "kind: ServiceEntry\n"
                                "metadata: {name: s}\n"
                                "spec:\n"
                                "  hosts: [s]\n"
                                "  resolution: Static\n"
                                "  tls: {mode: None}\n"
                                "  ports: [{name: a, port: 80}, {name: b, port: 81}]\n"
                                "  endpoints: [{address: '127.0.0.1'}]\n";

// Plain numbers on purpose: that the last one to go sees what the others did is what ThreadSanitizer looks at.
struct config {
    const struct service_config *service;
    enum filter_role role;
};
static unsigned configured, disposed, applications;

static const void *configure(const struct filter_scope *scope, struct pool *pool) {
    struct config *config = pool_alloc(pool, sizeof *config);
    *config = (struct config){.service = scope->destination->service, .role = scope->role};
    configured++;
    return config;
}

static void dispose(const void *config_pointer) {
    const struct config *config = config_pointer;
    CHECK(config->service->key.len > 0); // the snapshot is still there
    applications += config->service->is_application ? 1 : 0;
    CHECK(config->service->is_application == (config->role == FILTER_INBOUND));
    disposed++;
}

static const struct filter_type type = {.name = "deadline", .configure = configure, .ops = {.dispose = dispose}};
static const struct filter_type *const types[] = {&type, NULL};

static struct chain_set *create(void) {
    struct snapshot *snapshot;
    struct config_errors errors, warnings;
    config_errors_init(&errors);
    config_errors_init(&warnings);
    enum error error = config_load_text("test.yaml", bytes_from_text(documents), &snapshot, &errors, &warnings);
    for (uint32_t i = 0; i < errors.count; i++)
        print_error("%s\n", errors.lines[i]);
    config_errors_dispose(&errors);
    config_errors_dispose(&warnings);
    assert_int_equal(error, OK);
    configured = disposed = applications = 0;
    return chain_set_create(snapshot, types, NULL, NULL);
}

static void each_service_has_the_chain_of_its_role(void **state) {
    (void)state;
    struct chain_set *set = create();
    assert_int_equal(set->snapshot->service_count, SERVICES);
    assert_int_equal(configured, SERVICES);
    for (uint32_t i = 0; i < SERVICES; i++) {
        assert_int_equal(set->chains[i]->count, 1);
        const struct config *config = set->chains[i]->filters[0].config;
        assert_ptr_equal(config->service, set->snapshot->services[i]);
    }
    chain_set_unref(set);
    assert_int_equal(disposed, SERVICES);
    assert_int_equal(applications, 1);
}

static void *read_and_let_go(void *argument) {
    struct chain_set *set = argument;
    for (uint32_t i = 0; i < SERVICES; i++) {
        const struct config *config = set->chains[i]->filters[0].config;
        CHECK(config->service == set->snapshot->services[i]);
    }
    chain_set_unref(set);
    return NULL;
}

static void the_last_of_all_threads_ends_each_filter_once(void **state) {
    (void)state;
    pthread_t threads[HOLDERS];
    struct chain_set *set = create();
    for (unsigned i = 0; i < HOLDERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_and_let_go, chain_set_ref(set)), 0);
    chain_set_unref(set);
    for (unsigned i = 0; i < HOLDERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(configured, SERVICES);
    assert_int_equal(disposed, SERVICES);
}

static void nothing_ends_while_somebody_holds_it(void **state) {
    (void)state;
    struct chain_set *set = create();
    assert_ptr_equal(chain_set_ref(set), set);
    chain_set_unref(set);
    assert_int_equal(disposed, 0);
    assert_int_equal(set->chains[0]->count, 1);
    chain_set_unref(set);
    assert_int_equal(disposed, SERVICES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_service_has_the_chain_of_its_role),
        cmocka_unit_test(the_last_of_all_threads_ends_each_filter_once),
        cmocka_unit_test(nothing_ends_while_somebody_holds_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
