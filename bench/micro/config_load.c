// What a set of documents costs, from its files to a worker that uses it: each step in milliseconds, and the memory that it leaves. The load stands for itself; what stands below
// it are its steps, run once more one by one, and what comes after it.
//
//   config_load FOLDER [CHANGED]      CHANGED: a file of the folder, which is written anew, byte for byte, before the second load
#include "config/files.h"
#include "config/load.h"
#include "config/tree.h"
#include "downstream/switchover.h"
#include "filters/registry.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

// CPU time, since others may use the machine as well.
static double now_ms(void) {
    struct timespec now;
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void tell(const char *what, double since) {
    printf("  %-34s %9.2f ms\n", what, now_ms() - since);
}

static void tell_memory(const char *when) {
    long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fscanf(file, "%ld %ld", &size, &resident) == 2);
    fclose(file);
    printf("  memory %-27s %9.2f MB resident\n", when, (double)resident * 4096 / 1e6);
}

static struct snapshot *load(struct config_cache *cache, const char *path) {
    struct config_errors errors, warnings;
    struct snapshot *snapshot;
    config_errors_init(&errors);
    config_errors_init(&warnings);
    enum error error = config_load(cache, &path, 1, &snapshot, &errors, &warnings);
    for (uint32_t i = 0; i < errors.count; i++)
        fprintf(stderr, "%s\n", errors.lines[i]);
    if (error != OK)
        exit(1);
    config_errors_dispose(&errors);
    config_errors_dispose(&warnings);
    return snapshot;
}

static void measure_steps(const char *path) {
    struct config_errors errors;
    struct pool_source source;
    struct pool pool;
    struct file_list files;
    config_errors_init(&errors);
    pool_source_init(&source, 0);
    pool_init(&pool, &source);
    double since = now_ms();
    (void)config_fingerprint(NULL, &path, 1);
    tell("fingerprint", since);
    since = now_ms();
    file_list_read(&files, &pool, &path, 1, &errors);
    tell("files: found", since);
    since = now_ms();
    struct bytes *texts = alloc_zeroed_or_abort(files.count, sizeof texts[0]);
    for (uint32_t i = 0; i < files.count; i++) {
        char *text;
        CHECK(file_read(files.files[i].name, &errors, &text, &texts[i].len) == OK);
        texts[i].at = text;
    }
    tell("files: read", since);
    since = now_ms();
    for (uint32_t i = 0; i < files.count; i++) {
        struct tree *trees;
        struct tree_fault fault;
        CHECK(tree_read(&pool, texts[i], &trees, &fault) == OK);
    }
    tell("YAML to trees", since);
    for (uint32_t i = 0; i < files.count; i++)
        bytes_drop(&texts[i]);
    free(texts);
    file_list_dispose(&files);
    pool_dispose(&pool);
    pool_source_dispose(&source);
    config_errors_dispose(&errors);
}

struct place_of_work {
    struct loop loop;
    struct live_shared *shared;
    struct policy_states policies;
    struct worker_metrics metrics;
    struct upstream upstream;
    struct h2_memory *h2_memory;
    struct stream_env env;
    struct downstream downstream;
    struct switchover switchover;
    struct bound_snapshot *bound;
    bool settled;
};

static void on_switched(void *user, struct bound_snapshot *bound) {
    struct place_of_work *work = user;
    if (work->bound != NULL)
        bound_retire(work->bound);
    work->bound = bound;
}

static void on_settled(void *user) {
    struct place_of_work *work = user;
    work->settled = true;
}

static void start(struct place_of_work *work) {
    loop_init(&work->loop, work);
    work->shared = live_shared_create();
    work->policies = (struct policy_states){.live = policy_state_set_create(), .shadow = policy_state_set_create()};
    work->h2_memory = h2_memory_create(&work->loop.now);
    upstream_init(&work->upstream, &work->loop, &work->metrics, work->shared, work->h2_memory);
    work->env = (struct stream_env){.loop = &work->loop, .upstream = &work->upstream, .metrics = &work->metrics};
    list_init(&work->env.subrequests);
    downstream_init(&work->downstream, &work->env, work->h2_memory);
    switchover_init(&work->switchover, &work->downstream, on_switched, on_settled, work);
}

static void end(struct place_of_work *work) {
    downstream_dispose(&work->downstream);
    bound_unpin(work->bound);
    upstream_close_all(&work->upstream);
    loop_dispose(&work->loop);
    upstream_dispose(&work->upstream);
    h2_memory_destroy(work->h2_memory);
    live_shared_destroy(work->shared);
    policy_state_set_destroy(work->policies.live);
    policy_state_set_destroy(work->policies.shadow);
}

static void apply(struct place_of_work *work, struct snapshot *snapshot) {
    double since = now_ms();
    struct chain_set *chains = chain_set_create(snapshot, filter_types, &work->policies, &work->loop);
    tell("chains", since);
    double longest = 0, sum = 0;
    unsigned turns = 0;
    work->settled = false;
    switchover_begin(&work->switchover, chains);
    // Behind the last slice the old one is let go of, in slices too.
    while (!work->settled || !list_is_empty(&work->loop.wake)) {
        since = now_ms();
        loop_turn(&work->loop, clock_monotonic_ns());
        const double took = now_ms() - since;
        longest = took > longest ? took : longest;
        sum += took;
        turns++;
    }
    printf("  worker: %u turns, of them the longest %9.2f ms, all %9.2f ms\n", turns, longest, sum);
    since = now_ms();
    (void)mailbox_receive(&work->loop.mailbox, work);
    tell("old one freed, on main", since);
}

static void touch(const char *file) {
    FILE *in = fopen(file, "r+");
    CHECK(in != NULL);
    int first = fgetc(in);
    rewind(in);
    CHECK(fputc(first, in) == first && fclose(in) == 0);
}

int main(int count, char **arguments) {
    if (count < 2) {
        fprintf(stderr, "usage: %s FOLDER [CHANGED]\n", arguments[0]);
        return 2;
    }
    struct place_of_work work = {0};
    start(&work);
    struct config_cache *cache = config_cache_create(clock_wall_ns);
    tell_memory("before");
    for (int round = 0; round < 3; round++) {
        printf("load %d\n", round + 1);
        if (round > 0 && count > 2)
            touch(arguments[2]);
        double since = now_ms();
        struct snapshot *snapshot = load(cache, arguments[1]);
        tell("load", since);
        const struct config_load_figures *figures = config_cache_figures(cache);
        printf("  %u services of %u documents; files: %u, read %u, decoded %u, revived %u\n", snapshot->service_count, figures->documents,
               figures->files, figures->files_read, figures->files_decoded, figures->files_revived);
        apply(&work, snapshot);
        tell_memory("after");
    }
    measure_steps(arguments[1]);
    config_cache_destroy(cache);
    end(&work);
    return 0;
}
