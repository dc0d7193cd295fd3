// An admin with a source that the test plays, on a real loop and loopback sockets, and a client for it: for the tests of this folder.
#ifndef TESTS_UNIT_ADMIN_ADMIN_CLIENT_H
#define TESTS_UNIT_ADMIN_ADMIN_CLIENT_H

#include "admin/pages.h"
#include "net/loop.h"
#include "net/tcp_listener.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RESPONSE_MAX (1024 * 1024)

#define TOKEN "s3cret"
#define CHANGE_FIELDS "Host: localhost\r\nAuthorization: Bearer " TOKEN "\r\nContent-Length: 0\r\n"

struct admin_client {
    char token_file[64]; // empty: none
    struct loop loop;
    struct admin *admin;
    union address admin_address;
    union address metrics_address;
    struct admin_figures figures; // what the source tells
    struct admin_tap tap;         // the same
    bool answer_later;
    struct admin_query *asked;  // the last query, while it is not answered
    enum admin_command command; // the last
    uint32_t wants;
    unsigned collected;
    bool ready;
    unsigned changes;  // told
    char changed[256]; // the last: page, arguments, status, address
    char *response;
};

static inline void client_answer(struct admin_client *client, struct admin_query *query) {
    query->figures = client->figures;
    query->tap = client->tap;
    client->asked = NULL;
    while (admin_query_slice(query))
        continue;
    admin_query_done(query);
}

static inline void client_collect(void *owner, struct admin_query *query) {
    struct admin_client *client = owner;
    client->collected++;
    client->asked = query;
    client->wants = query->wants;
    if (!client->answer_later)
        client_answer(client, query);
}

static inline void client_command(void *owner, struct admin_query *query) {
    struct admin_client *client = owner;
    client->command = query->page->command;
    client_collect(owner, query);
}

static inline bool client_ready(void *owner, struct bytes *reason) {
    struct admin_client *client = owner;
    *reason = BYTES("no certificate yet");
    return client->ready;
}

static inline const char *client_token_file(void *owner) {
    struct admin_client *client = owner;
    return client->token_file[0] == '\0' ? NULL : client->token_file;
}

static inline void client_changed(void *owner, const struct admin_change *change) {
    struct admin_client *client = owner;
    client->changes++;
    snprintf(client->changed, sizeof client->changed, "%.*s %.*s %u %.*s", BYTES_FORMAT(change->page), BYTES_FORMAT(change->arguments),
             change->status, (int)bytes_find(change->peer, ':'), change->peer.at);
}

static const struct admin_source client_source = {
    .collect = client_collect, .command = client_command, .ready = client_ready, .changed = client_changed, .token_file = client_token_file};

// A file with that content, in a place of its own; its path goes to `path`.
static inline void write_token(char *path, size_t size, const char *content) {
    snprintf(path, size, "/tmp/outrigger-token-XXXXXX");
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, content, strlen(content)), strlen(content));
    close(descriptor);
}

static inline int client_listen(union address *address) {
    char reason[256];
    int listening;
    socklen_t length = sizeof(*address);
    struct sockaddr_in wanted = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(tcp_listen((const struct sockaddr *)&wanted, sizeof(wanted), &listening, reason, sizeof(reason)), OK);
    assert_int_equal(getsockname(listening, &address->any, &length), 0);
    return listening;
}

static inline void client_open(struct admin_client *client) {
    memset(client, 0, sizeof(*client));
    write_token(client->token_file, sizeof(client->token_file), TOKEN "\n");
    client->response = malloc(RESPONSE_MAX);
    client->ready = true;
    loop_init(&client->loop, NULL);
    struct admin_options options = {
        .admin_socket = client_listen(&client->admin_address),
        .metrics_socket = client_listen(&client->metrics_address),
        .pages = admin_usual_pages,
        .page_count = admin_usual_page_count,
    };
    client->admin = admin_open(&client->loop, &options, &client_source, client);
}

static inline void client_dispose(struct admin_client *client) {
    if (client->token_file[0] != '\0')
        unlink(client->token_file);
    if (client->admin != NULL)
        admin_close(client->admin);
    loop_dispose(&client->loop);
    free(client->response);
}

static inline int client_connect(const union address *address) {
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(connection >= 0);
    assert_int_equal(connect(connection, &address->any, sizeof(address->v4)), 0);
    return connection;
}

static inline void client_send(struct admin_client *client, int connection, const char *request) {
    assert_int_equal(send(connection, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    uv_run(&client->loop.uv, UV_RUN_NOWAIT);
}

// All that comes until the end.
static inline const char *client_receive(struct admin_client *client, int connection) {
    size_t length = 0;
    ssize_t got;
    while ((got = recv(connection, client->response + length, RESPONSE_MAX - 1 - length, MSG_DONTWAIT)) != 0) {
        if (got > 0)
            length += (size_t)got;
        else
            assert_int_equal(errno, EAGAIN);
        uv_run(&client->loop.uv, UV_RUN_NOWAIT);
    }
    client->response[length] = '\0';
    close(connection);
    return client->response;
}

// One request on a connection of its own: `fields` are lines with their ends.
static inline const char *client_ask(struct admin_client *client, const union address *address, const char *method_and_target, const char *fields) {
    char request[2048];
    int connection = client_connect(address);
    snprintf(request, sizeof(request), "%s HTTP/1.1\r\n%sConnection: close\r\n\r\n", method_and_target, fields);
    client_send(client, connection, request);
    return client_receive(client, connection);
}

static inline const char *client_get(struct admin_client *client, const char *target) {
    char line[512];
    snprintf(line, sizeof(line), "GET %s", target);
    return client_ask(client, &client->admin_address, line, "Host: localhost\r\n");
}

static inline int status_of(const char *response) {
    assert_memory_equal(response, "HTTP/1.1 ", 9);
    return (response[9] - '0') * 100 + (response[10] - '0') * 10 + (response[11] - '0');
}

static inline const char *body_of(const char *response) {
    return strstr(response, "\r\n\r\n") + 4;
}

#endif
