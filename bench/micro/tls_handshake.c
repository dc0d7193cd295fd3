// What a mutual TLS handshake costs each end, in memory, without sockets: two loops in one thread, the bytes carried between them by hand, and the time
// that each end takes summed apart. One small request and answer follow each handshake, since only then both ends are done.
//
//   tls_handshake [COUNT [STRANGERS]]      peers seen for the first time, one seen before, a stranger with a ticket, a resumed session
#include "net/loop.h"
#include "net/tls.h"
#include "net/tls_counters.h"

#include "base/check.h"
#include "support/test_ca.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define STRANGERS_MAX 256 // identities of clients that the server meets for the first time

// One end: a loop, TLS over a lower transport that only has an output, and the time spent.
struct end {
    struct loop loop;
    struct transport lower;
    struct transport *tls;
    struct tls_counters counters;
    nanoseconds spent;
    uint32_t received;
    bool is_open;
};

// CPU time, since others may use the machine as well.
static nanoseconds cpu_now(void) {
    struct timespec now;
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
    return (nanoseconds)now.tv_sec * NS_PER_S + (nanoseconds)now.tv_nsec;
}

static void lower_ignore(struct transport *lower) {
    (void)lower;
}

static void lower_close(struct transport *lower, bool reset) {
    (void)reset;
    buffer_dispose(&lower->out);
    lower->handler->closed(lower->user);
}

static const struct transport_ops lower_ops = {
    .read_start = lower_ignore,
    .read_stop = lower_ignore,
    .flush = lower_ignore,
    .shutdown = lower_ignore,
    .close = lower_close,
};

static void on_ready(void *user, enum error error) {
    struct end *end = user;
    if (error != OK) {
        fprintf(stderr, "tls_handshake: %s: %s\n", error_name(error), end->tls->failure);
        exit(1);
    }
    end->is_open = true;
    end->tls->ops->read_start(end->tls);
}

static void on_bytes(void *user, struct block *block, struct bytes in) {
    struct end *end = user;
    (void)block;
    end->received += (uint32_t)in.len;
}

static void on_ended(void *user, enum error error) {
    (void)user, (void)error;
}

static void on_nothing(void *user) {
    (void)user;
}

static const struct transport_handler handler = {
    .ready = on_ready,
    .bytes = on_bytes,
    .ended = on_ended,
    .drained = on_nothing,
    .closed = on_nothing,
};

static void lower_open(struct end *end) {
    end->lower = (struct transport){.ops = &lower_ops, .loop = &end->loop};
    buffer_init(&end->lower.out, &end->loop.blocks);
    end->received = 0;
    end->is_open = false;
}

static void turn(struct end *end) {
    nanoseconds begun = cpu_now();
    loop_turn(&end->loop, clock_monotonic_ns());
    end->spent += cpu_now() - begun;
}

// Carries what `from` has to say to `to`, as one read. False when it had nothing to say.
static bool carry(struct end *from, struct end *to) {
    turn(from);
    if (buffer_is_empty(&from->lower.out))
        return false;
    while (!buffer_is_empty(&from->lower.out)) {
        struct bytes front = buffer_front(&from->lower.out);
        struct block *block = block_get(&to->loop.blocks);
        memcpy(block->bytes, front.at, front.len);
        nanoseconds begun = cpu_now();
        to->lower.handler->bytes(to->lower.user, block, bytes_from(block->bytes, front.len));
        to->spent += cpu_now() - begun;
        block_unref(block);
        buffer_consume(&from->lower.out, front.len);
    }
    return true;
}

static void exchange(struct end *client, struct end *server) {
    bool moved = true;
    while (moved) {
        moved = carry(client, server);
        moved = carry(server, client) || moved;
    }
}

static void say(struct end *end, struct bytes text) {
    nanoseconds begun = cpu_now();
    buffer_append(&end->tls->out, text);
    end->tls->ops->flush(end->tls);
    end->spent += cpu_now() - begun;
}

static void finish(struct end *end) {
    nanoseconds begun = cpu_now();
    end->tls->ops->close(end->tls, false);
    loop_turn(&end->loop, clock_monotonic_ns());
    end->spent += cpu_now() - begun;
}

static void connect_once(struct end *client, struct end *server, const struct tls_client_options *client_options,
                         const struct tls_server_options *server_options) {
    lower_open(client);
    lower_open(server);
    nanoseconds begun = cpu_now();
    server->tls = tls_server_create(&server->lower, server_options, NULL, &handler, server);
    nanoseconds middle = cpu_now();
    client->tls = tls_client_create(&client->lower, client_options, &handler, client);
    server->spent += middle - begun;
    client->spent += cpu_now() - middle;
    exchange(client, server);
    say(client, BYTES("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    exchange(client, server);
    say(server, BYTES("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    begun = cpu_now();
    tls_send_ticket(server->tls);
    server->spent += cpu_now() - begun;
    exchange(client, server);
    CHECK(client->is_open && server->is_open && client->received > 0 && server->received > 0);
    finish(client);
    finish(server);
}

static void report(const char *what, struct end *client, struct end *server, unsigned count) {
    printf("%-32s server %7.1f us   client %7.1f us   (of %u; resumed %llu)\n", what, (double)server->spent / 1e3 / count,
           (double)client->spent / 1e3 / count, count, (unsigned long long)metric_read(&server->counters.server.resumed));
    client->spent = server->spent = 0;
}

static struct credentials *make_credentials(const char *id, const struct test_identity *root, struct ticket_keys *keys) {
    struct test_identity identity = test_svid(id, root);
    char *certificate = test_certificates_pem(&identity, NULL);
    char *key = test_key_pem(&identity);
    char *bundle = test_certificates_pem(root, NULL);
    char reason[256];
    struct credentials *credentials;
    if (credentials_create(bytes_from_text(certificate), bytes_from_text(key), bytes_from_text(bundle), keys, 1, test_now_s(), &credentials, reason,
                           sizeof(reason)) != OK) {
        fprintf(stderr, "tls_handshake: %s\n", reason);
        exit(1);
    }
    free(certificate);
    free(key);
    free(bundle);
    test_identity_free(&identity);
    return credentials;
}

int main(int argc, char **argv) {
    unsigned count = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 2000;
    unsigned stranger_count = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : STRANGERS_MAX;
    static struct end client, server;
    static struct credentials *strangers[STRANGERS_MAX];
    static const struct bytes stranger_protocols[] = {{"http/1.1", 8}};
    CHECK(count > 0 && stranger_count > 0 && stranger_count <= STRANGERS_MAX);
    loop_init(&client.loop, NULL);
    loop_init(&server.loop, NULL);
    struct ticket_keys *keys = ticket_keys_create();
    struct test_identity root = test_root("spiffe://bench.local");
    struct credentials *server_credentials = make_credentials("spiffe://bench.local/server", &root, keys);
    for (unsigned i = 0; i < stranger_count; i++)
        strangers[i] = make_credentials("spiffe://bench.local/client", &root, keys);

    struct tls_server_options server_options = {.credentials = server_credentials, .require_client = true, .counters = &server.counters};
    struct tls_client_options client_options = {
        .credentials = strangers[0],
        .identities = credentials_id(server_credentials),
        .identity_count = 1,
        .counters = &client.counters,
    };
    connect_once(&client, &server, &client_options, &server_options); // OpenSSL fetches its algorithms
    client.spent = server.spent = 0;
    for (unsigned i = 1; i < stranger_count; i++) {
        client_options.credentials = strangers[i];
        connect_once(&client, &server, &client_options, &server_options);
    }
    if (stranger_count > 1)
        report("full, peer not seen before", &client, &server, stranger_count - 1);
    for (unsigned i = 0; i < count; i++)
        connect_once(&client, &server, &client_options, &server_options);
    report("full, peer seen before", &client, &server, count);
    client_options.protocols = (struct tls_protocols){stranger_protocols, 1};
    for (unsigned i = 0; i < count; i++)
        connect_once(&client, &server, &client_options, &server_options);
    report("full, and a ticket", &client, &server, count);
    client_options.session_key = BYTES("server");
    connect_once(&client, &server, &client_options, &server_options);
    client.spent = server.spent = 0;
    for (unsigned i = 0; i < count; i++)
        connect_once(&client, &server, &client_options, &server_options);
    report("resumed", &client, &server, count);

    for (unsigned i = 0; i < stranger_count; i++)
        credentials_unref(strangers[i]);
    credentials_unref(server_credentials);
    ticket_keys_destroy(keys);
    test_identity_free(&root);
    loop_dispose(&client.loop);
    loop_dispose(&server.loop);
    return 0;
}
