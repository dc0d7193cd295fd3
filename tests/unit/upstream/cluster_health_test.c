// An endpoint that is ejected, or unhealthy, is not picked by any worker, from its next pick on, and comes back by itself; what all workers share of it goes with the last that has it; a reload keeps
// it; a dry run picks on; in a panic all are used.
#include "unit/upstream/pool_drive.h"

#include "upstream/cluster_health.h"

#include <stdio.h>

#define KEY "default/a:80"
#define TWO "{address: '127.0.0.1:8001'}, {address: '127.0.0.1:8002'}"
#define FOUR TWO ", {address: '127.0.0.1:8003'}, {address: '127.0.0.1:8004'}"
#define WITH(endpoints, groups) PROXY_DOCUMENT SERVICE_DOCUMENT("a", "HTTP1", endpoints) POLICY_DOCUMENT("a", groups)
#define RANDOM "  loadBalancer: {type: Random}\n"
#define EJECT "  outlierDetection: {failureThreshold: 2, ejectFor: 1s, interval: 1s}\n"
#define CHECKED "  healthCheck: {interval: 1s}\n"

// A second worker's cluster, that shares with the first.
struct other_worker {
    struct worker_metrics metrics;
    struct upstream upstream;
    struct cluster *cluster;
};

static void other_worker_init(struct other_worker *other, struct fake_upstream *far) {
    *other = (struct other_worker){0};
    upstream_init(&other->upstream, far->upstream.loop, &other->metrics, far->shared, far->h2_memory);
    other->cluster = cluster_create(&other->upstream, far->snapshot->services[0]);
}

static void other_worker_dispose(struct other_worker *other) {
    cluster_unref(other->cluster);
    upstream_close_all(&other->upstream);
    upstream_dispose(&other->upstream);
}

static bool fail_one(struct cluster *cluster, unsigned position) {
    struct endpoint *endpoint = cluster->endpoints[position];
    cluster_begin(cluster, endpoint);
    cluster_done(cluster, endpoint, LB_FAILED, NS_PER_MS);
    return cluster_health_note(endpoint, ENDPOINT_FAILED, ERROR_CONNECT_REFUSED);
}

static void eject(struct cluster *cluster, unsigned position) {
    assert_false(fail_one(cluster, position));
    assert_true(fail_one(cluster, position));
}

static bool is_picked(struct cluster *cluster, unsigned position) {
    for (int i = 0; i < 200; i++)
        if (cluster_pick(cluster, NULL, 0, NULL) == cluster->endpoints[position])
            return true;
    return false;
}

static void set_unhealthy(struct cluster *cluster, unsigned position, bool unhealthy) {
    atomic_store(&cluster->endpoints[position]->shared->is_unhealthy, unhealthy);
    atomic_fetch_add(&cluster->shared->health_version, 1);
}

static void no_worker_picks_one_that_is_ejected_until_it_returns(void **state) {
    (void)state;
    struct fake_upstream far;
    struct other_worker other;
    fake_upstream_init(&far, WITH(TWO, RANDOM EJECT));
    other_worker_init(&other, &far);
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    cluster_begin(other.cluster, other.cluster->endpoints[0]);
    eject(cluster, 0);
    assert_false(is_picked(cluster, 0));
    assert_false(is_picked(other.cluster, 0));
    assert_true(is_picked(other.cluster, 1));
    assert_string_equal(endpoint_state_word(cluster->endpoints[0]).at, "ejected");
    // Only one of two at a time.
    fail_one(cluster, 1);
    assert_false(fail_one(cluster, 1));
    fake_upstream_pass(&far, NS_PER_S);
    assert_true(is_picked(cluster, 0));
    assert_true(is_picked(other.cluster, 0));
    assert_false(timer_is_running(&cluster->health_timer));
    assert_int_equal(cluster->shared->outliers.ejected, 0);
    cluster_done(other.cluster, other.cluster->endpoints[0], LB_ANSWERED, NS_PER_MS);
    other_worker_dispose(&other);
    fake_upstream_dispose(&far);
}

static void a_worker_that_begins_with_one_later_sees_that_it_is_ejected(void **state) {
    (void)state;
    struct fake_upstream far;
    struct other_worker other;
    fake_upstream_init(&far, WITH(TWO, RANDOM EJECT));
    other_worker_init(&other, &far);
    eject(fake_upstream_cluster(&far, KEY), 0);
    struct endpoint *endpoint = other.cluster->endpoints[0];
    assert_non_null(cluster_pick(other.cluster, NULL, 0, NULL)); // a look that cannot know
    assert_null(endpoint->shared);
    cluster_begin(other.cluster, endpoint);
    assert_false(is_picked(other.cluster, 0));
    cluster_done(other.cluster, endpoint, LB_FAILED, NS_PER_MS);
    fake_upstream_pass(&far, NS_PER_S);
    assert_true(is_picked(other.cluster, 0));
    other_worker_dispose(&other);
    fake_upstream_dispose(&far);
}

// Failures of both count for the same row, and one success of either ends it.
static void workers_count_together(void **state) {
    (void)state;
    struct fake_upstream far;
    struct other_worker other;
    fake_upstream_init(&far, WITH(TWO, RANDOM EJECT));
    other_worker_init(&other, &far);
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    assert_false(fail_one(cluster, 0));
    cluster_begin(other.cluster, other.cluster->endpoints[0]);
    cluster_done(other.cluster, other.cluster->endpoints[0], LB_ANSWERED, NS_PER_MS);
    assert_false(cluster_health_note(other.cluster->endpoints[0], ENDPOINT_WELL, 0));
    assert_false(fail_one(cluster, 0));
    assert_false(cluster_health_note(other.cluster->endpoints[0], ENDPOINT_NOT_TOLD, 0));
    assert_true(fail_one(other.cluster, 0));
    assert_false(is_picked(cluster, 0));
    other_worker_dispose(&other);
    fake_upstream_dispose(&far);
}

static void a_reload_keeps_it_and_takes_new_settings(void **state) {
    (void)state;
    struct fake_upstream far;
    fake_upstream_init(&far, WITH(TWO, RANDOM EJECT));
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    eject(cluster, 0);
    fake_upstream_apply(&far, WITH(TWO ", {address: '127.0.0.1:8003'}", RANDOM EJECT));
    assert_false(is_picked(cluster, 0));
    assert_true(is_picked(cluster, 2));
    fake_upstream_apply(&far, WITH(TWO, RANDOM "  outlierDetection: {disabled: true}\n"));
    assert_true(is_picked(cluster, 0));
    fake_upstream_apply(&far, WITH(TWO, RANDOM EJECT));
    assert_false(is_picked(cluster, 0));
    // One that goes gives back its share; if it comes again it is new.
    fake_upstream_apply(&far, WITH("{address: '127.0.0.1:8002'}, {address: '127.0.0.1:8003'}", RANDOM EJECT));
    assert_int_equal(cluster->shared->outliers.ejected, 0);
    fake_upstream_apply(&far, WITH(TWO, RANDOM EJECT));
    assert_true(is_picked(cluster, 0));
    fake_upstream_dispose(&far);
}

static void a_dry_run_goes_on_picking(void **state) {
    (void)state;
    struct fake_upstream far;
    fake_upstream_init(&far, WITH(TWO, RANDOM "  outlierDetection: {failureThreshold: 2, ejectFor: 1s, mode: DryRun}\n"));
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    fail_one(cluster, 0);
    assert_false(fail_one(cluster, 0));
    assert_int_equal(cluster->shared->outliers.shadow_ejections, 1);
    assert_int_equal(cluster->shared->outliers.ejections, 0);
    assert_true(is_picked(cluster, 0));
    fake_upstream_pass(&far, NS_PER_S);
    assert_int_equal(cluster->shared->outliers.shadow_ejected, 0);
    fake_upstream_dispose(&far);
}

static void the_only_endpoint_is_never_ejected(void **state) {
    (void)state;
    struct fake_upstream far;
    fake_upstream_init(&far, WITH(ONE_ENDPOINT, RANDOM EJECT));
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    for (int i = 0; i < 10; i++)
        assert_false(fail_one(cluster, 0));
    assert_int_equal(cluster->endpoints[0]->unavailable, 0);
    fake_upstream_dispose(&far);
}

static void in_a_panic_all_are_used(void **state) {
    (void)state;
    struct fake_upstream far;
    fake_upstream_init(&far, WITH(FOUR, RANDOM "  outlierDetection: {failureThreshold: 2, maxEjectedPercent: 100}\n"));
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    eject(cluster, 0);
    eject(cluster, 1);
    assert_false(is_picked(cluster, 0));
    eject(cluster, 2); // one of four is left
    for (unsigned i = 0; i < 4; i++)
        assert_true(is_picked(cluster, i));
    fake_upstream_dispose(&far);
}

static void an_unhealthy_one_is_not_picked_by_any_worker(void **state) {
    (void)state;
    struct fake_upstream far;
    struct other_worker other;
    fake_upstream_init(&far, WITH(TWO, RANDOM CHECKED));
    other_worker_init(&other, &far);
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    assert_ptr_equal(cluster->endpoints[0]->shared, other.cluster->endpoints[0]->shared);
    assert_null(cluster->endpoints[0]->links);
    set_unhealthy(cluster, 0, true);
    assert_false(is_picked(cluster, 0));
    assert_false(is_picked(other.cluster, 0));
    assert_string_equal(endpoint_state_word(cluster->endpoints[0]).at, "unhealthy");
    // A worker that begins later sees it at once.
    struct other_worker late;
    other_worker_init(&late, &far);
    assert_false(is_picked(late.cluster, 0));
    other_worker_dispose(&late);
    set_unhealthy(cluster, 0, false);
    assert_true(is_picked(cluster, 0));
    set_unhealthy(cluster, 0, true);
    assert_false(is_picked(cluster, 0));
    // Without checks nobody is unhealthy, and what nobody was sent a request has nothing shared.
    fake_upstream_apply(&far, WITH(TWO, RANDOM));
    assert_true(is_picked(cluster, 0));
    assert_null(cluster->endpoints[0]->shared);
    other_worker_dispose(&other);
    fake_upstream_dispose(&far);
}

// However often it changes, ten thousand endpoints are not looked at for each pick.
static void looks_are_seldom_where_there_are_many(void **state) {
    (void)state;
    struct fake_upstream far;
    static char documents[32768];
    size_t length = (size_t)snprintf(documents, sizeof documents,
                                     PROXY_DOCUMENT API "kind: ServiceEntry\nmetadata: {name: a}\nspec:\n  hosts: [a]\n"
                                                        "  ports: [{name: http, port: 80, protocol: HTTP1}]\n  tls: {mode: None}\n  endpoints:\n");
    for (unsigned i = 0; i < 300; i++)
        length += (size_t)snprintf(documents + length, sizeof documents - length, "  - {address: '127.0.0.1:%u'}\n", 8000 + i);
    snprintf(documents + length, sizeof documents - length, "---\n" POLICY_DOCUMENT("a", CHECKED));
    fake_upstream_init(&far, documents);
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    set_unhealthy(cluster, 0, true);
    assert_int_equal(cluster->endpoints[0]->unavailable, 0);
    cluster_pick(cluster, NULL, 0, NULL); // it was looked at when it was made
    assert_int_equal(cluster->endpoints[0]->unavailable, 0);
    fake_upstream_pass(&far, NS_PER_MS);
    cluster_pick(cluster, NULL, 0, NULL);
    assert_int_equal(cluster->endpoints[0]->unavailable, UNAVAILABLE_UNHEALTHY);
    fake_upstream_dispose(&far);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_worker_picks_one_that_is_ejected_until_it_returns),
        cmocka_unit_test(a_worker_that_begins_with_one_later_sees_that_it_is_ejected),
        cmocka_unit_test(workers_count_together),
        cmocka_unit_test(a_reload_keeps_it_and_takes_new_settings),
        cmocka_unit_test(a_dry_run_goes_on_picking),
        cmocka_unit_test(the_only_endpoint_is_never_ejected),
        cmocka_unit_test(in_a_panic_all_are_used),
        cmocka_unit_test(an_unhealthy_one_is_not_picked_by_any_worker),
        cmocka_unit_test(looks_are_seldom_where_there_are_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
