// The figures of look-ups as families of metrics.
#include "telemetry/dns_metrics.h"

const char *dns_name_state_name(enum dns_name_state state) {
    static const char *const names[] = {
#define X(identifier, name) name,
        DNS_NAME_STATE_LIST(X)
#undef X
    };
    return names[state];
}

void dns_metrics_expose(struct exposition *exposition, const struct dns_metrics *metrics) {
    exposition_begin(exposition, METRIC_DNS_LOOKUPS);
    for (unsigned i = 0; i < DNS_METRIC_OUTCOMES && metrics->outcomes[i] != NULL; i++)
        exposition_add(exposition, (const struct bytes[]){bytes_from_text(metrics->outcomes[i])}, metrics->lookups[i]);
    exposition_begin(exposition, METRIC_DNS_LOOKUP_DURATION);
    exposition_add_histogram(exposition, NULL, metrics->buckets, metrics->took);
    exposition_begin(exposition, METRIC_DNS_NAMES);
    for (unsigned i = 0; i < DNS_NAME_STATES; i++)
        exposition_add(exposition, (const struct bytes[]){bytes_from_text(dns_name_state_name((enum dns_name_state)i))}, metrics->names[i]);
    exposition_begin(exposition, METRIC_DNS_STALE_AGE);
    exposition_add_seconds(exposition, NULL, metrics->stale_age);
}
