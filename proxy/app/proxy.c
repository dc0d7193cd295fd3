// See proxy.h. What starts stands in proxy_run, top to bottom; it ends in the opposite order.
#include "app/proxy.h"

#include "admin/pages.h"
#include "app/detach.h"
#include "app/figures.h"
#include "app/notify.h"
#include "app/process.h"
#include "app/upgrade.h"
#include "base/check.h"
#include "base/log.h"
#include "filters/registry.h"
#include "telemetry/series_registry.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#define DRAIN_LOOK_NS (50 * NS_PER_MS)

// Before the drain's time is over nothing more is accepted and HTTP/2 clients are told the last stream: they go elsewhere without losing one.
#define LAST_CALL_NS (2 * NS_PER_S)

// Before anything is known: the main thread's loop (6), and files while documents are read, a folder in a folder (1 each, and the file).
#define DESCRIPTORS_TO_BEGIN 12

// What is open once the process serves, with some for look-ups of names, for files that are read, and for the first connections. Of the process: figures of the cgroup, admin, metrics and the socket of
// upgrades with a reserve each, watches of files, the access log, the audit log and their writers. Of a worker: its loop. Of a listener: its socket and a reserve.
#define DESCRIPTORS_OF_PROCESS 30
#define DESCRIPTORS_OF_WORKER 4
#define DESCRIPTORS_OF_LISTENER 2

// For the last lines of the access log at the end.
#define LOG_PATIENCE_NS NS_PER_S

// Accepts, everywhere. With a predecessor not before all is there to serve with: until then that one does.
static void go_live(struct proxy *proxy) {
    const struct admin_options options = {
        .admin_socket = proxy->sockets.admin.socket,
        .metrics_socket = proxy->sockets.metrics.socket,
        .pages = admin_usual_pages,
        .page_count = admin_usual_page_count,
    };
    proxy->live = true;
    acceptor_begin(proxy->acceptor);
    proxy->admin = admin_open(&proxy->loop, &options, &proxy_admin_source, proxy);
    upgrade_offer(proxy, proxy->sockets.upgrade.socket);
}

static void become_ready(struct proxy *proxy) {
    char state[64];
    if (!proxy->live)
        go_live(proxy);
    proxy->state = PROXY_READY;
    audit_process(&proxy->audit, "ready", upgrade_is_under_way(proxy) ? "upgrade" : "start");
    log_event(LOG_INFO, "ready", "workers=%u version=" OUTRIGGER_VERSION, proxy->worker_count);
    upgrade_finish(proxy);
    snprintf(state, sizeof state, "MAINPID=%d\nREADY=1", getpid());
    notify_state(state);
    detach_done(&proxy->detached);
}

// Whoever is sent here finds all certificates.
static void become_ready_once_loaded(struct proxy *proxy) {
    bool has_identity = proxy->identity == NULL || file_identity_credentials(proxy->identity) != NULL;
    if (proxy->state == PROXY_STARTING && has_identity && edges_are_loaded(&proxy->edges))
        become_ready(proxy);
}

static void on_edge(void *owner, struct bytes socket, struct credentials *credentials) {
    struct proxy *proxy = owner;
    audit_gateway(&proxy->audit, socket, credentials);
    for (uint32_t i = 0; i < proxy->worker_count; i++)
        worker_set_edge(&proxy->workers[i], socket, credentials != NULL ? credentials_ref(credentials) : NULL);
    become_ready_once_loaded(proxy);
}

static void on_edge_refused(void *owner, struct bytes socket, const char *reason) {
    struct proxy *proxy = owner;
    audit_certificate_refused(&proxy->audit, socket, reason);
}

static void on_identity_refused(void *owner, const char *reason) {
    struct proxy *proxy = owner;
    audit_certificate_refused(&proxy->audit, proxy->documents.snapshot->proxy.identity.certificate, reason);
}

static void on_credentials(void *owner, struct credentials *credentials) {
    struct proxy *proxy = owner;
    audit_identity(&proxy->audit, credentials);
    for (uint32_t i = 0; i < proxy->worker_count; i++)
        worker_set_credentials(&proxy->workers[i], credentials_ref(credentials));
    upstream_set_credentials(health_checker_upstream(proxy->checker), credentials);
    become_ready_once_loaded(proxy);
}

static void on_ca_set(void *owner, struct bytes key, struct bytes files, struct credentials *credentials) {
    struct proxy *proxy = owner;
    audit_authorities(&proxy->audit, files, credentials);
    for (uint32_t i = 0; i < proxy->worker_count; i++)
        worker_set_authorities(&proxy->workers[i], key, credentials_ref(credentials));
    upstream_set_authorities(health_checker_upstream(proxy->checker), key, credentials);
}

static void on_ca_set_refused(void *owner, struct bytes files, const char *reason) {
    struct proxy *proxy = owner;
    audit_certificate_refused(&proxy->audit, files, reason);
}

static void on_ca_set_gone(void *owner, struct bytes key, struct credentials *credentials) {
    struct proxy *proxy = owner;
    for (uint32_t i = 0; i < proxy->worker_count; i++)
        worker_drop_authorities(&proxy->workers[i], key, credentials_ref(credentials));
    upstream_drop_authorities(health_checker_upstream(proxy->checker), key, credentials);
}

static void on_endpoints(void *owner, struct endpoint_set *set) {
    struct proxy *proxy = owner;
    for (uint32_t i = 0; i < proxy->worker_count; i++)
        worker_set_endpoints(&proxy->workers[i], endpoint_set_ref(set));
    health_checker_set_endpoints(proxy->checker, set);
    endpoint_set_unref(set);
}

// Another set of paths is another identity; what the same paths lead to is file_identity's to watch.
static void follow_identity(struct proxy *proxy, const struct identity_config *config, const struct identity_config *before) {
    bool same = before != NULL && before->given == config->given && bytes_equal(before->certificate, config->certificate) &&
                bytes_equal(before->private_key, config->private_key) && bytes_equal(before->trust_bundle, config->trust_bundle);
    if (same)
        return;
    if (proxy->identity != NULL) {
        proxy->identity_generation = file_identity_state(proxy->identity)->generation;
        file_identity_close(proxy->identity);
    }
    proxy->identity = NULL;
    if (!config->given)
        return;
    struct file_identity_options options = {
        .generation_before = proxy->identity_generation,
        .certificate = config->certificate,
        .private_key = config->private_key,
        .trust_bundle = config->trust_bundle,
        .ticket_keys = proxy->ticket_keys,
        .publish = on_credentials,
        .refused = on_identity_refused,
        .owner = proxy,
    };
    proxy->identity = file_identity_create(&proxy->loop, &options);
}

static void note_what_is_started_with(struct proxy *proxy) {
    const struct proxy_config *config = &proxy->documents.snapshot->proxy;
    proxy->started.admin = bytes_keep(config->admin.text);
    proxy->started.metrics = bytes_keep(config->metrics.text);
    proxy->started.upgrade = bytes_keep(config->upgrade_path);
    proxy->started.seccomp = config->hardening.seccomp;
    proxy->started.landlock = config->hardening.landlock;
}

static void tell_unchanged(const char *field, struct bytes address, struct bytes wanted) {
    if (!bytes_equal(address, wanted))
        log_event(LOG_WARN, "needs_restart", "field=%s value=%.*s wanted=%.*s", field, BYTES_FORMAT(address), BYTES_FORMAT(wanted));
}

// With each set of documents that does not agree with what is in force.
static void tell_what_needs_a_restart(const struct proxy *proxy, const struct proxy_config *fresh) {
    if (fresh->workers != proxy->worker_count)
        log_event(LOG_WARN, "needs_restart", "field=spec.workers value=%u wanted=%u", proxy->worker_count, fresh->workers);
    tell_unchanged("spec.admin.address", proxy->started.admin, fresh->admin.text);
    tell_unchanged("spec.metrics.address", proxy->started.metrics, fresh->metrics.text);
    const bool same = bytes_equal(proxy->started.upgrade, fresh->upgrade_path) && proxy->started.seccomp == fresh->hardening.seccomp &&
                      proxy->started.landlock == fresh->hardening.landlock;
    if (!same)
        log_event(LOG_WARN, "needs_restart", "field=\"spec.upgrade or spec.hardening\"");
}

static void follow_logs(struct proxy *proxy, const struct snapshot *fresh) {
    const struct snapshot *before = proxy->documents.snapshot == fresh ? NULL : proxy->documents.snapshot;
    const struct access_log_config *config = &fresh->proxy.telemetry.access_log;
    bool was_open = before != NULL && before->has_access_log;
    audit_follow(&proxy->audit, proxy->documents.cause, before, fresh);
    if (fresh->has_access_log && (!was_open || !bytes_equal(before->proxy.telemetry.access_log.path, config->path)))
        line_writer_open(proxy->log_lines, config->path.at);
}

static enum error on_documents(void *user, struct snapshot *fresh, struct config_errors *errors) {
    struct proxy *proxy = user;
    if (proxy->workers == NULL)
        return OK; // the first set: proxy_run goes on from here
    if (proxy->last_call)
        return OK; // nothing is opened any more
    tell_what_needs_a_restart(proxy, &fresh->proxy);
    if (proxy->documents.snapshot != fresh)
        sandbox_check(&proxy->sandbox, proxy->documents.snapshot, fresh, errors);
    if (errors->count > 0)
        return ERROR_INVALID;
    enum error error = acceptor_apply(proxy->acceptor, fresh, errors);
    if (error != OK)
        return error;
    follow_logs(proxy, fresh); // before the first lines of them
    exports_prepare(proxy, fresh);
    ca_files_follow(proxy->ca_files, fresh);
    struct chain_set *chains = chain_set_create(snapshot_ref(fresh), filter_types, &proxy->policies, &proxy->loop);
    for (uint32_t i = 0; i < proxy->worker_count; i++)
        worker_apply(&proxy->workers[i], chain_set_ref(chains));
    chain_set_unref(chains);
    exports_follow(proxy, fresh);
    health_checker_apply(proxy->checker, fresh);
    resolver_apply(proxy->resolver, fresh);
    series_registry_set(live_shared_series(proxy->shared), fresh->proxy.telemetry.metrics.max_series,
                        fresh->proxy.telemetry.metrics.histograms == METRICS_EXPONENTIAL, clock_wall_ns());
    ca_files_forget(proxy->ca_files); // sets of endpoints of the documents before are gone too
    if (proxy->live)
        acceptor_begin(proxy->acceptor);
    const struct snapshot *before = proxy->documents.snapshot == fresh ? NULL : proxy->documents.snapshot;
    follow_identity(proxy, &fresh->proxy.identity, before == NULL ? NULL : &before->proxy.identity);
    edges_follow(&proxy->edges, fresh);
    return OK;
}

// What a worker noted a quarter of a second ago may have changed since: it is asked once more after the last call, when nothing is accepted any more.
static bool is_drained(const struct proxy *proxy) {
    const uint32_t drains = proxy->last_call && !proxy->handed_over ? 2 : 1;
    for (uint32_t i = 0; i < proxy->worker_count; i++) {
        const struct worker *worker = &proxy->workers[i];
        if (atomic_load_explicit(&worker->drains, memory_order_acquire) < drains || (proxy->handed_over && worker_load(worker) > 0) ||
            atomic_load_explicit(&worker->inbound_open, memory_order_relaxed) > 0 ||
            atomic_load_explicit(&worker->streams_open, memory_order_relaxed) > 0)
            return false;
    }
    return true;
}

static void last_call(struct proxy *proxy) {
    proxy->last_call = true;
    if (!proxy->handed_over)
        acceptor_take_waiting(proxy->acceptor);
    acceptor_close_all(proxy->acceptor);
    taps_finish(proxy);
    for (uint32_t i = 0; i < proxy->worker_count; i++)
        worker_drain(&proxy->workers[i], proxy->handed_over);
}

// Behind it the process makes nothing more that is told, but for what streams tell that are cut off.
static void tell_end(struct proxy *proxy) {
    if (!proxy->end_told)
        audit_process(&proxy->audit, "ended", NULL);
    proxy->end_told = true;
}

// Telemetry is sent once all else is done; where a stream lasts, in the last part of the time.
static bool lingers(struct proxy *proxy, bool is_over, nanoseconds took, nanoseconds allowed) {
    const nanoseconds share = allowed / 4;
    if (!is_over && took + (share < EXPORTS_PATIENCE_NS ? share : EXPORTS_PATIENCE_NS) < allowed)
        return true;
    tell_end(proxy);
    return exports_linger(proxy, proxy->drain_begun + allowed) || !is_over;
}

static void on_drain_timer(struct timer *timer) {
    struct proxy *proxy = CONTAINER_OF(timer, struct proxy, drain_timer);
    nanoseconds took = proxy->loop.now - proxy->drain_begun;
    nanoseconds allowed = proxy->documents.snapshot->proxy.limits.drain_timeout;
    bool drained = is_drained(proxy);
    const bool is_over = proxy->last_call && drained && !taps_linger(proxy);
    if (took >= allowed || !lingers(proxy, is_over, took, allowed)) {
        log_event(LOG_INFO, "drained", "took_ms=%llu complete=%s", (unsigned long long)(took / NS_PER_MS), took < allowed ? "true" : "false");
        uv_stop(&proxy->loop.uv);
        return;
    }
    if (!proxy->last_call && (drained || took + LAST_CALL_NS >= allowed))
        last_call(proxy);
    loop_timer_start(&proxy->loop, &proxy->drain_timer, DRAIN_LOOK_NS);
}

void proxy_drain(struct proxy *proxy, const char *cause) {
    if (proxy->state == PROXY_DRAINING)
        return;
    log_event(LOG_INFO, "draining", "workers=%u", proxy->worker_count);
    proxy->state = PROXY_DRAINING;
    audit_process(&proxy->audit, "draining", cause);
    for (uint32_t i = 0; i < proxy->worker_count; i++)
        worker_drain(&proxy->workers[i], false);
}

static void begin_to_end(struct proxy *proxy, const char *cause) {
    proxy->ending = true;
    audit_process(&proxy->audit, "ending", cause);
    health_checker_stop(proxy->checker);
    proxy->drain_begun = proxy->loop.now;
    loop_timer_start(&proxy->loop, &proxy->drain_timer, DRAIN_LOOK_NS);
}

void proxy_shut_down(struct proxy *proxy, const char *cause) {
    if (proxy->ending)
        return;
    proxy_drain(proxy, cause);
    log_event(LOG_INFO, "ending", "timeout_ms=%llu", (unsigned long long)(proxy->documents.snapshot->proxy.limits.drain_timeout / NS_PER_MS));
    notify_state("STOPPING=1");
    begin_to_end(proxy, cause);
}

void proxy_end_handed_over(struct proxy *proxy) {
    if (proxy->ending)
        return;
    proxy->state = PROXY_DRAINING;
    audit_process(&proxy->audit, "draining", "upgrade");
    proxy->handed_over = true;
    last_call(proxy);
    admin_stop_listening(proxy->admin);
    begin_to_end(proxy, "upgrade");
}

void proxy_reopen_logs(struct proxy *proxy, const char *cause) {
    line_writer_reopen(proxy->log_lines);
    audit_reopen(&proxy->audit);
    audit_process(&proxy->audit, "reopened", cause);
}

static void reload(struct proxy *proxy) {
    char state[64];
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(clock_monotonic_ns() / NS_PER_US));
    notify_state(state);
    documents_reload(&proxy->documents, "signal");
    notify_state("READY=1");
}

static void on_signal(uv_signal_t *handle, int number) {
    struct proxy *proxy = handle->data;
    loop_enter(&proxy->loop);
    if (number == SIGHUP)
        reload(proxy);
    else if (number == SIGUSR1)
        proxy_reopen_logs(proxy, "signal");
    else if (proxy->ending && number == SIGINT)
        uv_stop(&proxy->loop.uv); // a second Ctrl-C
    else
        proxy_shut_down(proxy, "signal");
}

static const int watched_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};

// A signal that nobody watches yet, or any more, would end the process there and then, with its own exit code: while they are held it waits. Threads inherit it.
static void hold_signals(int how) {
    sigset_t all;
    sigemptyset(&all);
    for (size_t i = 0; i < sizeof watched_signals / sizeof watched_signals[0]; i++)
        sigaddset(&all, watched_signals[i]);
    pthread_sigmask(how, &all, NULL);
}

static void watch_signals(struct proxy *proxy) {
    for (size_t i = 0; i < sizeof watched_signals / sizeof watched_signals[0]; i++) {
        uv_signal_init(&proxy->loop.uv, &proxy->signals[i]);
        proxy->signals[i].data = proxy;
        uv_signal_start(&proxy->signals[i], on_signal, watched_signals[i]);
    }
    hold_signals(SIG_UNBLOCK);
}

// Whoever comes late waits for good. The workers are gone, this is the last thread.
static void unwatch_signals(struct proxy *proxy) {
    hold_signals(SIG_BLOCK);
    for (size_t i = 0; i < sizeof proxy->signals / sizeof proxy->signals[0]; i++)
        if (proxy->signals[i].data != NULL)
            uv_close((uv_handle_t *)&proxy->signals[i], NULL);
}

static bool listen_at(struct proxy *proxy, const struct socket_address *address, const char *field, struct bytes name, struct listening *listening) {
    char reason[128];
    if (address->length == 0)
        return true;
    *listening = inherited_take(&proxy->inherited, name, address);
    if (listening->socket >= 0 ||
        tcp_listen((const struct sockaddr *)&address->storage, address->length, &listening->socket, reason, sizeof reason) == OK)
        return true;
    fprintf(stderr, "error: %s: %.*s cannot be opened: %s\n", field, BYTES_FORMAT(address->text), reason);
    return false;
}

static struct socket_address address_of_path(struct bytes path) {
    struct socket_address address = {.text = path};
    struct sockaddr_un *un = (void *)&address.storage;
    if (path.len == 0)
        return address;
    un->sun_family = AF_UNIX;
    CHECK(path.len < sizeof un->sun_path); // config has seen to it
    memcpy(un->sun_path, path.at, path.len);
    address.length = sizeof *un;
    return address;
}

// What is not of a worker. Before the sandbox: a socket in the file system is made in whatever folder it is wanted in.
static bool listen_for_itself(struct proxy *proxy) {
    const struct proxy_config *config = &proxy->documents.snapshot->proxy;
    const struct socket_address upgrade = address_of_path(config->upgrade_path);
    proxy->sockets.admin = proxy->sockets.metrics = proxy->sockets.upgrade = (struct listening){-1, BYTES_NONE};
    note_what_is_started_with(proxy);
    return listen_at(proxy, &config->admin, "spec.admin.address", BYTES("admin"), &proxy->sockets.admin) &&
           listen_at(proxy, &config->metrics, "spec.metrics.address", BYTES("metrics"), &proxy->sockets.metrics) &&
           listen_at(proxy, &upgrade, "spec.upgrade.path", BYTES("upgrade"), &proxy->sockets.upgrade);
}

static void start_workers(struct proxy *proxy) {
    proxy->shared = live_shared_create();
    proxy->policies = (struct policy_states){.live = policy_state_set_create(), .shadow = policy_state_set_create()};
    memory_budget_open_own(&proxy->memory);
    process_figures_init(&proxy->process);
    proxy->ticket_keys = ticket_keys_create();
    proxy->edges =
        (struct edges){.loop = &proxy->loop, .ticket_keys = proxy->ticket_keys, .publish = on_edge, .refused = on_edge_refused, .owner = proxy};
    proxy->worker_count = proxy->documents.snapshot->proxy.workers;
    proxy->workers = alloc_zeroed_or_abort(proxy->worker_count, sizeof proxy->workers[0]);
    proxy->log_lines = line_writer_create(proxy->worker_count, LOG_RING_BYTES, ACCESS_LOG_LINE_MAX, "access_log_failed");
    audit_init(&proxy->audit, &proxy->loop, proxy->worker_count);
    proxy->memory.workers = proxy->worker_count;
    const struct worker_commons commons = {
        .live = proxy->shared, .policies = &proxy->policies, .memory = &proxy->memory, .log_lines = proxy->log_lines, .audit = &proxy->audit};
    for (uint32_t i = 0; i < proxy->worker_count; i++)
        worker_start(&proxy->workers[i], i, &commons);
    proxy->acceptor = acceptor_create(&proxy->loop, proxy->workers, proxy->worker_count, &proxy->inherited);
    proxy->checker = health_checker_create(&proxy->loop, proxy->shared);
    proxy->ca_files = ca_files_create(
        &proxy->loop, &(struct ca_files_options){.publish = on_ca_set, .withdraw = on_ca_set_gone, .refused = on_ca_set_refused, .owner = proxy});
    proxy->resolver = resolver_create(&proxy->loop, &(struct resolver_options){.publish = on_endpoints, .owner = proxy});
}

static void end_all(struct proxy *proxy) {
    acceptor_close_all(proxy->acceptor);
    upgrade_close(proxy);
    if (proxy->admin != NULL)
        admin_close(proxy->admin);
    reloads_end(proxy);
    gatherings_close(proxy);
    resolver_close(proxy->resolver);
    health_checker_close(proxy->checker);
    for (uint32_t i = 0; i < proxy->worker_count; i++)
        worker_stop(&proxy->workers[i]);
    gatherings_end(proxy);
    taps_end(proxy);
    tell_end(proxy);
    audit_end(&proxy->audit);
    exports_end(proxy);
    line_writer_destroy(proxy->log_lines, LOG_PATIENCE_NS);
    audit_close(&proxy->audit, LOG_PATIENCE_NS);
    acceptor_destroy(proxy->acceptor);
    free(proxy->workers);
    live_shared_destroy(proxy->shared);
    policy_state_set_destroy(proxy->policies.live);
    policy_state_set_destroy(proxy->policies.shadow);
    memory_budget_close(&proxy->memory);
    if (proxy->identity != NULL)
        file_identity_close(proxy->identity);
    edges_close(&proxy->edges);
    ca_files_close(proxy->ca_files);
    unwatch_signals(proxy);
    loop_timer_stop(&proxy->loop, &proxy->drain_timer);
}

static void on_settled(void *user, const struct documents *documents, const struct snapshot *before) {
    struct proxy *proxy = user;
    audit_configuration(&proxy->audit, documents, before);
}

// Everything is open once this returns true; what went wrong was printed otherwise.
static bool start(struct proxy *proxy) {
    start_workers(proxy);
    watch_signals(proxy);
    struct config_errors errors;
    config_errors_init(&errors);
    enum error error = on_documents(proxy, proxy->documents.snapshot, &errors);
    for (uint32_t i = 0; i < errors.count; i++)
        fprintf(stderr, "error: %s\n", errors.lines[i]);
    config_errors_dispose(&errors);
    proxy->documents.settled = on_settled;
    on_settled(proxy, &proxy->documents, NULL); // the first set
    inherited_close_rest(&proxy->inherited);
    if (error == OK && !upgrade_is_under_way(proxy))
        go_live(proxy);
    return error == OK;
}

// What `--check` says of good documents.
static void print_summary(const struct snapshot *snapshot) {
    uint32_t services = 0;
    for (uint32_t i = 0; i < snapshot->service_count; i++)
        services += snapshot->services[i]->is_application ? 0 : 1;
    printf("the configuration is fine: %u services, %u listeners\n", services, snapshot->proxy.listener_count);
}

static int check(const struct snapshot *snapshot) {
    struct config_errors errors;
    config_errors_init(&errors);
    const bool usable = ca_files_check(snapshot, &errors);
    for (uint32_t i = 0; i < errors.count; i++)
        fprintf(stderr, "error: %s\n", errors.lines[i]);
    config_errors_dispose(&errors);
    if (usable)
        print_summary(snapshot);
    return usable ? EXIT_OK : EXIT_REFUSED;
}

static uint32_t descriptors_for(const struct proxy_config *config) {
    return DESCRIPTORS_OF_PROCESS + config->workers * DESCRIPTORS_OF_WORKER + config->listener_count * DESCRIPTORS_OF_LISTENER;
}

static void run(struct proxy *proxy) {
    if (!process_may_open(descriptors_for(&proxy->documents.snapshot->proxy))) {
        proxy->exit_code = EXIT_FAILED;
        return;
    }
    if (!upgrade_ask(proxy) || !listen_for_itself(proxy)) {
        upgrade_close(proxy);
        proxy->exit_code = EXIT_FAILED;
        return;
    }
    sandbox_enter(&proxy->sandbox, proxy->options, proxy->documents.snapshot);
    if (start(proxy)) {
        documents_watch(&proxy->documents);
        become_ready_once_loaded(proxy);
        loop_run(&proxy->loop);
    } else {
        proxy->exit_code = EXIT_FAILED;
    }
    end_all(proxy);
}

int proxy_run(const struct options *options) {
    struct proxy proxy = {.options = options, .detached = -1, .upgrade = {.predecessor = -1}};
    if (!options->check)
        hold_signals(SIG_BLOCK);
    process_prepare();
    if (options->debug)
        log_set_level(LOG_DEBUG);
    if (!options->check)
        inherited_from_environment(&proxy.inherited); // they are for the process that was started, which the one that goes on is not
    if (options->detach && (proxy.detached = detach()) < 0) {
        inherited_dispose(&proxy.inherited);
        return EXIT_FAILED;
    }
    if (!process_may_open(DESCRIPTORS_TO_BEGIN)) {
        inherited_dispose(&proxy.inherited);
        return EXIT_FAILED;
    }
    loop_init(&proxy.loop, &proxy);
    timer_init(&proxy.drain_timer, on_drain_timer);
    gatherings_init(&proxy.gatherings);
    taps_init(&proxy.taps);
    reloads_init(&proxy);
    exports_init(&proxy);
    if (documents_open(&proxy.documents, &proxy.loop, options, proxy.exports.environment, on_documents, &proxy) != OK)
        proxy.exit_code = EXIT_REFUSED;
    else if (options->check)
        proxy.exit_code = check(proxy.documents.snapshot);
    else
        run(&proxy);
    inherited_dispose(&proxy.inherited);
    documents_close(&proxy.documents);
    exports_dispose(&proxy);
    loop_dispose(&proxy.loop);
    if (proxy.checker != NULL)
        health_checker_destroy(proxy.checker); // once its connections are closed
    bytes_drop(&proxy.started.admin);
    bytes_drop(&proxy.started.metrics);
    bytes_drop(&proxy.started.upgrade);
    if (proxy.ticket_keys != NULL)
        ticket_keys_destroy(proxy.ticket_keys); // after the last credentials, which go with the loop's last turn
    return proxy.exit_code;
}
