// What a pick costs with 10 endpoints and with 10,000, and how many bytes an endpoint takes that was not used yet: in memory, without sockets.
//
//   bench-balancer       a line of JSON: nanoseconds per pick (with the count of what is in flight before and after it) by algorithm, bytes per endpoint
#include "config/load.h"
#include "support/fake_upstream.h"
#include "upstream/cluster.h"

#include "base/check.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FEW 10
#define MANY 10000
#define PICKS 200000
#define ROUNDS 20 // the best counts: what disturbs only adds
#define IN_FLIGHT 32
#define BETWEEN_NS (20 * NS_PER_US) // a busy proxy

// CPU time, since others may use the machine as well.
static nanoseconds cpu_now(void) {
    struct timespec now;
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
    return (nanoseconds)now.tv_sec * NS_PER_S + (nanoseconds)now.tv_nsec;
}

static char *documents(const char *balancer, unsigned endpoints) {
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    CHECK(out != NULL);
    fprintf(out, "apiVersion: outrigger.dev/v1alpha1\nkind: Proxy\nmetadata: {name: p}\nspec:\n  listeners: [{name: o, role: Outbound}]\n---\n");
    fprintf(out,
            "apiVersion: outrigger.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {name: s}\nspec:\n  targetRefs: [{kind: Service, name: s}]\n"
            "  loadBalancer: {%s}\n---\n",
            balancer);
    fprintf(out,
            "apiVersion: outrigger.dev/v1alpha1\nkind: ServiceEntry\nmetadata: {name: s}\nspec:\n  hosts: [s]\n  ports: [{name: http, port: 80}]\n"
            "  tls: {mode: None}\n  endpoints:\n");
    for (unsigned i = 0; i < endpoints; i++)
        fprintf(out, "  - {address: '10.0.%u.%u:8000', zone: eu-1a, region: eu-1}\n", i / 256, i % 256);
    CHECK(fclose(out) == 0);
    return text;
}

static size_t heap_used(void) {
    return mallinfo2().uordblks;
}

// What a snapshot of so many endpoints takes, and with the live objects of one worker.
static void measure_memory(unsigned endpoints, size_t *config, size_t *all) {
    struct fake_upstream far;
    char *text = documents("type: PeakEWMA", endpoints);
    struct config_errors errors, warnings;
    struct snapshot *snapshot;
    config_errors_init(&errors);
    config_errors_init(&warnings);
    size_t before = heap_used();
    enum error error = config_load_text("bench", bytes_from_text(text), &snapshot, &errors, &warnings);
    CHECK(error == OK);
    *config = heap_used() - before;
    snapshot_unref(snapshot);
    config_errors_dispose(&errors);
    config_errors_dispose(&warnings);
    fake_upstream_init(&far, NULL);
    before = heap_used();
    fake_upstream_apply(&far, text);
    *all = heap_used() - before;
    fake_upstream_dispose(&far);
    free(text);
}

static double measure_pick(const char *balancer, unsigned endpoints) {
    struct fake_upstream far;
    struct endpoint *running[IN_FLIGHT] = {NULL};
    char *text = documents(balancer, endpoints);
    fake_upstream_init(&far, text);
    struct cluster *cluster = fake_upstream_cluster(&far, "default/s:80");
    // All have been used, and have been measured.
    for (uint32_t i = 0; i < cluster->endpoint_count; i++) {
        cluster_begin(cluster, cluster->endpoints[i]);
        cluster_done(cluster, cluster->endpoints[i], LB_ANSWERED, (1 + i % 7) * NS_PER_MS);
    }
    double best = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        nanoseconds begun = cpu_now();
        for (unsigned i = 0; i < PICKS; i++) {
            struct endpoint **place = &running[i % IN_FLIGHT];
            if (*place != NULL)
                cluster_done(cluster, *place, LB_ANSWERED, (1 + i % 7) * NS_PER_MS);
            uint64_t key = (round * PICKS + i) * UINT64_C(0x9e3779b97f4a7c15);
            *place = cluster_pick(cluster, NULL, 0, &key);
            cluster_begin(cluster, *place);
            far.check.loop.now += BETWEEN_NS;
        }
        double cost = (double)(cpu_now() - begun) / PICKS;
        best = round == 0 || cost < best ? cost : best;
    }
    for (unsigned i = 0; i < IN_FLIGHT; i++)
        cluster_done(cluster, running[i], LB_CANCELLED, 0);
    fake_upstream_dispose(&far);
    free(text);
    return best;
}

int main(void) {
    static const char *const balancers[][2] = {
        {"PeakEWMA", "type: PeakEWMA"},
        {"LeastRequest", "type: LeastRequest"},
        {"RoundRobin", "type: RoundRobin"},
        {"Random", "type: Random"},
        {"RingHash", "type: RingHash, key: [{type: Path}]"},
        {"Maglev", "type: Maglev, key: [{type: Path}]"},
    };
    size_t config_few, config_many, all_few, all_many;
    measure_memory(FEW, &config_few, &all_few);
    measure_memory(MANY, &config_many, &all_many);
    printf("{\"bytes_per_endpoint\": %.1f, \"bytes_of_config\": %.1f", (double)(all_many - all_few) / (MANY - FEW),
           (double)(config_many - config_few) / (MANY - FEW));
    for (size_t i = 0; i < sizeof balancers / sizeof balancers[0]; i++)
        printf(", \"%s\": [%.1f, %.1f]", balancers[i][0], measure_pick(balancers[i][1], FEW), measure_pick(balancers[i][1], MANY));
    printf("}\n");
    return 0;
}
