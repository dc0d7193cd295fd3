// URLs that documents name (keys of tokens, who decides on requests): where requests to one go. What the host of a URL is among the documents' services is reached as that, with its TLS,
// balancing and breaker; any other host is a service of its own, one for all URLs of its scheme, host and port: an address, or a name that is resolved; with https, TLS as in mode Simple
// with the system's authorities. Its key is "https://id.example:443".
#ifndef CONFIG_URL_SERVICE_H
#define CONFIG_URL_SERVICE_H

#include "base/pool.h"
#include "config/document.h"

// A URL as a snapshot has it: what the head of a request to it is made of, and where a subrequest takes it.
struct service_url {
    struct bytes text; // as it was written
    const struct service_config *service;
    bool is_https;
    struct bytes authority; // as it was written
    struct bytes path;      // canonical, with its query
};

// Of an absolute URL, http or https, without user and fragment. What lies in `url` is borrowed from `text`, or in `pool`. False: `*wrong` says what is not allowed.
bool url_parse(struct bytes text, struct pool *pool, struct service_url *url, const char **wrong);

// Tells an error where the field `node` is no such URL. `node` NULL: nothing.
void url_check(struct document *document, struct bytes text, const struct node *node);

#endif
