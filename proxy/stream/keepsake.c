// Copies, and the moment from which they suffice. See keepsake.h.
#include "stream/keepsake.h"

#include "base/check.h"
#include "stream/attempts.h"
#include "stream/stream.h"

// --- the copies: only what is asked of a stream that has its answer ---

static void copy_texts(struct pool *pool, struct bytes *const *texts, size_t count) {
    for (size_t i = 0; i < count; i++)
        *texts[i] = texts[i]->at == NULL ? BYTES_NONE : pool_copy(pool, *texts[i]);
}

// No endpoint is picked any more.
static void copy_traffic(struct pool *pool, const struct traffic_config *from, struct traffic_config *to) {
    *to = *from;
    to->load_balancer = (struct load_balancer_config){0};
    to->selection = (struct selection_config){0};
    to->circuit_breaker = (struct circuit_breaker_config){0};
    to->place = (struct place){0};
    struct bytes *const texts[] = {&to->connections.policy, &to->timeouts.policy, &to->deadline.policy,
                                   &to->retry.policy,       &to->hedge.policy,    &to->policy};
    copy_texts(pool, texts, sizeof texts / sizeof texts[0]);
}

static void copy_service(struct pool *pool, const struct service_config *from, struct service_config *to) {
    *to = (struct service_config){
        .namespace_name = from->namespace_name,
        .name = from->name,
        .port = from->port,
        .port_name = from->port_name,
        .key = from->key,
        .protocol = from->protocol,
        .is_passthrough = from->is_passthrough,
        .is_application = from->is_application,
        .resolution = from->resolution,
        .digest = from->digest,
    };
    struct bytes *const texts[] = {&to->namespace_name, &to->name, &to->port_name, &to->key};
    copy_texts(pool, texts, sizeof texts / sizeof texts[0]);
}

static void copy_rule(struct pool *pool, const struct route_rule *from, struct route_rule *to) {
    *to = (struct route_rule){.route = from->route, .label = from->label, .weights = from->weights};
    struct bytes *const texts[] = {&to->route, &to->label};
    copy_texts(pool, texts, sizeof texts / sizeof texts[0]);
}

static void copy_listener(struct pool *pool, const struct listener_config *from, struct listener_config *to) {
    *to = (struct listener_config){.name = from->name, .role = from->role, .mtls = from->mtls, .app_protocol = from->app_protocol};
    to->address.text = from->address.text;
    struct bytes *const texts[] = {&to->name, &to->address.text};
    copy_texts(pool, texts, sizeof texts / sizeof texts[0]);
}

static void copy_proxy(struct pool *pool, const struct proxy_config *from, struct proxy_config *to) {
    const struct access_log_config *log = &from->telemetry.access_log;
    *to = (struct proxy_config){.limits = from->limits};
    to->edge.proxy_status = from->edge.proxy_status;
    to->telemetry.audit_log = from->telemetry.audit_log;
    to->telemetry.audit_log.path = BYTES_NONE;
    if (log->header_count == 0)
        return;
    to->telemetry.access_log.header_count = log->header_count;
    to->telemetry.access_log.headers = pool_alloc(pool, log->header_count * sizeof log->headers[0]);
    for (uint32_t i = 0; i < log->header_count; i++)
        to->telemetry.access_log.headers[i] = pool_copy(pool, log->headers[i]);
}

static const struct request_key *copy_key(struct pool *pool, const struct request_key *from) {
    if (from == NULL)
        return NULL;
    struct request_key *to = pool_alloc(pool, sizeof *to);
    to->count = from->count;
    to->parts = pool_alloc(pool, from->count * sizeof from->parts[0]);
    for (uint32_t i = 0; i < from->count; i++)
        to->parts[i] = (struct request_key_part){.type = from->parts[i].type, .name = pool_copy(pool, from->parts[i].name)};
    return to;
}

static const struct chain *copy_chain(struct pool *pool, const struct chain *from) {
    struct chain *to = pool_alloc(pool, sizeof *to + from->count * sizeof to->filters[0]);
    memcpy(to, from, sizeof *to + from->count * sizeof to->filters[0]);
    for (uint32_t i = 0; i < to->count; i++) {
        to->filters[i].config = NULL;
        to->filters[i].policy = NULL;
    }
    return to;
}

static const struct telemetry_attribute *copy_attributes(struct pool *pool, const struct telemetry_attribute *from, uint32_t count) {
    struct telemetry_attribute *to = pool_alloc_zeroed(pool, count * sizeof from[0] + 1);
    for (uint32_t i = 0; i < count; i++) {
        to[i].name = pool_copy(pool, from[i].name);
        to[i].from = (struct request_key_part){.type = from[i].from.type, .name = pool_copy(pool, from[i].from.name)};
    }
    return to;
}

static void copy_telemetry(struct pool *pool, const struct telemetry_rules *from, struct telemetry_rules *to) {
    *to = *from;
    to->traces.attributes = copy_attributes(pool, from->traces.attributes, from->traces.attribute_count);
    to->metrics.labels = copy_attributes(pool, from->metrics.labels, from->metrics.label_count);
}

static struct keepsake *create(const struct stream *stream) {
    const struct bound_destination *from = stream->destination;
    struct pool pool;
    pool_init(&pool, &stream->env->loop->pools);
    struct keepsake *keepsake = pool_alloc_zeroed(&pool, sizeof *keepsake);
    copy_proxy(&pool, stream->proxy, &keepsake->proxy);
    copy_telemetry(&pool, from->config->telemetry, &keepsake->telemetry);
    copy_listener(&pool, stream->listener, &keepsake->listener);
    keepsake->listener.telemetry = &keepsake->telemetry; // there is a destination: it is not asked
    copy_service(&pool, from->config->service, &keepsake->service);
    copy_traffic(&pool, from->config->traffic, &keepsake->traffic);
    if (from->config->rule != NULL)
        copy_rule(&pool, from->config->rule, &keepsake->rule);
    keepsake->config = (struct destination){
        .service = &keepsake->service,
        .rule = from->config->rule == NULL ? NULL : &keepsake->rule,
        .is_backend = from->config->is_backend,
        .weight = from->config->weight,
        .traffic = &keepsake->traffic,
        .logged_keys = copy_key(&pool, from->config->logged_keys),
        .telemetry = &keepsake->telemetry,
    };
    keepsake->destination = bound_share(from, &keepsake->config);
    keepsake->destination.chain = copy_chain(&pool, from->chain);
    keepsake->destination.attempt_chain = copy_chain(&pool, from->attempt_chain);
    keepsake->of = stream->listener;
    keepsake->references = 1;
    keepsake->pool = pool;
    return keepsake;
}

void keepsake_unref(struct keepsake *keepsake) {
    CHECK(keepsake->references > 0);
    if (--keepsake->references > 0)
        return;
    bound_let_go(&keepsake->destination);
    pool_dispose(&keepsake->pool);
}

// --- the moment ---

// What filters are still called for works without a config.
static bool needs_configs(const struct chain *chain) {
    for (uint32_t i = 0; i < chain->count; i++) {
        const struct filter_type *type = chain->filters[i].type;
        if (type->ops.response_data != NULL || (type->ops.end != NULL && !type->ends_without_config))
            return true;
    }
    return false;
}

// The end of a body is a piece of it, also where nothing came before.
static bool request_has_passed_filters(const struct stream *stream) {
    const struct attempts *attempts = stream->attempts;
    return !stream->filters.chain->has_request_data || stream->has_tunnel || attempts == NULL || attempts->body_taken ||
           list_is_empty(&attempts->running);
}

static bool may_let_go(const struct stream *stream) {
    return stream->state == STREAM_RESPONSE && !stream->is_subrequest && stream->destination != NULL && stream->filters.chain != NULL &&
           request_has_passed_filters(stream) && !needs_configs(stream->filters.chain) && !needs_configs(stream->destination->attempt_chain);
}

static void repoint_attempts(const struct list *attempts, const struct chain *chain) {
    LIST_EACH(attempts, node, following) {
        struct filter_run *run = &LIST_ENTRY(node, struct attempt, link)->filters;
        run->chain = run->chain == NULL ? NULL : chain;
    }
}

// That of a stream which is alike.
static struct keepsake *find(const struct stream *stream) {
    struct keepsake *keepsake = stream->destination->keepsakes;
    while (keepsake != NULL && keepsake->of != stream->listener)
        keepsake = keepsake->next;
    return keepsake;
}

void keepsake_take(struct stream *stream) {
    struct bound_snapshot *bound = stream->bound;
    if (!may_let_go(stream))
        return;
    struct keepsake *keepsake = find(stream);
    if (keepsake == NULL) {
        keepsake = create(stream);
        keepsake->next = stream->destination->keepsakes;
        stream->destination->keepsakes = keepsake;
    }
    keepsake->references++;
    stream->keepsake = keepsake;
    stream->proxy = &keepsake->proxy;
    stream->listener = &keepsake->listener;
    stream->destination = &keepsake->destination;
    stream->traffic = &keepsake->traffic;
    stream->rule = stream->rule == NULL ? NULL : &keepsake->rule;
    stream->filters.chain = keepsake->destination.chain;
    stream->filters.asked = NULL;
    if (stream->attempts != NULL) {
        repoint_attempts(&stream->attempts->running, keepsake->destination.attempt_chain);
        repoint_attempts(&stream->attempts->over, keepsake->destination.attempt_chain);
    }
    stream->bound = NULL;
    list_remove(&stream->of_bound);
    bound_unpin(bound);
}
