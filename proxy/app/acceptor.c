// Which sockets are open follows the snapshot in two steps, binding before anything is closed, so that a set of documents that cannot be served changes nothing.
#include "app/acceptor.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "net/tcp_listener.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

// Until the worker has closed a socket, clients that connect wait in it for nothing.
#define PARTING_LOOK_NS (10 * NS_PER_MS)

struct open_socket {
    struct list link;
    struct acceptor *acceptor;
    struct bytes name;             // of the listener; owned
    struct socket_address address; // text not used
    int socket;                    // until it is given to who accepts
    int given;                     // the same descriptor from then on, which stays open until `end`; else -1
    struct tcp_listener *listener; // on the main loop; NULL: the only worker accepts
    bool by_name;                  // it was given to us under the listener's name and listens elsewhere
    bool fresh;                    // bound for the snapshot that is being applied
    bool wanted;
    bool is_reached; // role_is_reached
};

// A socket that the only worker has been told to close, and has not closed yet: it may be behind a snapshot that is on its way. While it is open nobody else may bind its address.
struct parting {
    struct list link;
    struct socket_address address; // text not used
    int socket;                    // a second descriptor of it
    bool by_name;
    uint32_t number; // of the worker's closings it is this one
};

struct acceptor {
    struct loop *loop;
    struct worker *workers;
    uint32_t worker_count;
    struct inherited *inherited;
    struct list sockets;
    struct list partings;
    uint32_t closings;          // that the only worker was asked for
    struct timer look;          // runs while there are partings
    struct metric_cell refused; // for want of descriptors, by the main thread: a cell has one writer
};

static void end_parting(struct parting *parting) {
    list_remove(&parting->link);
    close(parting->socket);
    free(parting);
}

static void on_look(struct timer *timer) {
    struct acceptor *acceptor = CONTAINER_OF(timer, struct acceptor, look);
    const uint32_t closed = atomic_load_explicit(&acceptor->workers[0].closings, memory_order_acquire);
    LIST_EACH(&acceptor->partings, node, following) {
        struct parting *parting = LIST_ENTRY(node, struct parting, link);
        if (closed - parting->number < UINT32_MAX / 2)
            end_parting(parting);
    }
    if (!list_is_empty(&acceptor->partings))
        loop_timer_start(acceptor->loop, timer, PARTING_LOOK_NS);
}

struct acceptor *acceptor_create(struct loop *loop, struct worker *workers, uint32_t worker_count, struct inherited *inherited) {
    struct acceptor *acceptor = alloc_zeroed_or_abort(1, sizeof *acceptor);
    *acceptor = (struct acceptor){.loop = loop, .workers = workers, .worker_count = worker_count, .inherited = inherited};
    list_init(&acceptor->sockets);
    list_init(&acceptor->partings);
    timer_init(&acceptor->look, on_look);
    return acceptor;
}

static void free_socket(struct open_socket *open) {
    list_remove(&open->link);
    bytes_drop(&open->name);
    free(open);
}

static bool same_address(const struct socket_address *a, const struct socket_address *b) {
    return a->length == b->length && memcmp(&a->storage, &b->storage, a->length) == 0;
}

static struct open_socket *find(const struct acceptor *acceptor, const struct listener_config *config) {
    LIST_EACH(&acceptor->sockets, node, following) {
        struct open_socket *open = LIST_ENTRY(node, struct open_socket, link);
        if (bytes_equal(open->name, config->name) && same_address(&open->address, &config->address))
            return open;
    }
    return NULL;
}

// The socket at that address whose listener is no more: one that was given another name keeps its socket and who waits in it, and two may change places; or one that comes back before the worker has
// closed it. -1: there is none.
static int find_predecessor(const struct acceptor *acceptor, const struct listener_config *config, bool *by_name) {
    LIST_EACH(&acceptor->sockets, node, following) {
        const struct open_socket *open = LIST_ENTRY(node, struct open_socket, link);
        if (open->wanted || open->given < 0 || !same_address(&open->address, &config->address))
            continue;
        *by_name = open->by_name;
        return open->given;
    }
    LIST_EACH(&acceptor->partings, other, next) {
        const struct parting *parting = LIST_ENTRY(other, struct parting, link);
        if (!same_address(&parting->address, &config->address))
            continue;
        *by_name = parting->by_name;
        return parting->socket;
    }
    return -1;
}

// By a second descriptor, or from whoever started the process. -1: it is to be bound.
static int inherit(struct acceptor *acceptor, const struct listener_config *config, bool *by_name) {
    const int before = find_predecessor(acceptor, config, by_name);
    if (before >= 0)
        return fcntl(before, F_DUPFD_CLOEXEC, 0);
    struct listening given = inherited_take(acceptor->inherited, config->name, &config->address);
    *by_name = given.name.len > 0;
    return given.socket;
}

static void bind_one(struct acceptor *acceptor, const struct listener_config *config, struct config_errors *errors) {
    char reason[128];
    bool by_name = false;
    int socket = inherit(acceptor, config, &by_name);
    if (socket < 0 && tcp_listen((const struct sockaddr *)&config->address.storage, config->address.length, &socket, reason, sizeof reason) != OK) {
        config_errors_add(errors, config->place, NULL, "spec.listeners", "%.*s cannot be opened: %s", BYTES_FORMAT(config->address.text), reason);
        return;
    }
    struct open_socket *open = alloc_zeroed_or_abort(1, sizeof *open);
    open->acceptor = acceptor;
    open->name = bytes_keep(config->name);
    open->address = config->address;
    open->socket = socket;
    open->given = -1;
    open->by_name = by_name;
    open->fresh = open->wanted = true;
    open->is_reached = role_is_reached(config->role);
    list_init(&open->link);
    list_push_back(&acceptor->sockets, &open->link);
}

static struct worker *least_busy(const struct acceptor *acceptor) {
    struct worker *least = &acceptor->workers[0];
    for (uint32_t i = 1; i < acceptor->worker_count; i++)
        if (worker_load(&acceptor->workers[i]) < worker_load(least))
            least = &acceptor->workers[i];
    return least;
}

static void on_accepted(void *user, int socket) {
    struct open_socket *open = user;
    worker_accept(least_busy(open->acceptor), open->name, &open->address, socket);
}

static void begin(struct acceptor *acceptor, struct open_socket *open) {
    open->fresh = false;
    if (acceptor->worker_count == 1) {
        worker_listen(&acceptor->workers[0], open->name, open->socket);
    } else {
        open->listener = tcp_listener_open(acceptor->loop, open->socket, on_accepted, open);
        tcp_listener_spare(open->listener, LIMIT_SPARE_FROM_CLIENTS, &acceptor->refused);
    }
    open->given = open->socket;
    open->socket = -1;
}

// Where there is no descriptor to spare, a listener that comes back at once may find its address in use, as one of another process would.
static void part(struct acceptor *acceptor, const struct open_socket *open) {
    const int second = fcntl(open->given, F_DUPFD_CLOEXEC, 0);
    acceptor->closings++;
    if (second < 0)
        return;
    struct parting *parting = alloc_zeroed_or_abort(1, sizeof *parting);
    *parting = (struct parting){.address = open->address, .socket = second, .by_name = open->by_name, .number = acceptor->closings};
    list_init(&parting->link);
    list_push_back(&acceptor->partings, &parting->link);
    if (!timer_is_running(&acceptor->look))
        loop_timer_start(acceptor->loop, &acceptor->look, PARTING_LOOK_NS);
}

static void end(struct acceptor *acceptor, struct open_socket *open) {
    if (open->socket >= 0) {
        close(open->socket);
    } else if (open->listener != NULL) {
        tcp_listener_close(open->listener);
    } else {
        part(acceptor, open);
        worker_unlisten(&acceptor->workers[0], open->name);
    }
    free_socket(open);
}

enum error acceptor_apply(struct acceptor *acceptor, const struct snapshot *snapshot, struct config_errors *errors) {
    uint32_t before = errors->count;
    LIST_EACH(&acceptor->sockets, node, following)
        LIST_ENTRY(node, struct open_socket, link)->wanted = false;
    for (uint32_t i = 0; i < snapshot->proxy.listener_count; i++) {
        struct open_socket *open = find(acceptor, &snapshot->proxy.listeners[i]);
        if (open == NULL)
            continue;
        open->wanted = true;
        open->is_reached = role_is_reached(snapshot->proxy.listeners[i].role);
    }
    for (uint32_t i = 0; i < snapshot->proxy.listener_count; i++)
        if (find(acceptor, &snapshot->proxy.listeners[i]) == NULL)
            bind_one(acceptor, &snapshot->proxy.listeners[i], errors);
    bool failed = errors->count > before;
    LIST_EACH(&acceptor->sockets, other, next) {
        struct open_socket *open = LIST_ENTRY(other, struct open_socket, link);
        if (failed ? open->fresh : !open->wanted)
            end(acceptor, open);
    }
    return failed ? ERROR_INVALID : OK;
}

void acceptor_begin(struct acceptor *acceptor) {
    LIST_EACH(&acceptor->sockets, node, following) {
        struct open_socket *open = LIST_ENTRY(node, struct open_socket, link);
        if (open->fresh)
            begin(acceptor, open);
    }
}

uint32_t acceptor_sockets(const struct acceptor *acceptor, struct listening *sockets, uint32_t most) {
    uint32_t count = 0;
    LIST_EACH(&acceptor->sockets, node, following) {
        const struct open_socket *open = LIST_ENTRY(node, struct open_socket, link);
        if (count < most)
            sockets[count++] = (struct listening){open->socket >= 0 ? open->socket : open->given, open->by_name ? open->name : BYTES_NONE};
    }
    return count;
}

uint64_t acceptor_refused(const struct acceptor *acceptor) {
    return metric_read(&acceptor->refused);
}

void acceptor_take_waiting(struct acceptor *acceptor) {
    LIST_EACH(&acceptor->sockets, node, following) {
        const struct open_socket *open = LIST_ENTRY(node, struct open_socket, link);
        if (open->listener != NULL && open->is_reached)
            tcp_listener_take_waiting(open->listener);
        else if (open->given >= 0 && open->is_reached)
            worker_take_waiting(&acceptor->workers[0], open->name);
    }
}

void acceptor_close_all(struct acceptor *acceptor) {
    LIST_EACH(&acceptor->sockets, node, following)
        end(acceptor, LIST_ENTRY(node, struct open_socket, link));
    LIST_EACH(&acceptor->partings, other, next)
        end_parting(LIST_ENTRY(other, struct parting, link)); // nothing comes back any more
    loop_timer_stop(acceptor->loop, &acceptor->look);
}

void acceptor_destroy(struct acceptor *acceptor) {
    CHECK(list_is_empty(&acceptor->sockets));
    free(acceptor);
}
