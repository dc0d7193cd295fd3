// What the tests of authorization share: an application with policies before it, and requests of callers that are known, or are not.
#ifndef TESTS_FILTERS_AUTHORIZATION_DRIVE_H
#define TESTS_FILTERS_AUTHORIZATION_DRIVE_H

#include "filters/registry.h"

#include "certs/spiffe_id.h"
#include "unit/stream/stream_drive.h"

#include <arpa/inet.h>

// The inbound listener stands before the application of service `app`.
#define BESIDE                                                                                                                 \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n"                                                                            \
        "  service: app\n"                                                                                                     \
        "  listeners:\n"                                                                                                       \
        "  - {name: outbound, role: Outbound, address: '127.0.0.1:15001'}\n"                                                   \
        "  - {name: inbound, role: Inbound, address: '127.0.0.1:15006', forwardTo: '127.0.0.1:8009', mtls: {mode: Disable}}\n" \
        "  telemetry: {accessLog: {path: /dev/null, filter: All}}\n---\n"
#define AUTHORIZATION(name, more) \
    API "kind: AuthorizationPolicy\nmetadata: {name: " name "}\nspec:\n  targetRefs: [{kind: Service, name: app}]\n" more "---\n"
#define ALLOW(name, rules) AUTHORIZATION(name, "  action: Allow\n  rules:\n" rules)
#define DENY(name, rules) AUTHORIZATION(name, "  action: Deny\n  rules:\n" rules)

// Who asks; `identity` "": nobody that has shown one.
struct caller {
    const char *identity, *address;
};

#define COURSES ((struct caller){"spiffe://school.local/ns/school/sa/courses", "10.0.0.1"})
#define STRANGER ((struct caller){"", "192.0.2.7"})

static inline union address address_from(const char *text) {
    union address address = {.v4 = {.sin_family = AF_INET}};
    if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1)
        return address;
    address = (union address){.v6 = {.sin6_family = AF_INET6}};
    CHECK(inet_pton(AF_INET6, text, &address.v6.sin6_addr) == 1);
    return address;
}

// One request to the application, which answers 200 where it is asked. `opaque`: a connection of bytes in its place. OK: it was let pass.
static inline enum error ask_as(struct loopback *world, struct caller caller, const char *request, bool opaque) {
    const union address address = address_from(caller.address);
    struct spiffe_id id;
    const char *reason;
    struct stream_client who = {.address = &address};
    if (caller.identity[0] != '\0') {
        CHECK(spiffe_id_parse(bytes_from_text(caller.identity), &id, &reason) == OK);
        who.identity = &id;
        who.is_kin = bytes_equal_nocase(id.trust_domain, BYTES("school.local"));
    }
    struct client client;
    const uint64_t before = metric_read(&world->far.metrics.attempts);
    client_begin_as(&client, world, loopback_listener(world, "inbound"), &who, HTTP_1_1, request, true);
    client.stream->request->opaque = opaque;
    loopback_settle(world);
    const bool was_asked = metric_read(&world->far.metrics.attempts) > before;
    if (!client.done)
        client_fail(&client, ERROR_CLIENT_GONE);
    client_dispose(&client);
    CHECK(was_asked == (world->record.end == ERROR_CLIENT_GONE));
    return was_asked ? OK : world->record.end;
}

static inline enum error ask(struct loopback *world, struct caller caller, const char *request) {
    return ask_as(world, caller, request, false);
}

#endif
