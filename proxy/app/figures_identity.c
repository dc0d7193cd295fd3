// What /certs and the metrics of certificates show: the leaf in force, the roots of its bundle, the certificates of gateway sockets, and what is wrong with newer files. Keys have no
// place here.
#include "app/figures.h"

#include "certs/trust_bundle.h"

static struct admin_certificate leaf_figures(const struct credentials *credentials, const struct identity_config *config) {
    return (struct admin_certificate){
        .role = BYTES("identity"),
        .id = credentials_id(credentials)->text,
        .serial = bytes_from_text(credentials_serial(credentials)),
        .file = config->certificate,
        .not_before = credentials_not_before(credentials),
        .not_after = credentials_not_after(credentials),
    };
}

static struct admin_certificate root_figures(const struct trust_bundle *bundle, uint32_t index, const struct identity_config *config,
                                             struct pool *pool) {
    struct trust_root *root = pool_alloc(pool, sizeof *root);
    trust_bundle_root(bundle, index, root);
    return (struct admin_certificate){
        .role = BYTES("trust bundle"),
        .id = root->trust_domain,
        .subject = bytes_from_text(root->subject),
        .serial = bytes_from_text(root->serial),
        .file = config->trust_bundle,
        .not_before = root->not_before,
        .not_after = root->not_after,
    };
}

static void fill_ca_sets(const struct ca_files *files, struct pool *pool, struct admin_identity *figures) {
    figures->ca_set_count = ca_files_count(files);
    figures->ca_sets = pool_alloc_zeroed(pool, (figures->ca_set_count + 1) * sizeof *figures->ca_sets);
    for (uint32_t i = 0; i < figures->ca_set_count; i++) {
        const struct ca_files_state state = ca_files_state(files, i);
        struct admin_ca_set *set = &figures->ca_sets[i];
        char subject[256];
        set->files = state.files;
        set->error = bytes_from_text(state.last_error);
        set->accepted = state.accepted;
        set->refused = state.refused;
        if (state.credentials == NULL)
            continue;
        set->certificates = ca_set_count(credentials_authorities(state.credentials));
        set->first_end = ca_set_first_end(credentials_authorities(state.credentials), subject, sizeof subject);
        set->subject = pool_copy(pool, bytes_from_text(subject));
    }
}

static void fill_own(const struct proxy *proxy, struct pool *pool, struct admin_identity *figures) {
    const struct identity_config *config = &proxy->documents.snapshot->proxy.identity;
    if (proxy->identity == NULL)
        return;
    const struct identity_state *state = file_identity_state(proxy->identity);
    const struct credentials *credentials = file_identity_credentials(proxy->identity);
    figures->given = true;
    figures->loaded = credentials != NULL;
    figures->generation = state->generation;
    figures->loaded_wall = state->loaded_wall;
    figures->error = bytes_from_text(state->last_error);
    figures->accepted = state->generation; // each set that is accepted is one more
    figures->refused = state->refused;
    if (credentials == NULL)
        return;
    const struct trust_bundle *bundle = credentials_bundle(credentials);
    uint32_t roots = trust_bundle_root_count(bundle);
    figures->certificates = pool_alloc_zeroed(pool, (roots + 1) * sizeof *figures->certificates);
    figures->certificates[figures->certificate_count++] = leaf_figures(credentials, config);
    for (uint32_t i = 0; i < roots; i++)
        figures->certificates[figures->certificate_count++] = root_figures(bundle, i, config, pool);
}

static struct admin_certificate edge_figures(const struct edge_identity *edge, uint32_t index, struct pool *pool) {
    const struct edge_certificate certificate = edge_identity_certificate(edge, index);
    bool is_wildcard = certificate.hostname.len > 0 && certificate.hostname.at[0] == '.';
    struct bytes host = certificate.hostname.len == 0 ? BYTES("*") : certificate.hostname;
    struct admin_certificate figures = {
        .role = BYTES("gateway"),
        .id = pool_copy(pool, certificate.name),
        .listener = pool_copy(pool, edge_identity_state(edge)->socket),
        .hostname = is_wildcard ? pool_format(pool, "*%.*s", BYTES_FORMAT(host)) : pool_copy(pool, host),
        .file = pool_copy(pool, certificate.file),
    };
    struct tls_edge_leaf leaf;
    if (edge_identity_credentials(edge) == NULL || !credentials_edge_leaf(edge_identity_credentials(edge), index, &leaf))
        return figures;
    figures.serial = pool_copy(pool, bytes_from_text(leaf.serial));
    figures.not_before = leaf.not_before;
    figures.not_after = leaf.not_after;
    return figures;
}

static void fill_edges(const struct edges *edges, struct pool *pool, struct admin_identity *figures) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < edges->count; i++)
        count += edge_identity_state(edges->items[i])->certificates;
    figures->edges = pool_alloc_zeroed(pool, (edges->count + 1) * sizeof *figures->edges);
    figures->edge_certificates = pool_alloc_zeroed(pool, (count + 1) * sizeof *figures->edge_certificates);
    for (uint32_t i = 0; i < edges->count; i++) {
        const struct edge_identity_state *state = edge_identity_state(edges->items[i]);
        figures->edges[figures->edge_count++] = (struct admin_edge){
            .listener = pool_copy(pool, state->socket),
            .loaded_wall = state->loaded_wall,
            .error = pool_copy(pool, bytes_from_text(state->last_error)),
            .accepted = state->accepted,
            .refused = state->refused,
        };
        for (uint32_t j = 0; j < state->certificates; j++)
            figures->edge_certificates[figures->edge_certificate_count++] = edge_figures(edges->items[i], j, pool);
    }
}

void figures_fill_identity(const struct proxy *proxy, struct pool *pool, struct admin_identity *figures) {
    fill_own(proxy, pool, figures);
    fill_ca_sets(proxy->ca_files, pool, figures);
    fill_edges(&proxy->edges, pool, figures);
}
