// See url_service.h. Services for URLs are made before routes and destinations are: so that there is a destination for each, which subrequests are sent to.
#include "config/url_service.h"

#include "base/check.h"
#include "config/authority.h"
#include "config/freeze_private.h"
#include "config/resource_authentication.h"
#include "config/resource_authorization.h"
#include "config/value.h"
#include "http/canonical.h"

// As long as the head of a request may be with room for the rest.
#define URL_BYTES_MAX 2048

#define HTTP BYTES("http://")
#define HTTPS BYTES("https://")

bool url_parse(struct bytes text, struct pool *pool, struct service_url *url, const char **wrong) {
    struct authority authority;
    struct endpoint_place place;
    *url = (struct service_url){.text = text, .is_https = bytes_starts_with(text, HTTPS)};
    *wrong = "is too long; allowed: 2048 bytes";
    if (text.len > URL_BYTES_MAX)
        return false;
    *wrong = "is no URL that can be asked; allowed: http:// or https://, a host with or without port, a path";
    if (!url->is_https && !bytes_starts_with(text, HTTP))
        return false;
    const size_t scheme = (url->is_https ? HTTPS : HTTP).len;
    const struct bytes rest = bytes_from(text.at + scheme, text.len - scheme);
    const size_t slash = bytes_find(rest, '/');
    url->authority = bytes_from(rest.at, slash);
    if (!authority_is_valid(url->authority) || !authority_parse(url->authority, &authority) ||
        !endpoint_place_parse(authority_host(&authority), &place))
        return false;
    *wrong = "has a path or query that no request can have; allowed: what is escaped where it must be, and no fragment";
    url->path = slash == rest.len ? BYTES("/") : bytes_from(rest.at + slash, rest.len - slash);
    return canonical_path(url->path, pool, &url->path) == OK;
}

void url_check(struct document *document, struct bytes text, const struct node *node) {
    struct service_url url;
    const char *wrong;
    if (node != NULL && !node->bad && !url_parse(text, document->loading->scratch, &url, &wrong))
        document_error(document, node, NULL, "%s", wrong);
}

// ---- services

// Documents that name URLs, by kind.
static const struct url_kind {
    const struct table *spec;
    uint32_t (*urls)(const void *spec, struct bytes urls[URLS_MAX]); // returns how many
} kinds[] = {{&authentication_table, authentication_urls}, {&authorization_table, authorization_urls}, {0}};

static uint32_t urls_of(const struct document *document, struct bytes urls[URLS_MAX]) {
    for (const struct url_kind *kind = kinds; kind->spec != NULL; kind++)
        if (kind->spec == document->kind->spec)
            return kind->urls(document->spec, urls);
    return 0;
}

uint32_t count_url_services(const struct loading *loading) {
    struct bytes urls[URLS_MAX];
    uint32_t count = OTLP_SIGNALS;
    for (const struct document *document = loading->first; document != NULL; document = document->next)
        count += urls_of(document, urls);
    return count;
}

static bool has_tls(const struct service_config *service) {
    bool everywhere = service->endpoint_count + service->source_count > 0;
    for (uint32_t i = 0; i < service->endpoint_count; i++)
        everywhere &= service->endpoints[i].traits->tls != TLS_NONE;
    for (uint32_t i = 0; i < service->source_count; i++)
        everywhere &= service->sources[i].endpoint.traits->tls != TLS_NONE;
    return everywhere;
}

// That of the documents which stands for the host at that port. Where https was written, it is none that sends plain text.
static const struct service_config *find_service(const struct snapshot *snapshot, const struct service_url *url, uint16_t port) {
    const struct service_config *service = snapshot_find_host(snapshot, url->authority, port);
    return service != NULL && service->port == port && (!url->is_https || has_tls(service)) ? service : NULL;
}

// As a ServiceEntry of that host and port alone would be.
static const struct service_config *add_service(struct freezing *freezing, const struct document *document, const struct service_url *url,
                                                struct authority *authority, uint16_t port) {
    struct bytes host = pool_copy(freezing->pool, authority_host(authority));
    struct entry_endpoint endpoint = {.weight = 1, .tls = {.mode = url->is_https ? TLS_SIMPLE : TLS_NONE, .system = true}};
    CHECK(endpoint_place_parse(host, &endpoint.place));
    const bool is_address = endpoint.place.name.len == 0;
    const struct service_entry_spec spec = {.tls = endpoint.tls,
                                            .hosts = &host,
                                            .host_count = 1,
                                            .resolution = is_address ? RESOLUTION_STATIC : RESOLUTION_DNS,
                                            .endpoints = &endpoint,
                                            .endpoint_count = is_address};
    struct service_config *service = freeze_add_service(freezing);
    service->name = host;
    service->namespace_name = BYTES(""); // of no namespace: no policy is for it
    service->port = port;
    service->port_name = url->is_https ? BYTES("https") : BYTES("http");
    service->protocol = PROTOCOL_HTTP;
    service->place = document_place(document, NULL);
    service->key = pool_format(freezing->pool, "%.*s://%.*s:%u", BYTES_FORMAT(service->port_name), BYTES_FORMAT(host), port);
    service->resolution = spec.resolution;
    service->traffic = freezing->policies.defaults;
    freezing->entry = document;
    freeze_places(freezing, &spec, &(struct entry_port){.port = port}, service);
    service->digest = service_digest(service);
    return service;
}

static void freeze_one(struct freezing *freezing, const struct document *document, struct bytes text) {
    struct service_url url;
    struct authority authority;
    const char *wrong;
    if (map_get(&freezing->urls, text) != NULL)
        return;
    CHECK(url_parse(text, freezing->pool, &url, &wrong) && authority_parse(url.authority, &authority)); // it was checked
    const uint16_t port = authority.port != 0 ? authority.port : url.is_https ? 443 : 80;
    url.service = find_service(freezing->snapshot, &url, port);
    for (uint32_t i = freezing->first_url_service; i < freezing->snapshot->service_count && url.service == NULL; i++) {
        const struct service_config *made = freezing->snapshot->services[i];
        if (made->port == port && bytes_equal(made->name, authority_host(&authority)) && bytes_equal(made->port_name, BYTES("https")) == url.is_https)
            url.service = made;
    }
    if (url.service == NULL)
        url.service = add_service(freezing, document, &url, &authority, port);
    url.text = pool_copy(freezing->pool, url.text);
    url.authority = pool_copy(freezing->pool, url.authority);
    url.path = pool_copy(freezing->pool, url.path);
    struct service_url *kept = pool_alloc(freezing->pool, sizeof *kept);
    *kept = url;
    map_put(&freezing->urls, kept->text, kept);
}

void freeze_urls(struct freezing *freezing) {
    struct bytes urls[URLS_MAX];
    map_init(&freezing->urls);
    freezing->first_url_service = freezing->snapshot->service_count;
    for (const struct document *document = freezing->loading->first; document != NULL; document = document->next) {
        const uint32_t count = urls_of(document, urls);
        for (uint32_t i = 0; i < count; i++)
            freeze_one(freezing, document, urls[i]);
    }
    for (unsigned i = 0; i < OTLP_SIGNALS; i++)
        if (freezing->snapshot->proxy.telemetry.otlp[i].url_text.len > 0)
            freeze_one(freezing, freezing->proxy, freezing->snapshot->proxy.telemetry.otlp[i].url_text);
}

const struct service_url *freeze_url(const struct freezing *freezing, struct bytes text) {
    const struct service_url *url = map_get(&freezing->urls, text);
    CHECK(url != NULL); // its kind stands in the list
    return url;
}
