// What admin pages may do to the process: drain, reload, shut down.
#include "app/figures.h"

#include "base/check.h"

#include <stdlib.h>

// How often a reload looks whether the files of the identity, of gateway sockets and of CA sets have settled. It takes tens of milliseconds where they are whole, at most two seconds where they are not.
#define LOOK_NS (10 * NS_PER_MS)

// A reload that is not answered yet.
struct reload {
    struct list link;
    struct admin_query *query;
};

static void finish(struct proxy *proxy, struct reload *reload) {
    list_remove(&reload->link);
    figures_complete(proxy, reload->query);
    free(reload);
}

static bool is_settling(const struct proxy *proxy) {
    return (proxy->identity != NULL && file_identity_is_settling(proxy->identity)) || edges_are_settling(&proxy->edges) ||
           ca_files_are_settling(proxy->ca_files);
}

static void on_look(struct timer *timer) {
    struct proxy *proxy = CONTAINER_OF(timer, struct proxy, reload_look);
    if (is_settling(proxy)) {
        loop_timer_start(&proxy->loop, timer, LOOK_NS);
        return;
    }
    reloads_end(proxy);
}

static void begin_reload(struct proxy *proxy, struct admin_query *query) {
    documents_reload(&proxy->documents, "admin");
    if (proxy->identity != NULL)
        file_identity_reload(proxy->identity);
    edges_reload(&proxy->edges);
    ca_files_reload(proxy->ca_files);
    if (!is_settling(proxy)) {
        figures_complete(proxy, query);
        return;
    }
    struct reload *reload = alloc_zeroed_or_abort(1, sizeof *reload);
    reload->query = query;
    list_init(&reload->link);
    list_push_back(&proxy->reloads, &reload->link);
    if (!timer_is_running(&proxy->reload_look))
        loop_timer_start(&proxy->loop, &proxy->reload_look, LOOK_NS);
}

void reloads_init(struct proxy *proxy) {
    list_init(&proxy->reloads);
    timer_init(&proxy->reload_look, on_look);
}

void reloads_end(struct proxy *proxy) {
    loop_timer_stop(&proxy->loop, &proxy->reload_look);
    while (!list_is_empty(&proxy->reloads))
        finish(proxy, LIST_ENTRY(list_first(&proxy->reloads), struct reload, link));
}

void proxy_command(void *owner, struct admin_query *query) {
    struct proxy *proxy = owner;
    switch (query->page->command) {
    case ADMIN_DRAIN:
        proxy_drain(proxy, "admin");
        break;
    case ADMIN_SHUTDOWN:
        proxy_shut_down(proxy, "admin");
        break;
    case ADMIN_REOPEN:
        proxy_reopen_logs(proxy, "admin");
        break;
    case ADMIN_RELOAD:
        begin_reload(proxy, query);
        return;
    case ADMIN_NONE:
        CHECK(false); // such pages are collected for
    }
    figures_complete(proxy, query);
}
