// /metrics: everything that is counted, as one page, in the form that the scraper asks for.
#include "admin/pages.h"
#include "config/document.h"
#include "http/headers.h"
#include "telemetry/process_metrics.h"

static void add_number(struct exposition *page, enum metric metric, uint64_t value) {
    exposition_begin(page, metric);
    exposition_add(page, NULL, value);
}

static void add_results(struct exposition *page, enum metric metric, uint64_t accepted, uint64_t refused) {
    exposition_begin(page, metric);
    exposition_add(page, (const struct bytes[]){BYTES("accepted")}, accepted);
    exposition_add(page, (const struct bytes[]){BYTES("refused")}, refused);
}

static void add_process_state(struct exposition *page, const struct admin_figures *figures) {
    exposition_begin(page, METRIC_BUILD_INFO);
    exposition_add(page, (const struct bytes[]){BYTES(OUTRIGGER_VERSION)}, 1);
    add_number(page, METRIC_READY, figures->ready);
    add_number(page, METRIC_DRAINING, figures->draining);
    add_number(page, METRIC_WORKERS, figures->worker_count);
}

static void add_config(struct exposition *page, const struct admin_config *config) {
    add_number(page, METRIC_CONFIG_GENERATION, config->snapshot != NULL ? config->snapshot->generation : 0);
    exposition_begin(page, METRIC_CONFIG_LOADED);
    exposition_add_seconds(page, NULL, config->loaded_wall);
    add_results(page, METRIC_CONFIG_LOADS, config->accepted, config->refused);
    add_number(page, METRIC_CONFIG_PENDING_ERRORS, config->error_count);
    exposition_begin(page, METRIC_CONFIG_LOAD_DURATION);
    exposition_add_seconds(page, NULL, config->load_duration);
    add_number(page, METRIC_CONFIG_FILES, config->loads.files);
    add_number(page, METRIC_METRIC_SERIES_MAX, config->snapshot != NULL ? config->snapshot->proxy.telemetry.metrics.max_series : 0);
    exposition_begin(page, METRIC_CONFIG_DOCUMENTS);
    for (const struct kind *kind = config_kinds; kind->name != NULL; kind++) {
        struct bytes name = bytes_from_text(kind->name);
        exposition_add(page, &name, config->loads.by_kind[kind - config_kinds]);
    }
}

// Serial numbers are those of an issuer: two roots of one domain may have the same. Of those the one that ends first.
static bool is_first_of_serial(const struct admin_identity *identity, uint32_t index) {
    const struct admin_certificate *one = &identity->certificates[index];
    for (uint32_t i = 0; i < identity->certificate_count; i++) {
        const struct admin_certificate *other = &identity->certificates[i];
        if (i == index || !bytes_equal(other->role, one->role) || !bytes_equal(other->id, one->id) || !bytes_equal(other->serial, one->serial))
            continue;
        if (other->not_after < one->not_after || (other->not_after == one->not_after && i < index))
            return false;
    }
    return true;
}

static void add_identity(struct exposition *page, const struct admin_identity *identity) {
    if (!identity->given)
        return;
    exposition_begin(page, METRIC_IDENTITY_NOT_AFTER);
    for (uint32_t i = 0; i < identity->certificate_count; i++)
        if (bytes_equal(identity->certificates[i].role, BYTES("identity")))
            exposition_add(page, &identity->certificates[i].id, (uint64_t)identity->certificates[i].not_after);
    exposition_begin(page, METRIC_TRUST_ROOT_NOT_AFTER);
    for (uint32_t i = 0; i < identity->certificate_count; i++) {
        const struct admin_certificate *root = &identity->certificates[i];
        if (bytes_equal(root->role, BYTES("trust bundle")) && is_first_of_serial(identity, i))
            exposition_add(page, (const struct bytes[]){root->id, root->serial}, (uint64_t)root->not_after);
    }
    add_results(page, METRIC_IDENTITY_LOADS, identity->accepted, identity->refused);
}

// One certificate may stand in several places of a Gateway: each series is there once.
static bool is_first(const struct admin_identity *identity, uint32_t index) {
    const struct admin_certificate *one = &identity->edge_certificates[index];
    for (uint32_t i = 0; i < index; i++) {
        const struct admin_certificate *other = &identity->edge_certificates[i];
        if (bytes_equal(other->listener, one->listener) && bytes_equal(other->hostname, one->hostname) && bytes_equal(other->id, one->id))
            return false;
    }
    return true;
}

static void add_edges(struct exposition *page, const struct admin_identity *identity) {
    exposition_begin(page, METRIC_EDGE_NOT_AFTER);
    for (uint32_t i = 0; i < identity->edge_certificate_count; i++) {
        const struct admin_certificate *certificate = &identity->edge_certificates[i];
        if (certificate->not_after != 0 && is_first(identity, i))
            exposition_add(page, (const struct bytes[]){certificate->listener, certificate->hostname, certificate->id},
                           (uint64_t)certificate->not_after);
    }
    exposition_begin(page, METRIC_EDGE_LOADS);
    for (uint32_t i = 0; i < identity->edge_count; i++) {
        const struct admin_edge *edge = &identity->edges[i];
        exposition_add(page, (const struct bytes[]){edge->listener, BYTES("accepted")}, edge->accepted);
        exposition_add(page, (const struct bytes[]){edge->listener, BYTES("refused")}, edge->refused);
    }
}

static void add_ca_sets(struct exposition *page, const struct admin_identity *identity) {
    exposition_begin(page, METRIC_CA_SET_LOADS);
    for (uint32_t i = 0; i < identity->ca_set_count; i++) {
        const struct admin_ca_set *set = &identity->ca_sets[i];
        exposition_add(page, (const struct bytes[]){set->files, BYTES("accepted")}, set->accepted);
        exposition_add(page, (const struct bytes[]){set->files, BYTES("refused")}, set->refused);
    }
}

static void add_ca_set_ends(struct exposition *page, const struct admin_identity *identity) {
    exposition_begin(page, METRIC_CA_SET_NOT_AFTER);
    for (uint32_t i = 0; i < identity->ca_set_count; i++)
        if (identity->ca_sets[i].subject.len > 0)
            exposition_add_seconds(page, &identity->ca_sets[i].files, (nanoseconds)identity->ca_sets[i].first_end * NS_PER_S);
}

static void add_handshakes(struct exposition *page, struct bytes side, const struct tls_role_counters *counters) {
    uint64_t resumed = metric_read(&counters->resumed);
    uint64_t all = metric_read(&counters->handshakes);
    // The two are read one after the other while they count: never below zero.
    exposition_add(page, (const struct bytes[]){side, BYTES("full")}, all > resumed ? all - resumed : 0);
    exposition_add(page, (const struct bytes[]){side, BYTES("resumed")}, resumed);
}

static void add_failures(struct exposition *page, struct bytes side, const struct tls_role_counters *counters) {
    for (int i = 0; i < TLS_FAILURE_COUNT; i++) {
        struct bytes reason = bytes_from_text(tls_failure_label((enum tls_failure)i));
        exposition_add(page, (const struct bytes[]){side, reason}, metric_read(&counters->failed[i]));
    }
}

static void add_tls(struct exposition *page, const struct tls_counters *tls) {
    exposition_begin(page, METRIC_TLS_HANDSHAKES);
    add_handshakes(page, BYTES("server"), &tls->server);
    add_handshakes(page, BYTES("client"), &tls->client);
    exposition_begin(page, METRIC_TLS_FAILURES);
    add_failures(page, BYTES("server"), &tls->server);
    add_failures(page, BYTES("client"), &tls->client);
    add_number(page, METRIC_TLS_TICKETS, metric_read(&tls->tickets));
    add_number(page, METRIC_TLS_PATHS_REUSED, metric_read(&tls->path_reused));
    add_number(page, METRIC_TLS_TRUNCATED, metric_read(&tls->truncated));
}

static bool has_sample(const struct admin_limit *limit, unsigned known) {
    return (limit->known & known) == known && (!limit->one_of_many || limit->peak > 0 || limit->hits > 0);
}

static void add_limits(struct exposition *page, const struct admin_figures *figures) {
    static const enum metric families[] = {METRIC_LIMIT, METRIC_LIMIT_USE, METRIC_LIMIT_PEAK, METRIC_LIMIT_HITS};
    static const unsigned known[] = {0, ADMIN_LIMIT_USE, ADMIN_LIMIT_PEAK, ADMIN_LIMIT_HITS};
    for (unsigned family = 0; family < 4; family++) {
        exposition_begin(page, families[family]);
        for (uint32_t i = 0; i < figures->limit_count; i++) {
            const struct admin_limit *limit = &figures->limits[i];
            const uint64_t values[] = {limit->value, limit->use, limit->peak, limit->hits};
            if (has_sample(limit, known[family]) && (family > 0 || limit->value > 0)) // 0: there is none, and use by it is no share
                exposition_add(page, (const struct bytes[]){limit->name, limit->scope}, values[family]);
        }
    }
}

static struct bytes mode_of(const struct admin_policy *policy) {
    return policy->is_dry_run ? BYTES("dry_run") : BYTES("enforce");
}

// policy, rule, target, mode; no overflow
#define POLICY_LABELS(shown) \
    { (shown)->policy, (shown)->rule, (shown)->target, mode_of(shown), BYTES_NONE }

#define OTHER BYTES("_other")

// The one series of all that have no series of their own.
static const struct bytes *overflow_labels(const struct exposition *page, struct bytes values[METRIC_LABELS_MAX]) {
    for (unsigned i = 0; i < METRIC_LABELS_MAX; i++)
        values[i] = BYTES_NONE;
    values[metric_label_count(page->family) - 1] = BYTES("true");
    return values;
}

static void add_overflow(struct exposition *page, uint64_t value) {
    struct bytes values[METRIC_LABELS_MAX];
    if (value > 0)
        exposition_add_since(page, overflow_labels(page, values), value, 0);
}

static void add_queue_waits(struct exposition *page, const struct admin_figures *figures) {
    const struct policy_queue *others = &figures->other_policies.queue;
    struct bytes values[METRIC_LABELS_MAX];
    uint64_t count = 0;
    exposition_begin(page, METRIC_BULKHEAD_WAIT);
    for (uint32_t i = 0; i < figures->policy_count; i++) {
        const struct admin_policy *policy = &figures->policies[i];
        if (policy->totals.has_queue)
            exposition_add_histogram_sample(page, &(struct histogram_sample){.labels = (const struct bytes[])POLICY_LABELS(policy),
                                                                             .buckets = policy->totals.queue.waits,
                                                                             .sum = policy->totals.queue.waited,
                                                                             .begun = policy->begun});
    }
    for (unsigned i = 0; i < DURATION_BUCKETS; i++)
        count += others->waits[i];
    if (count > 0)
        exposition_add_histogram(page, overflow_labels(page, values), others->waits, others->waited);
}

static void add_policy_counters(struct exposition *page, const struct admin_figures *figures) {
    static const enum metric families[] = {METRIC_POLICY_REFUSALS, METRIC_POLICY_DELAYS, METRIC_POLICY_OVERFLOWS};
    for (size_t family = 0; family < sizeof families / sizeof families[0]; family++) {
        exposition_begin(page, families[family]);
        for (uint32_t i = 0; i < figures->policy_count; i++) {
            const struct admin_policy *policy = &figures->policies[i];
            const uint64_t values[] = {policy->totals.refusals, policy->totals.delays, policy->totals.overflows};
            if (families[family] != METRIC_POLICY_OVERFLOWS || policy->overflows_known)
                exposition_add_since(page, (const struct bytes[])POLICY_LABELS(policy), values[family], policy->begun);
        }
        const struct policy_totals *others = &figures->other_policies;
        const uint64_t values[] = {others->refusals, others->delays, others->overflows};
        add_overflow(page, values[family]);
    }
}

static void add_queues(struct exposition *page, const struct admin_figures *figures) {
    static const enum metric families[] = {METRIC_BULKHEAD_IN_USE, METRIC_BULKHEAD_LIMIT, METRIC_BULKHEAD_QUEUED};
    const struct admin_policy others = {.policy = OTHER, .rule = OTHER, .target = OTHER, .totals = figures->other_policies};
    for (size_t family = 0; family < sizeof families / sizeof families[0]; family++) {
        exposition_begin(page, families[family]);
        for (uint32_t i = 0; i <= figures->policy_count; i++) {
            const struct admin_policy *policy = i < figures->policy_count ? &figures->policies[i] : &others;
            const struct policy_queue *queue = &policy->totals.queue;
            const uint64_t values[] = {queue->running, queue->limit, queue->queued};
            if (policy->totals.has_queue)
                exposition_add(page, (const struct bytes[])POLICY_LABELS(policy), values[family]);
        }
    }
}

static void add_breakers(struct exposition *page, const struct admin_figures *figures) {
    exposition_begin(page, METRIC_BREAKER_STATE);
    for (uint32_t i = 0; i < figures->policy_count; i++) {
        const struct admin_policy *policy = &figures->policies[i];
        if (policy->is_breaker)
            exposition_add(page, (const struct bytes[]){policy->policy, policy->target, mode_of(policy)}, policy->breaker_state);
    }
    exposition_begin(page, METRIC_BREAKER_CHANGES);
    uint64_t others = 0;
    for (int to = 0; to < CIRCUIT_STATES; to++) {
        const struct bytes name = bytes_from_text(circuit_state_name((enum circuit_state)to));
        others += figures->other_policies.changes[to];
        for (uint32_t i = 0; i < figures->policy_count; i++) {
            const struct admin_policy *policy = &figures->policies[i];
            if (policy->is_breaker)
                exposition_add_since(page, (const struct bytes[]){policy->policy, policy->target, mode_of(policy), name, BYTES_NONE},
                                     policy->totals.changes[to], policy->begun);
        }
    }
    add_overflow(page, others);
}

void metrics_expose(struct exposition *page, const struct admin_figures *figures) {
    add_process_state(page, figures);
    add_config(page, &figures->config);
    add_identity(page, &figures->identity);
    add_edges(page, &figures->identity);
    add_ca_sets(page, &figures->identity);
    add_ca_set_ends(page, &figures->identity);
    worker_metrics_expose(page, &figures->workers);
    add_tls(page, &figures->tls);
    dns_metrics_expose(page, &figures->dns);
    export_metrics_expose(page, figures->exports, figures->export_count);
    add_policy_counters(page, figures);
    add_queues(page, figures);
    add_queue_waits(page, figures);
    add_breakers(page, figures);
    health_metrics_expose(page, figures->health, figures->health_count, &figures->other_health);
    add_limits(page, figures);
    loop_metrics_expose(page, figures->loops, figures->loop_count);
    process_metrics_expose(page, &figures->process);
}

// Of several lines one list (RFC 9110 section 5.3).
static struct bytes accept_of(struct admin_query *query) {
    const struct fields *fields = query->request->fields;
    struct bytes all = BYTES_NONE;
    for (uint32_t i = 0; i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        if (bytes_equal_nocase(field->name, BYTES("accept")))
            all = all.len == 0 ? field->value : pool_format(&query->pool, "%.*s, %.*s", BYTES_FORMAT(all), BYTES_FORMAT(field->value));
    }
    return all;
}

struct page {
    struct exposition exposition;
    struct buffer text;
    struct series_writing writing;
};

static void drop_page(void *argument) {
    struct page *page = argument;
    buffer_dispose(&page->text);
}

static struct page *page_of(struct admin_query *query) {
    if (query->slice_state != NULL)
        return query->slice_state;
    struct page *page = pool_alloc_zeroed(&query->pool, sizeof *page);
    admin_text_init(query, &page->text);
    pool_on_dispose(&query->pool, drop_page, page); // its client may leave
    exposition_init(&page->exposition, &page->text, exposition_negotiate(accept_of(query)));
    query->slice_state = page;
    return page;
}

bool page_metrics_slice(struct admin_query *query) {
    struct page *page = page_of(query);
    return series_rows_expose(&page->exposition, &query->figures.series, &page->writing, METRICS_ROWS_PER_SLICE);
}

// Behind its slices.
void page_metrics(struct admin_query *query) {
    struct page *page = page_of(query);
    metrics_expose(&page->exposition, &query->figures);
    exposition_end(&page->exposition);
    admin_reply_text(query, 200, exposition_content_type(page->exposition.format), &page->text);
}
