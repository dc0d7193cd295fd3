// TLS toward servers outside the mesh: what documents leave out gets its value here, and what is alike is made once.
#include "config/freeze_private.h"

#include "base/check.h"
#include "config/authority.h"

#include <stdlib.h>
#include <unistd.h>

// Where distributions keep the certificates that they trust, as one file. The first stands also for a system that has none: what is wrong is said when it is read.
static const char *const system_bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",   // Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",             // SUSE
    "/etc/ssl/cert.pem",
};

static struct bytes find_system_bundle(void) {
    const char *named = getenv("SSL_CERT_FILE");
    if (named != NULL && named[0] != '\0')
        return bytes_from_text(named);
    for (size_t i = 0; i < sizeof system_bundles / sizeof system_bundles[0]; i++)
        if (access(system_bundles[i], R_OK) == 0)
            return bytes_from_text(system_bundles[i]);
    return bytes_from_text(system_bundles[0]);
}

static void add_path(struct freezing *freezing, struct bytes path) {
    struct named_path *named = pool_alloc(freezing->pool, sizeof *named);
    *named = (struct named_path){.path = path, .next = freezing->snapshot->paths};
    freezing->snapshot->paths = named;
}

static const struct ca_set_config *find_authorities(struct freezing *freezing, const struct entry_tls *tls) {
    struct pool *scratch = freezing->loading->scratch;
    const bool has_system = tls->system || tls->ca_file_count == 0;
    const uint32_t count = tls->ca_file_count + has_system;
    struct bytes *files = pool_alloc_zeroed(scratch, count * sizeof *files);
    if (has_system)
        files[0] = find_system_bundle();
    for (uint32_t i = 0; i < tls->ca_file_count; i++)
        files[i + has_system] = tls->ca_files[i];
    // Paths may have any sign in them, so each says how long it is.
    struct bytes key = BYTES("");
    for (uint32_t i = 0; i < count; i++)
        key = pool_format(scratch, "%.*s%zu:%.*s,", BYTES_FORMAT(key), files[i].len, BYTES_FORMAT(files[i]));
    for (const struct ca_set_config *set = freezing->snapshot->ca_sets; set != NULL; set = set->next)
        if (bytes_equal(set->key, key))
            return set;
    struct ca_set_config *made = pool_alloc(freezing->pool, sizeof *made);
    struct bytes *kept = pool_alloc(freezing->pool, count * sizeof *kept);
    for (uint32_t i = 0; i < count; i++)
        kept[i] = pool_copy(freezing->pool, files[i]);
    if (has_system)
        add_path(freezing, kept[0]);
    *made = (struct ca_set_config){
        .key = pool_copy(freezing->pool, key),
        .files = kept,
        .file_count = count,
        .document = pool_copy(freezing->pool, bytes_from_text(freezing->entry->label)).at,
        .place = document_place(freezing->entry, NULL),
        .next = freezing->snapshot->ca_sets,
    };
    freezing->snapshot->ca_sets = made;
    return made;
}

static struct server_name name_of(const struct entry_name *name, struct authority *authority) {
    if (name->type == SERVER_NAME_URI)
        return (struct server_name){SERVER_NAME_URI, name->uri};
    CHECK(authority_parse(name->hostname, authority));
    struct bytes host = authority_host(authority);
    if (!is_ip_address(host))
        return (struct server_name){SERVER_NAME_HOST, host};
    return (struct server_name){SERVER_NAME_ADDRESS, host.at[0] == '[' ? bytes_from(host.at + 1, host.len - 2) : host};
}

// In `pool`, with all that they point to.
static struct server_name *copy_names(struct pool *pool, const struct service_entry_spec *spec, const struct entry_tls *tls, struct bytes server_name,
                                      uint32_t *count) {
    struct authority authority;
    struct server_name *names = pool_alloc_zeroed(pool, (tls->name_count + 1) * sizeof *names);
    *count = tls->name_count > 0 ? tls->name_count : 1;
    for (uint32_t i = 0; i < tls->name_count; i++) {
        names[i] = name_of(&tls->names[i], &authority);
        names[i].text = pool_copy(pool, names[i].text);
    }
    if (tls->name_count > 0)
        return names;
    if (tls->server_name.len > 0)
        names[0] = (struct server_name){SERVER_NAME_HOST, server_name};
    else
        CHECK(service_entry_name(spec, &authority, &names[0])); // it was checked that there is one
    names[0].text = pool_copy(pool, names[0].text);
    return names;
}

static struct bytes origin_key(struct pool *scratch, const struct origin_config *origin) {
    static const char *const types[] = {[SERVER_NAME_HOST] = "host", [SERVER_NAME_ADDRESS] = "address", [SERVER_NAME_URI] = "uri"};
    struct bytes key = pool_format(scratch, "simple %.*s", BYTES_FORMAT(origin->server_name));
    for (uint32_t i = 0; i < origin->name_count; i++)
        key = pool_format(scratch, "%.*s %s:%.*s", BYTES_FORMAT(key), types[origin->names[i].type], BYTES_FORMAT(origin->names[i].text));
    return pool_format(scratch, "%.*s by %.*s", BYTES_FORMAT(key), BYTES_FORMAT(origin->authorities->key));
}

// The first host that is a name; empty: there is none to ask for.
static struct bytes first_host_name(const struct service_entry_spec *spec, struct authority *authority) {
    for (uint32_t i = 0; i < spec->host_count; i++)
        if (!bytes_starts_with(spec->hosts[i], BYTES("*.")) && authority_parse(spec->hosts[i], authority) &&
            !is_ip_address(authority_host(authority)))
            return authority_host(authority);
    return BYTES_NONE;
}

const struct origin_config *freeze_origin(struct freezing *freezing, const struct service_entry_spec *spec, const struct entry_tls *tls) {
    struct pool *scratch = freezing->loading->scratch;
    struct authority authority;
    struct origin_config origin = {.authorities = find_authorities(freezing, tls)};
    if (tls->server_name.len > 0) {
        CHECK(authority_parse(tls->server_name, &authority));
        origin.server_name = pool_copy(scratch, authority_host(&authority));
    } else {
        origin.server_name = pool_copy(scratch, first_host_name(spec, &authority));
    }
    origin.names = copy_names(scratch, spec, tls, origin.server_name, &origin.name_count);
    origin.key = origin_key(scratch, &origin);
    struct origin_config *found = map_get(&freezing->origins, origin.key);
    if (found != NULL)
        return found;
    struct pool *pool = freezing->pool;
    found = pool_alloc(pool, sizeof *found);
    *found = origin;
    found->server_name = pool_copy(pool, origin.server_name);
    found->names = copy_names(pool, spec, tls, origin.server_name, &found->name_count);
    found->key = pool_copy(pool, origin.key);
    map_put(&freezing->origins, found->key, found);
    return found;
}
