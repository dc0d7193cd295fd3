// What /certs and the identity metrics show: the leaf in force, the roots of its bundle, and what is wrong with newer files. Keys have no place here.
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
        if (state.credentials == NULL)
            continue;
        set->certificates = ca_set_count(credentials_authorities(state.credentials));
        set->first_end = ca_set_first_end(credentials_authorities(state.credentials), subject, sizeof subject);
        set->subject = pool_copy(pool, bytes_from_text(subject));
    }
}

void figures_fill_identity(const struct proxy *proxy, struct pool *pool, struct admin_identity *figures) {
    const struct identity_config *config = &proxy->documents.snapshot->proxy.identity;
    fill_ca_sets(proxy->ca_files, pool, figures);
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
