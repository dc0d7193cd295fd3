// See upgrade.h, and handover.h for who does what.
#include "app/upgrade.h"

#include "base/log.h"

#include <unistd.h>

// For everything that is not there yet when the sockets are: the certificate, above all.
#define READY_PATIENCE_NS (30 * NS_PER_S)

static void on_patience(struct timer *timer) {
    struct proxy *proxy = CONTAINER_OF(timer, struct proxy, upgrade.patience);
    log_event(LOG_ERROR, "upgrade_failed", "reason=\"not ready in time: no certificate yet; the process before goes on\"");
    proxy->exit_code = EXIT_FAILED;
    uv_stop(&proxy->loop.uv);
}

bool upgrade_ask(struct proxy *proxy) {
    timer_init(&proxy->upgrade.patience, on_patience);
    struct bytes path = proxy->documents.snapshot->proxy.upgrade_path;
    if (!proxy->options->upgrade)
        return true;
    if (path.len == 0) {
        log_event(LOG_ERROR, "upgrade_refused", "reason=\"--upgrade needs spec.upgrade.path\"");
        return false;
    }
    int connection = handover_ask(path.at, &proxy->inherited);
    if (connection >= 0) {
        proxy->upgrade.predecessor = connection;
        loop_timer_start(&proxy->loop, &proxy->upgrade.patience, READY_PATIENCE_NS);
    }
    return connection != HANDOVER_REFUSED;
}

bool upgrade_is_under_way(const struct proxy *proxy) {
    return proxy->upgrade.predecessor >= 0;
}

void upgrade_finish(struct proxy *proxy) {
    const int predecessor = proxy->upgrade.predecessor;
    loop_timer_stop(&proxy->loop, &proxy->upgrade.patience);
    proxy->upgrade.predecessor = -1;
    if (predecessor < 0 || handover_finish(predecessor))
        return;
    proxy->exit_code = EXIT_FAILED; // its connections would be answered by two
    uv_stop(&proxy->loop.uv);
}

// --- the other side ---

static uint32_t sockets(void *owner, struct listening all[HANDOVER_SOCKETS_MAX]) {
    const struct proxy *proxy = owner;
    if (proxy->state != PROXY_READY)
        return 0;
    const struct listening own[] = {proxy->sockets.admin, proxy->sockets.metrics, proxy->sockets.upgrade};
    uint32_t count = acceptor_sockets(proxy->acceptor, all, HANDOVER_SOCKETS_MAX - sizeof own / sizeof own[0]);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (own[i].socket >= 0)
            all[count++] = own[i];
    return count;
}

static void taken(void *owner) {
    struct proxy *proxy = owner;
    log_event(LOG_INFO, "handed_over", "timeout_ms=%llu", (unsigned long long)(proxy->documents.snapshot->proxy.limits.drain_timeout / NS_PER_MS));
    upgrade_close(proxy);
    proxy_end_handed_over(proxy);
}

static void noted(void *owner, enum handover_step step, struct handover_peer peer) {
    static const char *const results[] = {
        [HANDOVER_BEGUN] = "begun", [HANDOVER_KEPT] = "refused", [HANDOVER_FAILED] = "failed", [HANDOVER_SUCCEEDED] = "taken"};
    struct proxy *proxy = owner;
    audit_upgrade(&proxy->audit, results[step], peer.uid, peer.pid);
}

void upgrade_offer(struct proxy *proxy, int socket) {
    static const struct handover_owner callbacks = {.sockets = sockets, .taken = taken, .noted = noted};
    if (socket >= 0)
        proxy->upgrade.handover = handover_open(&proxy->loop, socket, &callbacks, proxy);
}

void upgrade_close(struct proxy *proxy) {
    if (proxy->upgrade.handover != NULL)
        handover_close(proxy->upgrade.handover);
    proxy->upgrade.handover = NULL;
    loop_timer_stop(&proxy->loop, &proxy->upgrade.patience);
    if (proxy->upgrade.predecessor >= 0)
        close(proxy->upgrade.predecessor);
    proxy->upgrade.predecessor = -1;
}
