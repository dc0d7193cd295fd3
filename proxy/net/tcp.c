// See tcp.h. The event callback reads once and writes once; everything else is decided by the user of the transport.
#include "net/tcp.h"

#include "base/check.h"
#include "base/limits.h"
#include "net/descriptors.h"
#include "net/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// Segments of one writev: a turn's heads and pieces of some dozen messages.
#define WRITE_SEGMENTS 32

// What we listen for while reading is off: the peer's reset arrives with any mask but an empty one.
#define MASK_RESET_ONLY UV_PRIORITIZED

// libc's own calls are cancellation points: once there is a second thread each costs two locked instructions. No thread here is ever cancelled.
static ssize_t receive(int fd, void *to, size_t size) {
    return syscall(SYS_recvfrom, fd, to, size, 0, NULL, NULL);
}

static ssize_t send_one(int fd, const struct iovec *piece) {
    return syscall(SYS_sendto, fd, piece->iov_base, piece->iov_len, MSG_NOSIGNAL, NULL, 0);
}

static ssize_t send_many(int fd, struct iovec *pieces, int count) {
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)count};
    return syscall(SYS_sendmsg, fd, &message, MSG_NOSIGNAL);
}

struct tcp {
    struct transport transport; // first: the user's view
    uv_poll_t poll;
    int fd;
    int mask;            // what the poll handle is armed for
    uint8_t read_blocks; // size of the next read; doubles while reads come back full
    bool connecting;
    bool reading;
    bool input_ended;      // the peer's FIN was read
    bool waiting_to_write; // a flush left bytes
    bool shutdown_wanted;
    bool shutdown_done;
    bool ended_told;
    bool closing;
    bool thirsty; // does not read until there is room for it
    uint32_t room_taken;
    enum error broken; // to be told by `tell`
    struct task tell;  // tells what happened in a start or flush, outside of the user's call
    struct task room;
    struct task release;
};

static struct tcp *tcp_of(struct transport *transport) {
    return CONTAINER_OF(transport, struct tcp, transport);
}

// Whatever else kept it from being made (nobody listens, no route, a Unix socket that is missing or has a full backlog): there is no connection.
static enum error connect_error(int number) {
    return number == ETIMEDOUT ? ERROR_CONNECT_TIMEOUT : ERROR_CONNECT_REFUSED;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void arm(struct tcp *tcp, int mask) {
    if (tcp->mask == mask || tcp->closing)
        return;
    tcp->mask = mask;
    int failed = mask == 0 ? uv_poll_stop(&tcp->poll) : uv_poll_start(&tcp->poll, mask, on_poll);
    CHECK(failed == 0);
}

static int mask_wanted(const struct tcp *tcp) {
    if (tcp->ended_told || (tcp->input_ended && tcp->shutdown_done))
        return 0;
    int mask = tcp->waiting_to_write || tcp->connecting ? UV_WRITABLE : 0;
    if (tcp->reading && !tcp->input_ended && !tcp->thirsty)
        mask |= UV_READABLE | UV_DISCONNECT;
    return mask != 0 ? mask : MASK_RESET_ONLY;
}

static void tell_ended(struct tcp *tcp, enum error error) {
    if (tcp->ended_told || tcp->closing)
        return;
    // An orderly end leaves our own side open: a break may still follow it and is of no interest then.
    tcp->ended_told = error != ERROR_CONNECTION_CLOSED;
    arm(tcp, mask_wanted(tcp));
    tcp->transport.handler->ended(tcp->transport.user, error);
}

static void set_broken(struct tcp *tcp, enum error error) {
    if (tcp->broken == OK)
        tcp->broken = error;
    loop_wake(tcp->transport.loop, &tcp->tell);
}

static void deliver(struct tcp *tcp, struct block **blocks, int count, size_t length) {
    for (int i = 0; i < count; i++) {
        size_t piece = length < BLOCK_CAPACITY ? length : BLOCK_CAPACITY;
        length -= piece;
        if (piece > 0 && !tcp->closing) {
            blocks[i]->filled = (uint32_t)piece;
            tcp->transport.handler->bytes(tcp->transport.user, blocks[i], bytes_from(blocks[i]->bytes, piece));
        }
        block_unref(blocks[i]);
    }
}

static bool has_room(const struct tcp *tcp, int count) {
    struct loop *loop = tcp->transport.loop;
    return loop->blocks.free_count >= (uint32_t)count || loop_has_room(loop, (size_t)count * BLOCK_SIZE);
}

// Blocks of the next read: one where memory is short; 0: there is none at all. What a broken connection has left is the last of it and does not wait.
static int blocks_to_read(const struct tcp *tcp) {
    int count = tcp->transport.loop->blocks.is_short ? 1 : tcp->read_blocks;
    if (tcp->broken != OK || has_room(tcp, count))
        return count;
    return has_room(tcp, 1) ? 1 : 0;
}

static void await_room(struct tcp *tcp) {
    tcp->thirsty = true;
    loop_await_room(tcp->transport.loop, &tcp->room);
}

static void on_room(struct task *task) {
    struct tcp *tcp = CONTAINER_OF(task, struct tcp, room);
    tcp->thirsty = false;
    arm(tcp, mask_wanted(tcp));
}

// False when there was nothing to read, or no room for it.
static bool read_some(struct tcp *tcp) {
    struct block *blocks[LIMIT_READ_BLOCKS];
    struct iovec iov[LIMIT_READ_BLOCKS];
    const int count = blocks_to_read(tcp);
    if (count == 0) {
        await_room(tcp);
        return false;
    }
    for (int i = 0; i < count; i++) {
        blocks[i] = block_get(&tcp->transport.loop->blocks);
        iov[i] = (struct iovec){.iov_base = blocks[i]->bytes, .iov_len = BLOCK_CAPACITY};
    }
    ssize_t got = count == 1 ? receive(tcp->fd, iov[0].iov_base, iov[0].iov_len) : readv(tcp->fd, iov, count);
    int number = errno;
    if (got > 0) {
        transport_count_in(&tcp->transport, (size_t)got);
        bool full = (size_t)got == (size_t)count * BLOCK_CAPACITY;
        if (full && count < LIMIT_READ_BLOCKS)
            tcp->read_blocks = (uint8_t)(count * 2);
        else if ((size_t)got <= BLOCK_CAPACITY)
            tcp->read_blocks = 1;
    }
    deliver(tcp, blocks, count, got > 0 ? (size_t)got : 0);
    if (got == 0 && tcp->broken == OK) {
        tcp->input_ended = true;
        tell_ended(tcp, ERROR_CONNECTION_CLOSED);
    } else if (got == 0 || (got < 0 && number != EAGAIN && number != EINTR)) {
        // Once a write has failed the socket's error is spent and reads end in what looks like an orderly end: it is none.
        tell_ended(tcp, ERROR_CONNECTION_RESET);
    }
    return got >= 0 || number != EAGAIN;
}

static void shut_down_now(struct tcp *tcp) {
    tcp->shutdown_wanted = false;
    tcp->shutdown_done = true;
    shutdown(tcp->fd, SHUT_WR);
    arm(tcp, mask_wanted(tcp));
}

// Sends until the socket is full or `out` is empty.
static void write_some(struct tcp *tcp) {
    struct buffer *out = &tcp->transport.out;
    while (!buffer_is_empty(out)) {
        struct iovec iov[WRITE_SEGMENTS];
        size_t length;
        int count = buffer_iovec(out, iov, WRITE_SEGMENTS, &length);
        ssize_t sent = count == 1 ? send_one(tcp->fd, iov) : send_many(tcp->fd, iov, count);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN) {
            buffer_clear(out);
            set_broken(tcp, ERROR_CONNECTION_RESET);
            return;
        }
        if (sent > 0) {
            transport_count_out(&tcp->transport, (size_t)sent);
            buffer_consume(out, (size_t)sent);
        }
        if (sent < 0 || (size_t)sent < length)
            break;
    }
    tcp->waiting_to_write = !buffer_is_empty(out);
    if (!tcp->waiting_to_write && tcp->shutdown_wanted)
        shut_down_now(tcp);
}

static void on_connected(struct tcp *tcp) {
    int number = 0;
    socklen_t size = sizeof number;
    if (getsockopt(tcp->fd, SOL_SOCKET, SO_ERROR, &number, &size) != 0)
        number = errno;
    tcp->connecting = false;
    if (number == 0) {
        socklen_t length = sizeof tcp->transport.local;
        getsockname(tcp->fd, &tcp->transport.local.any, &length);
    }
    arm(tcp, number == 0 ? mask_wanted(tcp) : 0);
    tcp->transport.handler->ready(tcp->transport.user, number == 0 ? OK : connect_error(number));
}

static bool has_unread(const struct tcp *tcp) {
    int count = 0;
    return ioctl(tcp->fd, FIONREAD, &count) == 0 && count > 0;
}

static void on_broken(struct tcp *tcp) {
    tcp->broken = ERROR_CONNECTION_RESET;
    // What the peer sent before its reset is still there to be read: an early answer, say.
    while (tcp->reading && !tcp->input_ended && !tcp->ended_told && !tcp->closing)
        if (!read_some(tcp))
            break;
    if (tcp->closing)
        return;
    arm(tcp, 0);
    if (!tcp->reading && !tcp->input_ended && tcp->transport.reset_after_bytes && has_unread(tcp))
        return; // read_start goes on from here
    tell_ended(tcp, ERROR_CONNECTION_RESET);
}

static void tell_broken(struct task *task) {
    struct tcp *tcp = CONTAINER_OF(task, struct tcp, tell);
    if (tcp->closing)
        return;
    if (!tcp->connecting) {
        on_broken(tcp);
        return;
    }
    tcp->connecting = false;
    arm(tcp, 0);
    tcp->transport.handler->ready(tcp->transport.user, tcp->broken);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    struct tcp *tcp = poll->data;
    loop_enter(tcp->transport.loop);
    if (tcp->connecting) {
        on_connected(tcp);
        return;
    }
    if (status < 0) {
        tcp->mask = 0; // libuv has stopped it
        on_broken(tcp);
        return;
    }
    if (events & UV_PRIORITIZED) {
        int number = 0;
        socklen_t size = sizeof number;
        getsockopt(tcp->fd, SOL_SOCKET, SO_ERROR, &number, &size);
        if (number != 0)
            tell_ended(tcp, ERROR_CONNECTION_RESET);
        else
            arm(tcp, 0); // both sides are shut, or urgent data, which nobody wants
        return;
    }
    if (events & UV_WRITABLE) {
        write_some(tcp);
        if (tcp->transport.out.length < LIMIT_OUTPUT_BYTES / 2 && tcp->broken == OK)
            tcp->transport.handler->drained(tcp->transport.user);
    }
    if ((events & UV_READABLE) && tcp->reading && !tcp->thirsty && !tcp->closing)
        read_some(tcp);
    // The peer's end lies behind what it sent last: told in the same turn, so that nobody takes the connection for one that is good for another request.
    if ((events & UV_DISCONNECT) && tcp->reading && !tcp->input_ended && !tcp->thirsty && !tcp->closing)
        read_some(tcp);
    if (!tcp->closing)
        arm(tcp, mask_wanted(tcp));
}

static void tcp_read_start(struct transport *transport) {
    struct tcp *tcp = tcp_of(transport);
    tcp->reading = true;
    if (!tcp->connecting)
        arm(tcp, mask_wanted(tcp));
}

static void tcp_read_stop(struct transport *transport) {
    tcp_of(transport)->reading = false; // the poll set is changed when an event comes meanwhile, most often never
}

static void tcp_flush(struct transport *transport) {
    struct tcp *tcp = tcp_of(transport);
    if (tcp->connecting || tcp->waiting_to_write || tcp->broken != OK || tcp->closing)
        return;
    write_some(tcp);
    if (tcp->waiting_to_write)
        arm(tcp, mask_wanted(tcp));
}

static void tcp_shutdown(struct transport *transport) {
    struct tcp *tcp = tcp_of(transport);
    if (tcp->shutdown_done || tcp->broken != OK)
        return;
    tcp->shutdown_wanted = true;
    if (buffer_is_empty(&transport->out) && !tcp->connecting)
        shut_down_now(tcp);
}

static void release(struct task *task) {
    struct tcp *tcp = CONTAINER_OF(task, struct tcp, release);
    tcp->transport.loop->handles--;
    memory_room_give_back(&tcp->transport.loop->room, tcp->room_taken);
    buffer_dispose(&tcp->transport.out);
    free(tcp);
}

static void on_closed(uv_handle_t *handle) {
    struct tcp *tcp = handle->data;
    tcp->transport.handler->closed(tcp->transport.user);
    loop_defer(tcp->transport.loop, &tcp->release);
}

static void tcp_close(struct transport *transport, bool reset) {
    struct tcp *tcp = tcp_of(transport);
    if (tcp->closing)
        return;
    tcp->closing = true;
    tcp->reading = false;
    task_cancel(&tcp->tell);
    task_cancel(&tcp->room);
    buffer_clear(&transport->out);
    uv_close((uv_handle_t *)&tcp->poll, on_closed);
    if (reset) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        setsockopt(tcp->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    close(tcp->fd);
}

static const struct transport_ops tcp_ops = {
    .read_start = tcp_read_start,
    .read_stop = tcp_read_stop,
    .flush = tcp_flush,
    .shutdown = tcp_shutdown,
    .close = tcp_close,
};

static enum error tcp_create(struct loop *loop, int fd, const struct transport_handler *handler, void *user, struct tcp **created) {
    struct tcp *tcp = alloc_zeroed_or_abort(1, sizeof *tcp);
    if (uv_poll_init(&loop->uv, &tcp->poll, fd) != 0) {
        free(tcp);
        close(fd);
        return ERROR_IO;
    }
    tcp->poll.data = tcp;
    tcp->fd = fd;
    tcp->read_blocks = 1;
    tcp->transport = (struct transport){.ops = &tcp_ops, .handler = handler, .user = user, .loop = loop};
    buffer_init(&tcp->transport.out, &loop->blocks);
    task_init(&tcp->tell, tell_broken);
    task_init(&tcp->room, on_room);
    task_init(&tcp->release, release);
    loop->handles++;
    // For both directions: where the system counts what sockets hold, it is looked at before they have filled.
    tcp->room_taken = LIMIT_CONNECTION_BYTES + 2 * loop->socket_bytes;
    memory_room_take(&loop->room, tcp->room_taken);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); // fails on Unix sockets, which need none
    *created = tcp;
    return OK;
}

enum error tcp_connect(struct loop *loop, const struct sockaddr *address, socklen_t length, const struct transport_handler *handler, void *user,
                       struct transport **transport) {
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ERROR_IO;
    if (!descriptor_leaves(fd, LIMIT_SPARE_FROM_ENDPOINTS)) {
        close(fd);
        return ERROR_IO;
    }
    struct tcp *tcp;
    enum error error = tcp_create(loop, fd, handler, user, &tcp);
    if (error != OK)
        return error;
    int receives = (int)loop->socket_bytes;
    if (receives > 0 && receives < LIMIT_SOCKET_BYTES)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receives, sizeof receives); // before connect: it decides how windows are told
    memcpy(&tcp->transport.peer, address, length < sizeof tcp->transport.peer ? length : sizeof tcp->transport.peer);
    tcp->connecting = true;
    if (connect(fd, address, length) != 0 && errno != EINPROGRESS)
        set_broken(tcp, connect_error(errno));
    else
        arm(tcp, UV_WRITABLE);
    *transport = &tcp->transport;
    return OK;
}

enum error tcp_adopt(struct loop *loop, int socket, const struct transport_handler *handler, void *user, struct transport **transport) {
    struct tcp *tcp;
    enum error error = tcp_create(loop, socket, handler, user, &tcp);
    if (error != OK)
        return error;
    const int unsent = (int)loop->socket_bytes;
    if (unsent > 0)
        setsockopt(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent); // fails on Unix sockets
    socklen_t length = sizeof tcp->transport.peer;
    getpeername(socket, &tcp->transport.peer.any, &length);
    length = sizeof tcp->transport.local;
    getsockname(socket, &tcp->transport.local.any, &length);
    address_unmap(&tcp->transport.peer);
    address_unmap(&tcp->transport.local);
    *transport = &tcp->transport;
    return OK;
}

size_t address_print_ip(const union address *address, char *text, size_t size) {
    const int family = address->any.sa_family;
    if (family != AF_INET && family != AF_INET6)
        return (size_t)snprintf(text, size, "unix");
    const char *printed = inet_ntop(family, family == AF_INET ? (const void *)&address->v4.sin_addr : &address->v6.sin6_addr, text, (socklen_t)size);
    CHECK(printed != NULL);
    return strlen(text);
}

void address_unmap(union address *address) {
    if (address->any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr))
        return;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = address->v6.sin6_port};
    memcpy(&v4.sin_addr, &address->v6.sin6_addr.s6_addr[12], sizeof v4.sin_addr);
    *address = (union address){.v4 = v4};
}

size_t address_print(const union address *address, char *text, size_t size) {
    char host[INET6_ADDRSTRLEN];
    size_t host_length = address_print_ip(address, host, sizeof host);
    int length;
    if (address->any.sa_family == AF_INET)
        length = snprintf(text, size, "%s:%u", host, ntohs(address->v4.sin_port));
    else if (address->any.sa_family == AF_INET6)
        length = snprintf(text, size, "[%s]:%u", host, ntohs(address->v6.sin6_port));
    else
        length = snprintf(text, size, "%.*s", (int)host_length, host);
    CHECK(length > 0 && (size_t)length < size);
    return (size_t)length;
}
