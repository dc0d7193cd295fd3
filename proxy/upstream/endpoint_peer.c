// See endpoint_peer.h. All is copied: traits are the snapshot's.
#include "upstream/endpoint_peer.h"

#include "base/check.h"
#include "upstream/upstream.h"

#include <stdlib.h>

static void copy_identities(struct endpoint_peer *peer, const struct endpoint_traits *traits) {
    peer->identity_count = traits->identity_count;
    peer->identities = alloc_zeroed_or_abort(traits->identity_count + 1, sizeof *peer->identities);
    for (uint32_t i = 0; i < traits->identity_count; i++) {
        const char *reason;
        enum error error = spiffe_id_parse(bytes_keep(traits->identities[i].text), &peer->identities[i], &reason);
        CHECK(error == OK); // it was parsed when the documents were checked
    }
}

static void copy_origin(struct endpoint_peer *peer, const struct origin_config *origin) {
    peer->authorities = bytes_keep(origin->authorities->key);
    peer->server_name = bytes_keep(origin->server_name);
    peer->name_count = origin->name_count;
    peer->names = alloc_zeroed_or_abort(origin->name_count, sizeof *peer->names);
    for (uint32_t i = 0; i < origin->name_count; i++)
        peer->names[i] = (struct server_name){origin->names[i].type, bytes_keep(origin->names[i].text)};
}

struct endpoint_peer *endpoint_peer_get(struct upstream *upstream, const struct endpoint_traits *traits) {
    struct endpoint_peer *peer = map_get(&upstream->peers, traits->peer_key);
    if (peer == NULL) {
        peer = alloc_zeroed_or_abort(1, sizeof *peer);
        peer->key = bytes_keep(traits->peer_key);
        peer->tls = traits->tls;
        copy_identities(peer, traits);
        if (traits->origin != NULL)
            copy_origin(peer, traits->origin);
        map_put(&upstream->peers, peer->key, peer);
    }
    peer->references++;
    return peer;
}

void endpoint_peer_release(struct upstream *upstream, struct endpoint_peer *peer) {
    CHECK(peer->references > 0);
    if (--peer->references > 0)
        return;
    map_remove(&upstream->peers, peer->key);
    for (uint32_t i = 0; i < peer->identity_count; i++)
        bytes_drop(&peer->identities[i].text);
    for (uint32_t i = 0; i < peer->name_count; i++)
        bytes_drop(&peer->names[i].text);
    free(peer->identities);
    free(peer->names);
    bytes_drop(&peer->server_name);
    bytes_drop(&peer->authorities);
    bytes_drop(&peer->key);
    free(peer);
}
