// What the admin pages show: collects the figures of documents, workers and identity, and carries out the pages' commands. The implementation of struct admin_source.
#include "app/figures.h"

static void fill_state(const struct proxy *proxy, struct admin_figures *figures) {
    static const struct bytes names[] = {
        [PROXY_STARTING] = {"starting", 8},
        [PROXY_READY] = {"ready", 5},
        [PROXY_DRAINING] = {"draining", 8},
    };
    figures->state = names[proxy->state];
    figures->ready = proxy->state == PROXY_READY;
    figures->draining = proxy->state == PROXY_DRAINING;
    figures->worker_count = proxy->worker_count;
}

static void collect(void *owner, struct admin_query *query) {
    struct proxy *proxy = owner;
    fill_state(proxy, &query->figures);
    const struct worker_metrics *cells[WORKERS_MAX];
    for (uint32_t i = 0; i < proxy->worker_count; i++)
        cells[i] = &proxy->workers[i].metrics;
    worker_metrics_merge(&query->figures.workers, cells, proxy->worker_count);
    if ((query->wants & ADMIN_WANT_IDENTITY) != 0)
        figures_fill_identity(proxy, &query->pool, &query->figures.identity);
    admin_query_done(query);
}

static void command(void *owner, struct admin_query *query) {
    struct proxy *proxy = owner;
    switch (query->page->command) {
    case ADMIN_DRAIN:
    case ADMIN_SHUTDOWN:
        proxy_drain(proxy);
        break;
    case ADMIN_RELOAD:
        documents_reload(&proxy->documents);
        if (proxy->identity != NULL)
            file_identity_reload(proxy->identity);
        break;
    case ADMIN_NONE:
        break;
    }
    collect(owner, query);
}

static bool ready(void *owner, struct bytes *reason) {
    const struct proxy *proxy = owner;
    *reason = proxy->state == PROXY_DRAINING ? BYTES("draining") : proxy->identity != NULL ? BYTES("no certificate yet") : BYTES("starting");
    return proxy->state == PROXY_READY;
}

const struct admin_source proxy_admin_source = {.collect = collect, .command = command, .ready = ready};
