// A service outlives its configuration: an update keeps endpoints that are still in it, with their load and connections, and lets go of the others; what
// all workers share is found by key.
#include "unit/upstream/pool_drive.h"

#include "upstream/endpoint_wait.h"

#define TWO "{address: '127.0.0.1:8001'}, {address: '127.0.0.1:8002'}"
#define ONE_AND_THREE "{address: '127.0.0.1:8001', weight: 3}, {address: '127.0.0.1:8003'}"
#define KEY "default/a:80"
#define WITH(endpoints) PROXY_DOCUMENT SERVICE_DOCUMENT("a", "HTTP1", endpoints)

static void an_update_keeps_what_is_still_there(void **state) {
    (void)state;
    struct fake_upstream far;
    struct try try;
    fake_upstream_init(&far, WITH(TWO));
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    struct endpoint *first = cluster->endpoints[0];
    struct endpoint *second = cluster->endpoints[1];
    try_begin(&try, &far, pool_of(&far, KEY, 0, POOL_HTTP1));
    fake_upstream_settle(&far);
    cluster_begin(cluster, first);
    first->cost_ns = 5e6;
    endpoint_ref(second);
    fake_upstream_apply(&far, WITH(ONE_AND_THREE));
    assert_ptr_equal(fake_upstream_cluster(&far, KEY), cluster);
    assert_int_equal(cluster->endpoint_count, 2);
    assert_ptr_equal(cluster->endpoints[0], first);
    assert_int_equal(first->weight, 3);
    assert_true(cluster->levels.items[0].weighted);
    assert_int_equal(first->in_flight, 1);
    assert_true(first->cost_ns == 5e6);
    assert_int_equal(first->links->pools[POOL_HTTP1].open, 1);
    assert_ptr_not_equal(cluster->endpoints[1], second);
    assert_null(second->cluster);
    endpoint_unref(second);
    // The stream under way ends as ever.
    far_respond(far_conn(&far, 0), far_request(far_conn(&far, 0), 0), 204, "", NULL, true);
    assert_true(try.up.ended);
    cluster_done(cluster, first, LB_ANSWERED, NS_PER_MS);
    try_end(&try);
    fake_upstream_dispose(&far);
}

static void an_update_keeps_endpoints_in_any_order(void **state) {
    (void)state;
    struct fake_upstream far;
    fake_upstream_init(&far, WITH(TWO));
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    struct endpoint *first = cluster->endpoints[0];
    struct endpoint *second = cluster->endpoints[1];
    fake_upstream_apply(&far, WITH("{address: '127.0.0.1:8002'}, {address: '127.0.0.1:8001'}"));
    assert_ptr_equal(cluster->endpoints[0], second);
    assert_ptr_equal(cluster->endpoints[1], first);
    assert_false(cluster->levels.items[0].weighted);
    fake_upstream_dispose(&far);
}

static void an_update_changes_settings_at_once(void **state) {
    (void)state;
    struct fake_upstream far;
    fake_upstream_init(&far, WITH(TWO) POLICY_DOCUMENT("a", "  loadBalancer: {type: RoundRobin}\n  connections: {max: 7}\n"));
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    assert_ptr_equal(cluster->levels.items[0].algorithm, &lb_round_robin);
    assert_int_equal(cluster->traffic.connections.max, 7);
    cluster_begin(cluster, cluster->endpoints[0]);
    fake_upstream_apply(&far, WITH(TWO));
    assert_ptr_equal(cluster->levels.items[0].algorithm, &lb_peak_ewma);
    assert_int_equal(cluster->traffic.connections.max, 0);
    // Work in flight is given back to the algorithm that is there now.
    cluster_done(cluster, cluster->endpoints[0], LB_ANSWERED, NS_PER_MS);
    assert_int_equal(cluster->endpoints[0]->in_flight, 0);
    fake_upstream_dispose(&far);
}

#define HEAVY(weight) "{address: '127.0.0.1:8001', weight: " weight "}, {address: '127.0.0.1:8002', weight: 2}"
#define IN_TURN POLICY_DOCUMENT("a", "  loadBalancer: {type: RoundRobin}\n")

static unsigned picks_of_first(struct fake_upstream *far, unsigned picks) {
    struct cluster *cluster = fake_upstream_cluster(far, KEY);
    unsigned count = 0;
    for (unsigned i = 0; i < picks; i++)
        count += cluster_pick(cluster, NULL, 0, NULL) == cluster->endpoints[0];
    return count;
}

static void weights_that_were_changed_hold_at_once(void **state) {
    (void)state;
    struct fake_upstream far;
    fake_upstream_init(&far, WITH(HEAVY("1000000")) IN_TURN);
    assert_in_range(picks_of_first(&far, 250), 249, 250);
    fake_upstream_apply(&far, WITH(HEAVY("1")) IN_TURN);
    assert_int_equal(picks_of_first(&far, 30), 10);
    // Other documents than these change nothing.
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    const void *turns = cluster->levels.items[0].table;
    fake_upstream_apply(&far, WITH(HEAVY("1")) POLICY_DOCUMENT("a", "  loadBalancer: {type: RoundRobin}\n  connections: {max: 7}\n"));
    assert_ptr_equal(cluster->levels.items[0].table, turns);
    fake_upstream_dispose(&far);
}

static void a_service_that_is_gone_lives_while_it_is_used(void **state) {
    (void)state;
    struct fake_upstream far;
    fake_upstream_init(&far, WITH(TWO));
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    cluster_ref(cluster);
    fake_upstream_apply(&far, PROXY_DOCUMENT);
    assert_int_equal(far.upstream.clusters.count, 0);
    assert_non_null(cluster_pick(cluster, NULL, 0, NULL));
    fake_upstream_apply(&far, WITH(TWO));
    assert_ptr_not_equal(fake_upstream_cluster(&far, KEY), cluster);
    // The two share what all workers do.
    assert_ptr_equal(fake_upstream_cluster(&far, KEY)->shared, cluster->shared);
    cluster_unref(cluster);
    fake_upstream_dispose(&far);
}

static void a_service_without_endpoints_has_none_to_pick(void **state) {
    (void)state;
    struct fake_upstream far;
    fake_upstream_init(&far, WITH("{address: '127.0.0.1:8001', weight: 0}, {address: '127.0.0.1:8002', weight: 0}"));
    assert_null(cluster_pick(fake_upstream_cluster(&far, KEY), NULL, 0, NULL));
    fake_upstream_dispose(&far);
}

static void a_tried_endpoint_is_picked_again_only_when_it_is_alone(void **state) {
    (void)state;
    struct fake_upstream far;
    fake_upstream_init(&far, WITH(TWO));
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    struct endpoint *tried[] = {cluster->endpoints[0], NULL};
    for (int i = 0; i < 20; i++)
        assert_ptr_equal(cluster_pick(cluster, tried, 2, NULL), cluster->endpoints[1]);
    fake_upstream_apply(&far, WITH("{address: '127.0.0.1:8001'}"));
    assert_ptr_equal(cluster_pick(cluster, tried, 2, NULL), tried[0]);
    fake_upstream_dispose(&far);
}

#define BY_NAME                                                                                                                             \
    PROXY_DOCUMENT API "kind: ServiceEntry\nmetadata: {name: a}\nspec:\n  hosts: [a]\n  ports: [{name: http, port: 80, protocol: HTTP1}]\n" \
                       "  tls: {mode: None}\n  resolution: DNS\n  endpoints: [{address: 'a.example:8001'}]\n---\n"

// A set of one endpoint.
static struct endpoint_set *set_of(struct fake_upstream *far, uint64_t digest) {
    const struct service_config *service = far->snapshot->services[0];
    struct endpoint_set *set = endpoint_set_create(far->snapshot, service);
    set->endpoints = pool_alloc_zeroed(&set->pool, sizeof *set->endpoints);
    set->endpoints[0] = service->sources[0].endpoint;
    set->count = 1;
    set->digest = digest;
    return set;
}

static void a_set_that_says_the_same_changes_nothing(void **state) {
    (void)state;
    struct fake_upstream far;
    fake_upstream_init(&far, BY_NAME);
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    cluster_set_endpoints(cluster, set_of(&far, 7));
    struct endpoint *const *endpoints = cluster->endpoints;
    fake_upstream_apply(&far, BY_NAME);
    struct endpoint_set *same = set_of(&far, 7);
    cluster_set_endpoints(cluster, same);
    assert_ptr_equal(cluster->endpoints, endpoints); // an update makes a list of its own
    assert_ptr_equal(cluster->set, same);            // it pins the newest snapshot
    cluster_set_endpoints(cluster, set_of(&far, 8));
    assert_ptr_not_equal(cluster->endpoints, endpoints);
    endpoints = cluster->endpoints;
    cluster_set_endpoints(cluster, set_of(&far, 0)); // of nobody who has compared
    cluster_set_endpoints(cluster, set_of(&far, 0));
    assert_ptr_not_equal(cluster->endpoints, endpoints);
    fake_upstream_dispose(&far);
}

// A set pins its whole snapshot; a stream that outlives its service needs its endpoints alone.
static void a_service_that_is_gone_lets_go_of_its_set(void **state) {
    (void)state;
    struct fake_upstream far;
    struct bytes detail;
    fake_upstream_init(&far, BY_NAME);
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    struct endpoint_set *set = set_of(&far, 7);
    cluster_set_endpoints(cluster, endpoint_set_ref(set));
    cluster_ref(cluster);
    fake_upstream_apply(&far, PROXY_DOCUMENT);
    assert_null(cluster->set);
    assert_int_equal(atomic_load(&set->references), 1);
    endpoint_set_unref(set); // with the last reference to its snapshot
    assert_int_equal(cluster->endpoint_count, 1);
    struct endpoint *endpoint = cluster_pick(cluster, NULL, 0, NULL);
    assert_non_null(endpoint);
    struct try try;
    try_begin(&try, &far, (endpoint_link(endpoint), &endpoint->links->pools[POOL_HTTP1]));
    fake_upstream_settle(&far);
    assert_true(try.sent);
    assert_int_equal(cluster_why_none(cluster, &detail), ERROR_NO_ENDPOINT);
    try_end(&try);
    cluster_unref(cluster);
    fake_upstream_dispose(&far);
}

static void note_woken(struct task *task) {
    (void)task;
}

// Its answer would not find it any more.
static void who_waits_for_the_names_of_a_service_that_is_gone_is_told(void **state) {
    (void)state;
    struct fake_upstream far;
    struct bytes detail;
    struct endpoint_wait wait;
    struct task task;
    fake_upstream_init(&far, BY_NAME);
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    cluster_ref(cluster);
    task_init(&task, note_woken);
    assert_int_equal(cluster_why_none(cluster, &detail), ERROR_CANCELLED);
    assert_int_equal(endpoint_wait_start(&wait, cluster, &task), OK);
    fake_upstream_apply(&far, PROXY_DOCUMENT);
    assert_false(endpoint_wait_is_pending(&wait));
    assert_int_equal(cluster_why_none(cluster, &detail), ERROR_NO_ENDPOINT);
    fake_upstream_settle(&far);
    cluster_unref(cluster);
    fake_upstream_dispose(&far);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_update_keeps_what_is_still_there),
        cmocka_unit_test(an_update_keeps_endpoints_in_any_order),
        cmocka_unit_test(an_update_changes_settings_at_once),
        cmocka_unit_test(a_service_that_is_gone_lives_while_it_is_used),
        cmocka_unit_test(weights_that_were_changed_hold_at_once),
        cmocka_unit_test(a_service_without_endpoints_has_none_to_pick),
        cmocka_unit_test(a_tried_endpoint_is_picked_again_only_when_it_is_alone),
        cmocka_unit_test(a_set_that_says_the_same_changes_nothing),
        cmocka_unit_test(a_service_that_is_gone_lets_go_of_its_set),
        cmocka_unit_test(who_waits_for_the_names_of_a_service_that_is_gone_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
