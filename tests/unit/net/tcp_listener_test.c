// The listening socket: accepts in bounds, tells clients at once when the process has no descriptor left, and cleans up Unix sockets.
#include "net/tcp_listener.h"

#include "base/limits.h"
#include "base/log.h"

#include "unit/net/socket_drive.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#define SOCKETS_MAX 128

struct world {
    struct loop loop;
    struct tcp_listener *listener;
    struct sockaddr_in address;
    int accepted[SOCKETS_MAX];
    unsigned count;
    unsigned close_after;
    uint64_t turn_of_first;
    unsigned in_first_turn;
};

static void on_accepted(void *user, int accepted) {
    struct world *world = user;
    CHECK(world->count < SOCKETS_MAX);
    world->accepted[world->count++] = accepted;
    if (world->count == 1)
        world->turn_of_first = world->loop.turns;
    if (world->loop.turns == world->turn_of_first)
        world->in_first_turn++;
    if (world->count == world->close_after) {
        tcp_listener_close(world->listener);
        world->listener = NULL;
    }
}

static void world_init(struct world *world) {
    memset(world, 0, sizeof *world);
    loop_init(&world->loop, NULL);
    int listening;
    char reason[128];
    world->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof world->address;
    assert_int_equal(tcp_listen((struct sockaddr *)&world->address, length, &listening, reason, sizeof reason), OK);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&world->address, &length), 0);
    world->listener = tcp_listener_open(&world->loop, listening, on_accepted, world);
}

static void world_dispose(struct world *world) {
    for (unsigned i = 0; i < world->count; i++)
        close(world->accepted[i]);
    if (world->listener != NULL)
        tcp_listener_close(world->listener);
    loop_dispose(&world->loop);
}

static void connect_all(const struct world *world, int *clients, int count) {
    for (int i = 0; i < count; i++)
        clients[i] = connect_to(&world->address);
}

static void a_connection_is_handed_over_once(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    int client = connect_to(&world.address);
    RUN_UNTIL(&world.loop, world.count == 1);
    run_idle(&world.loop);
    assert_int_equal(world.count, 1);
    assert_int_equal(tcp_listener_counters(world.listener)->accepted, 1);
    int flags = fcntl(world.accepted[0], F_GETFL);
    assert_true(flags & O_NONBLOCK);
    assert_true(fcntl(world.accepted[0], F_GETFD) & FD_CLOEXEC);
    close(client);
    world_dispose(&world);
}

static void a_turn_accepts_no_more_than_its_bound(void **state) {
    (void)state;
    enum { CLIENTS = LIMIT_ACCEPTS_PER_TURN + 8 };
    struct world world;
    int clients[CLIENTS];
    world_init(&world);
    connect_all(&world, clients, CLIENTS);
    RUN_UNTIL(&world.loop, world.count == CLIENTS);
    assert_int_equal(world.in_first_turn, LIMIT_ACCEPTS_PER_TURN);
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    world_dispose(&world);
}

static void who_waits_is_taken_before_a_close(void **state) {
    (void)state;
    enum { CLIENTS = LIMIT_ACCEPTS_PER_TURN + 8 };
    struct world world;
    int clients[CLIENTS];
    world_init(&world);
    connect_all(&world, clients, CLIENTS);
    assert_int_equal(world.count, 0);
    tcp_listener_take_waiting(world.listener);
    tcp_listener_close(world.listener);
    world.listener = NULL;
    assert_int_equal(world.count, CLIENTS);
    run_idle(&world.loop);
    for (int i = 0; i < CLIENTS; i++) {
        char byte;
        assert_int_equal(recv(clients[i], &byte, 1, MSG_DONTWAIT), -1); // neither ended nor reset
        assert_int_equal(errno, EAGAIN);
        close(clients[i]);
    }
    world_dispose(&world);
}

static void a_close_from_within_accepted_ends_it(void **state) {
    (void)state;
    struct world world;
    int clients[3];
    world_init(&world);
    world.close_after = 1;
    connect_all(&world, clients, 3);
    RUN_UNTIL(&world.loop, world.count == 1);
    run_idle(&world.loop);
    assert_int_equal(world.count, 1);
    for (int i = 0; i < 3; i++)
        close(clients[i]);
    world_dispose(&world);
}

static void silent(enum log_level level, const char *line) {
    (void)level;
    (void)line;
}

// How many descriptors the process has: the next one would be this or a lower number.
static rlim_t next_descriptor(void) {
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(next);
    return (rlim_t)next;
}

static void without_descriptors_a_client_is_closed_at_once_and_later_ones_are_taken(void **state) {
    (void)state;
    struct world world;
    struct rlimit before;
    struct rlimit none;
    char text[4];
    log_redirect(silent);
    world_init(&world);
    int first = connect_to(&world.address);
    int second = connect_to(&world.address);
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = next_descriptor();
    setrlimit(RLIMIT_NOFILE, &none);
    RUN_UNTIL(&world.loop, tcp_listener_counters(world.listener)->out_of_descriptors == 2);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(world.count, 0);
    RUN_UNTIL(&world.loop, receive_now(first, text, sizeof text) == 0);
    RUN_UNTIL(&world.loop, receive_now(second, text, sizeof text) == 0);
    int third = connect_to(&world.address);
    RUN_UNTIL(&world.loop, world.count == 1);
    assert_int_equal(tcp_listener_counters(world.listener)->out_of_descriptors, 2);
    close(first);
    close(second);
    close(third);
    world_dispose(&world);
    log_redirect(NULL);
}

// It was opened when there was none left, so that it has nothing to give up: it does not spin over clients that it cannot take, and has a reserve as soon as there is one.
static void without_a_reserve_it_looks_away(void **state) {
    (void)state;
    struct world world;
    struct rlimit before;
    struct rlimit none;
    log_redirect(silent);
    world_init(&world);
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    int client = connect_to(&world.address);
    none.rlim_cur = 0; // no descriptor is to be had, not even in the place of one that is closed
    setrlimit(RLIMIT_NOFILE, &none);
    for (int turn = 0; turn < 20; turn++)
        run_idle(&world.loop);
    assert_int_equal(tcp_listener_counters(world.listener)->out_of_descriptors, 0);
    setrlimit(RLIMIT_NOFILE, &before);
    RUN_UNTIL(&world.loop, world.count == 1);
    char text[4];
    int second = connect_to(&world.address);
    none.rlim_cur = next_descriptor();
    setrlimit(RLIMIT_NOFILE, &none);
    RUN_UNTIL(&world.loop, tcp_listener_counters(world.listener)->out_of_descriptors == 1);
    setrlimit(RLIMIT_NOFILE, &before);
    RUN_UNTIL(&world.loop, receive_now(second, text, sizeof text) == 0);
    close(client);
    close(second);
    log_redirect(NULL);
    world_dispose(&world);
}

static void a_taken_port_is_refused_with_a_reason(void **state) {
    (void)state;
    struct world world;
    int listening;
    char reason[128];
    world_init(&world);
    assert_int_equal(tcp_listen((struct sockaddr *)&world.address, sizeof world.address, &listening, reason, sizeof reason), ERROR_IO);
    assert_string_equal(reason, "bind: Address already in use");
    world_dispose(&world);
}

static void a_stale_unix_socket_is_replaced_and_is_private(void **state) {
    (void)state;
    char folder[] = "/tmp/outrigger-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/admin.sock", folder);
    char reason[128];
    int first;
    int second;
    struct stat status;
    assert_int_equal(tcp_listen((struct sockaddr *)&address, sizeof address, &first, reason, sizeof reason), OK);
    close(first);
    assert_int_equal(tcp_listen((struct sockaddr *)&address, sizeof address, &second, reason, sizeof reason), OK);
    assert_int_equal(stat(address.sun_path, &status), 0);
    assert_true(S_ISSOCK(status.st_mode));
    assert_int_equal(status.st_mode & 0777, 0600);
    close(second);
    unlink(address.sun_path);
    rmdir(folder);
}

static void a_unix_socket_that_is_in_use_is_left_alone(void **state) {
    (void)state;
    char folder[] = "/tmp/outrigger-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/admin.sock", folder);
    char reason[128];
    int first;
    int second;
    assert_int_equal(tcp_listen((struct sockaddr *)&address, sizeof address, &first, reason, sizeof reason), OK);
    assert_int_equal(tcp_listen((struct sockaddr *)&address, sizeof address, &second, reason, sizeof reason), ERROR_IO);
    assert_string_equal(reason, "bind: Address already in use");
    errno = 0;
    assert_true(accept(first, NULL, NULL) < 0 && errno == EAGAIN); // and sees nothing of it
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof address), 0);
    close(client);
    close(first);
    unlink(address.sun_path);
    rmdir(folder);
}

static void a_file_that_is_no_socket_is_left_alone(void **state) {
    (void)state;
    char folder[] = "/tmp/outrigger-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/precious", folder);
    close(open(address.sun_path, O_CREAT | O_WRONLY, 0600));
    char reason[128];
    int listening;
    struct stat status;
    assert_int_equal(tcp_listen((struct sockaddr *)&address, sizeof address, &listening, reason, sizeof reason), ERROR_IO);
    assert_int_equal(stat(address.sun_path, &status), 0);
    assert_true(S_ISREG(status.st_mode));
    unlink(address.sun_path);
    rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_is_handed_over_once),
        cmocka_unit_test(a_turn_accepts_no_more_than_its_bound),
        cmocka_unit_test(who_waits_is_taken_before_a_close),
        cmocka_unit_test(a_close_from_within_accepted_ends_it),
        cmocka_unit_test(without_descriptors_a_client_is_closed_at_once_and_later_ones_are_taken),
        cmocka_unit_test(without_a_reserve_it_looks_away),
        cmocka_unit_test(a_taken_port_is_refused_with_a_reason),
        cmocka_unit_test(a_stale_unix_socket_is_replaced_and_is_private),
        cmocka_unit_test(a_unix_socket_that_is_in_use_is_left_alone),
        cmocka_unit_test(a_file_that_is_no_socket_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
