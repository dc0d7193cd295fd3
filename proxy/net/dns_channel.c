// c-ares on the loop: a poll handle for each of its sockets, one timer for whatever it waits for.
#include "net/dns_private.h"

#include "base/check.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

// A server has a second, in the second round two, then four; a look-up's own timeout ends all.
#define SERVER_TIMEOUT_MS 1000
#define ROUNDS 3

// What fits into a datagram on any path without fragments (the DNS flag day of 2020); what is longer comes over TCP.
#define EDNS_BYTES 1232

#define DNS_PORT 53

// Of a resolv.conf so many servers are remembered, as glibc and more: ",[address]:port" of each.
#define SERVERS_TOLD_MAX 8
#define SERVER_TEXT_MAX (INET6_ADDRSTRLEN + 10)

struct dns_socket {
    struct list link;
    struct loop *loop;
    struct dns_channel *channel;
    uv_poll_t poll;
    int fd;
};

struct asked {
    struct dns_channel *channel;
    void (*answered)(void *user, int status, const unsigned char *message, int length);
    void *user;
};

static void arm(struct dns_channel *channel) {
    struct timeval room;
    const struct timeval *next = ares_timeout(channel->ares, NULL, &room);
    if (next != NULL)
        loop_timer_start(channel->loop, &channel->timer, (nanoseconds)next->tv_sec * NS_PER_S + (nanoseconds)next->tv_usec * NS_PER_US);
    else
        loop_timer_stop(channel->loop, &channel->timer);
}

static void on_timer(struct timer *timer) {
    struct dns_channel *channel = CONTAINER_OF(timer, struct dns_channel, timer);
    ares_process_fd(channel->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    arm(channel);
}

// --- sockets ---

static void on_poll(uv_poll_t *poll, int status, int events) {
    const struct dns_socket *socket = poll->data;
    struct dns_channel *channel = socket->channel;
    int fd = socket->fd;
    loop_enter(channel->loop);
    if (status < 0)
        events = UV_READABLE | UV_WRITABLE; // c-ares finds out what is wrong
    ares_process_fd(channel->ares, (events & UV_READABLE) != 0 ? fd : ARES_SOCKET_BAD, (events & UV_WRITABLE) != 0 ? fd : ARES_SOCKET_BAD);
    arm(channel);
}

static void on_handle_closed(uv_handle_t *handle) {
    struct dns_socket *socket = handle->data;
    socket->loop->handles--;
    free(socket);
}

static struct dns_socket *find_socket(struct dns_channel *channel, int fd) {
    LIST_EACH(&channel->sockets, node, following) {
        struct dns_socket *socket = LIST_ENTRY(node, struct dns_socket, link);
        if (socket->fd == fd)
            return socket;
    }
    return NULL;
}

// c-ares closes the descriptor as soon as this returns: by then libuv must have let go of it, which uv_close does at once.
static void forget_socket(struct dns_socket *socket) {
    list_remove(&socket->link);
    socket->channel = NULL;
    uv_close((uv_handle_t *)&socket->poll, on_handle_closed);
}

static struct dns_socket *add_socket(struct dns_channel *channel, int fd) {
    struct dns_socket *socket = alloc_zeroed_or_abort(1, sizeof *socket);
    if (uv_poll_init(&channel->loop->uv, &socket->poll, fd) != 0) {
        free(socket);
        return NULL; // its question runs out of time
    }
    list_init(&socket->link);
    socket->loop = channel->loop;
    socket->channel = channel;
    socket->fd = fd;
    socket->poll.data = socket;
    channel->loop->handles++;
    list_push_back(&channel->sockets, &socket->link);
    return socket;
}

static void on_socket_state(void *user, ares_socket_t fd, int readable, int writable) {
    struct dns_channel *channel = user;
    struct dns_socket *socket = find_socket(channel, fd);
    int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
    if (events == 0) {
        if (socket != NULL)
            forget_socket(socket);
        return;
    }
    if (socket == NULL)
        socket = add_socket(channel, fd);
    if (socket != NULL)
        uv_poll_start(&socket->poll, events, on_poll);
}

// --- questions ---

static void end_if_done(struct dns_channel *channel) {
    if (channel->retired && channel->questions == 0)
        loop_wake(channel->loop, &channel->end);
}

static void on_answer(void *argument, int status, int timeouts, unsigned char *message, int length) {
    (void)timeouts;
    struct asked *asked = argument;
    struct dns_channel *channel = asked->channel;
    CHECK(channel->questions > 0);
    channel->questions--;
    asked->answered(asked->user, status, message, length);
    free(asked);
    end_if_done(channel);
}

void dns_channel_ask(struct dns_channel *channel, const char *name, enum dns_type type,
                     void (*answered)(void *user, int status, const unsigned char *message, int length), void *user) {
    CHECK(!channel->retired);
    struct asked *asked = alloc_zeroed_or_abort(1, sizeof *asked);
    *asked = (struct asked){channel, answered, user};
    channel->questions++;
    ares_query(channel->ares, name, 1, (int)type, on_answer, asked);
    arm(channel);
}

// --- life ---

static void on_end(struct task *task) {
    dns_channel_destroy(CONTAINER_OF(task, struct dns_channel, end));
}

struct dns_channel *dns_channel_create(struct loop *loop, const char *servers, const char *resolv_conf) {
    struct dns_channel *channel = alloc_zeroed_or_abort(1, sizeof *channel);
    char *path = copy_text_or_abort(bytes_from_text(resolv_conf));
    struct ares_options options = {
        .flags = ARES_FLAG_EDNS,
        .timeout = SERVER_TIMEOUT_MS,
        .tries = ROUNDS,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = channel,
        .ednspsz = EDNS_BYTES,
        .resolvconf_path = path,
    };
    channel->loop = loop;
    list_init(&channel->link);
    list_init(&channel->sockets);
    timer_init(&channel->timer, on_timer);
    task_init(&channel->end, on_end);
    int status =
        ares_init_options(&channel->ares, &options,
                          ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB | ARES_OPT_EDNSPSZ | ARES_OPT_RESOLVCONF);
    free(path);
    if (status == ARES_SUCCESS && servers != NULL && (status = ares_set_servers_ports_csv(channel->ares, servers)) != ARES_SUCCESS)
        ares_destroy(channel->ares);
    if (status == ARES_SUCCESS)
        return channel;
    free(channel);
    return NULL;
}

char *dns_channel_servers(const struct dns_channel *channel) {
    struct ares_addr_port_node *servers = NULL;
    char text[SERVERS_TOLD_MAX * SERVER_TEXT_MAX] = "";
    size_t length = 0;
    if (ares_get_servers_ports(channel->ares, &servers) != ARES_SUCCESS)
        return NULL;
    const struct ares_addr_port_node *server = servers;
    for (uint32_t count = 0; server != NULL && count < SERVERS_TOLD_MAX; server = server->next, count++) {
        char address[INET6_ADDRSTRLEN];
        CHECK(inet_ntop(server->family, &server->addr, address, sizeof address) != NULL);
        length += (size_t)snprintf(text + length, sizeof text - length, server->family == AF_INET6 ? "%s[%s]:%d" : "%s%s:%d", count > 0 ? "," : "",
                                   address, server->udp_port != 0 ? server->udp_port : DNS_PORT);
    }
    ares_free_data(servers);
    return length > 0 ? copy_text_or_abort(bytes_from(text, length)) : NULL;
}

void dns_channel_retire(struct dns_channel *channel) {
    channel->retired = true;
    end_if_done(channel);
}

void dns_channel_destroy(struct dns_channel *channel) {
    channel->retired = true;
    ares_destroy(channel->ares); // answers what is still asked with ARES_EDESTRUCTION
    CHECK(channel->questions == 0 && list_is_empty(&channel->sockets));
    loop_timer_stop(channel->loop, &channel->timer);
    task_cancel(&channel->end);
    list_remove(&channel->link);
    free(channel);
}
