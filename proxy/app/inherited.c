// What a socket is, it says itself: its address is asked for, not told. See inherited.h.
#include "app/inherited.h"

#include "base/log.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_SOCKET 3 // SD_LISTEN_FDS_START

static bool takes_ipv4(int socket, const struct sockaddr_storage *address) {
    int only = 1;
    socklen_t size = sizeof only;
    return address->ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr) &&
           getsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &only, &size) == 0 && only == 0;
}

void inherited_add(struct inherited *inherited, int socket, struct bytes name) {
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    int listening = 0, type = 0;
    socklen_t size = sizeof listening;
    bool good = getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
                getsockname(socket, (struct sockaddr *)&address, &length) == 0;
    if (!good || listening == 0 || type != SOCK_STREAM || inherited->count == INHERITED_MAX) {
        log_event(LOG_WARN, "socket_not_used", "name=\"%.*s\" reason=\"it is no listening stream socket\"", BYTES_FORMAT(name));
        close(socket);
        return;
    }
    fcntl(socket, F_SETFD, FD_CLOEXEC);
    fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK);
    inherited->sockets[inherited->count].socket = socket;
    inherited->sockets[inherited->count].name = name.len > 0 ? bytes_keep(name) : BYTES_NONE;
    inherited->sockets[inherited->count].address = address;
    inherited->sockets[inherited->count].takes_ipv4 = takes_ipv4(socket, &address);
    inherited->count++;
}

void inherited_from_environment(struct inherited *inherited) {
    const char *pid = getenv("LISTEN_PID");
    const char *number = getenv("LISTEN_FDS");
    const char *names = getenv("LISTEN_FDNAMES");
    if (pid != NULL && number != NULL && strtol(pid, NULL, 10) == getpid()) {
        struct bytes rest = names == NULL ? BYTES_NONE : bytes_from_text(names);
        long count = strtol(number, NULL, 10);
        for (long i = 0; i < count && i < INHERITED_MAX; i++) {
            size_t end = bytes_find(rest, ':');
            inherited_add(inherited, FIRST_SOCKET + (int)i, bytes_from(rest.at, end));
            rest = end < rest.len ? bytes_from(rest.at + end + 1, rest.len - end - 1) : BYTES_NONE;
        }
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

static bool is_at(const struct sockaddr_storage *a, const struct sockaddr_storage *b) {
    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_UNIX) {
        const struct sockaddr_un *one = (const void *)a, *other = (const void *)b;
        return one->sun_path[0] != '\0' && strncmp(one->sun_path, other->sun_path, sizeof one->sun_path) == 0;
    }
    if (a->ss_family == AF_INET) {
        const struct sockaddr_in *one = (const void *)a, *other = (const void *)b;
        return one->sin_port == other->sin_port && one->sin_addr.s_addr == other->sin_addr.s_addr;
    }
    const struct sockaddr_in6 *one = (const void *)a, *other = (const void *)b;
    return one->sin6_port == other->sin6_port && one->sin6_scope_id == other->sin6_scope_id && IN6_ARE_ADDR_EQUAL(&one->sin6_addr, &other->sin6_addr);
}

static bool is_any_ipv4_at(const struct sockaddr_storage *a, const struct sockaddr_storage *b) {
    const struct sockaddr_in6 *one = (const void *)a;
    const struct sockaddr_in *other = (const void *)b;
    return b->ss_family == AF_INET && other->sin_addr.s_addr == htonl(INADDR_ANY) && other->sin_port == one->sin6_port;
}

static int take(struct inherited *inherited, uint32_t at) {
    int socket = inherited->sockets[at].socket;
    inherited->sockets[at].socket = -1;
    bytes_drop(&inherited->sockets[at].name);
    return socket;
}

struct listening inherited_take(struct inherited *inherited, struct bytes name, const struct socket_address *address) {
    for (uint32_t i = 0; i < inherited->count; i++)
        if (inherited->sockets[i].socket >= 0 && is_at(&inherited->sockets[i].address, &address->storage))
            return (struct listening){take(inherited, i), BYTES_NONE};
    for (uint32_t i = 0; i < inherited->count; i++)
        if (inherited->sockets[i].socket >= 0 && inherited->sockets[i].takes_ipv4 &&
            is_any_ipv4_at(&inherited->sockets[i].address, &address->storage))
            return (struct listening){take(inherited, i), BYTES_NONE};
    for (uint32_t i = 0; i < inherited->count; i++)
        if (inherited->sockets[i].socket >= 0 && bytes_equal(inherited->sockets[i].name, name)) {
            log_event(LOG_INFO, "socket_by_name", "name=%.*s instead_of=%.*s", BYTES_FORMAT(name), BYTES_FORMAT(address->text));
            return (struct listening){take(inherited, i), name};
        }
    return (struct listening){-1, BYTES_NONE};
}

void inherited_close_rest(struct inherited *inherited) {
    for (uint32_t i = 0; i < inherited->count; i++)
        if (inherited->sockets[i].socket >= 0)
            log_event(LOG_WARN, "socket_not_used", "name=\"%.*s\" reason=\"no document has its address or name\"",
                      BYTES_FORMAT(inherited->sockets[i].name));
    inherited_dispose(inherited);
}

void inherited_dispose(struct inherited *inherited) {
    for (uint32_t i = 0; i < inherited->count; i++)
        if (inherited->sockets[i].socket >= 0)
            close(take(inherited, i));
    inherited->count = 0;
}
