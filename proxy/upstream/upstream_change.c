// Clusters follow a snapshot one by one. See upstream_change.h.
#include "upstream/upstream_change.h"

#include "base/check.h"
#include "upstream/cluster.h"
#include "upstream/codec_limits.h"

#include <stdlib.h>

static bool set_text(struct bytes *kept, struct bytes text) {
    if (bytes_equal(*kept, text))
        return false;
    bytes_drop(kept);
    *kept = bytes_keep(text);
    return true;
}

void upstream_change_begin(struct upstream_change *change, struct upstream *upstream, const struct snapshot *snapshot) {
    const struct limits_config *limits = &snapshot->proxy.limits;
    *change = (struct upstream_change){.upstream = upstream, .snapshot = snapshot};
    upstream->applied++;
    upstream->buffer_per_stream = limits->buffer_per_stream;
    upstream->codec_limits = codec_limits_of(limits, limits->buffer_per_stream);
    const bool zone = set_text(&upstream->zone, snapshot->proxy.zone);
    const bool region = set_text(&upstream->region, snapshot->proxy.region);
    change->has_moved = zone || region;
}

// Those that no service of the snapshot has: found all at once, by a look at each.
static void find_gone(struct upstream_change *change) {
    struct upstream *upstream = change->upstream;
    uint32_t position = 0;
    struct bytes key;
    void *value;
    change->gone = alloc_zeroed_or_abort(upstream->clusters.count + 1, sizeof(struct cluster *));
    while (map_next(&upstream->clusters, &position, &key, &value))
        if (((const struct cluster *)value)->applied != upstream->applied)
            change->gone[change->gone_count++] = value;
}

bool upstream_change_next(struct upstream_change *change, uint32_t *cost) {
    struct upstream *upstream = change->upstream;
    CHECK(change->next <= change->snapshot->service_count);
    *cost = 1;
    if (change->next == change->snapshot->service_count) {
        find_gone(change);
        return false;
    }
    const struct service_config *service = change->snapshot->services[change->next++];
    struct cluster *cluster = map_get(&upstream->clusters, service->key);
    const bool is_new = cluster == NULL;
    if (is_new) {
        cluster = cluster_create(upstream, service);
        map_put(&upstream->clusters, service->key, cluster);
    }
    cluster->applied = upstream->applied;
    if (!is_new && cluster->config_digest == service->digest && !change->has_moved)
        return true;
    if (!is_new)
        cluster_update(cluster, service);
    *cost = CHANGE_COST * (1 + cluster->endpoint_count);
    return true;
}

bool upstream_change_drop_next(struct upstream_change *change, uint32_t *cost) {
    *cost = 1;
    if (change->gone_count == 0) {
        free(change->gone);
        change->gone = NULL;
        return false;
    }
    struct cluster *cluster = change->gone[--change->gone_count];
    *cost = CHANGE_COST * (1 + cluster->endpoint_count);
    map_remove(&change->upstream->clusters, cluster->key);
    cluster_drop(cluster);
    return true;
}
