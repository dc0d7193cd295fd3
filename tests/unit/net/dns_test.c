// Look-ups against a name server of the test's own, over real sockets: what each answer means, that each look-up ends once, what is left behind after a failure.
#include "net/dns.h"

#include "net/dns_private.h"
#include "unit/net/dns_message.h"
#include "unit/net/socket_drive.h"

#include <stdio.h>

struct asked {
    char name[DNS_NAME_MAX + 1];
    unsigned type;
    uint16_t port;
    bool over_tcp;
};

static struct {
    struct loop loop;
    struct dns *dns;
    char folder[64];
    char servers[32];
    uv_poll_t udp_poll, tcp_poll, stream_poll;
    int udp, tcp, stream;
    struct asked asked[64];
    uint32_t asked_count;
} drive;

struct looker {
    struct dns_lookup *lookup;
    unsigned done;
    enum dns_outcome outcome;
    uint32_t count;
    uint32_t ttl_s;
    struct dns_record first;
    char target[64];
};

static void on_done(void *user, const struct dns_result *result) {
    struct looker *looker = user;
    looker->done++;
    looker->outcome = result->outcome;
    looker->count = result->count;
    looker->ttl_s = result->ttl_s;
    if (result->count > 0) {
        looker->first = result->records[0];
        snprintf(looker->target, sizeof looker->target, "%.*s", BYTES_FORMAT(result->records[0].target));
    }
}

// --- the server ---

static size_t read_question(const unsigned char *in, size_t length, struct asked *asked) {
    size_t at = 12, used = 0;
    while (at < length && in[at] != 0) {
        if (used > 0)
            asked->name[used++] = '.';
        memcpy(asked->name + used, in + at + 1, in[at]);
        used += in[at];
        at += in[at] + 1u;
    }
    asked->name[used] = '\0';
    asked->type = (unsigned)(in[at + 1] << 8 | in[at + 2]);
    return at + 5;
}

static bool is_named(const struct asked *asked, const char *name) {
    return strcmp(asked->name, name) == 0;
}

// What the server says of each name. False: nothing at all.
static bool answer(const struct asked *asked, unsigned id, struct dns_message *message) {
    enum dns_type type = (enum dns_type)asked->type;
    put_header(message, id, 0x8180, 0, asked->name, type);
    if (is_named(asked, "silent.example"))
        return false;
    if (is_named(asked, "broken.example") || is_named(asked, "half.broken.example")) {
        put_header(message, id, 0x8182, 0, asked->name, type);
    } else if (is_named(asked, "empty.example")) {
    } else if (is_named(asked, "both.example")) {
        put_header(message, id, 0x8180, type == DNS_TYPE_A ? 3 : 1, asked->name, type);
        if (type == DNS_TYPE_A)
            put_a(message, "127.0.0.3", 30), put_a(message, "127.0.0.2", 40), put_a(message, "127.0.0.2", 40);
        else
            put_aaaa(message, "::1", 20);
    } else if (is_named(asked, "deaf.example")) {
        if (type != DNS_TYPE_A)
            return false;
        put_header(message, id, 0x8180, 1, asked->name, type);
        put_a(message, "127.0.0.4", 30);
    } else if (is_named(asked, "many.example") && type == DNS_TYPE_A) {
        put_header(message, id, asked->over_tcp ? 0x8180 : 0x8380, asked->over_tcp ? 200 : 0, asked->name, type);
        for (unsigned i = 0; i < 200 && asked->over_tcp; i++) {
            char address[16];
            snprintf(address, sizeof address, "127.0.1.%u", i + 1);
            put_a(message, address, 30);
        }
    } else if (is_named(asked, "pay.second.example") && type == DNS_TYPE_A) {
        put_header(message, id, 0x8180, 1, asked->name, type);
        put_a(message, "127.0.0.5", 30);
    } else if (is_named(asked, "pay.third.example") && type == DNS_TYPE_AAAA) {
        put_header(message, id, 0x8180, 1, asked->name, type);
        put_aaaa(message, "::1", 30);
    } else if (is_named(asked, "_http._tcp.courses.example")) {
        put_header(message, id, 0x8180, 2, asked->name, type);
        put_srv(message, 20, 1, 81, "b.courses.example", 30);
        put_srv(message, 10, 1, 80, "a.courses.example", 30);
    } else if (!is_named(asked, "many.example") && !is_named(asked, "pay.second.example")) {
        put_header(message, id, 0x8183, 0, asked->name, type);
    }
    return true;
}

static struct asked *note(const unsigned char *in, size_t length, uint16_t port, bool over_tcp) {
    CHECK(drive.asked_count < sizeof drive.asked / sizeof drive.asked[0] && length > 16);
    struct asked *asked = &drive.asked[drive.asked_count++];
    *asked = (struct asked){.port = port, .over_tcp = over_tcp};
    read_question(in, length, asked);
    return asked;
}

static void on_datagram(uv_poll_t *poll, int status, int events) {
    (void)poll, (void)status, (void)events;
    unsigned char in[2048];
    struct sockaddr_in from = {0};
    socklen_t from_length = sizeof from;
    ssize_t length = recvfrom(drive.udp, in, sizeof in, MSG_DONTWAIT, (struct sockaddr *)&from, &from_length);
    if (length <= 0)
        return;
    struct dns_message message = {.length = 0};
    const struct asked *asked = note(in, (size_t)length, ntohs(from.sin_port), false);
    if (answer(asked, (unsigned)(in[0] << 8 | in[1]), &message))
        CHECK(sendto(drive.udp, message.bytes, message.length, 0, (struct sockaddr *)&from, from_length) == (ssize_t)message.length);
}

static void on_stream(uv_poll_t *poll, int status, int events) {
    (void)poll, (void)status, (void)events;
    unsigned char in[2048];
    ssize_t length = recv(drive.stream, in, sizeof in, MSG_DONTWAIT);
    if (length <= 2) {
        uv_poll_stop(&drive.stream_poll);
        return;
    }
    struct dns_message message = {.length = 0};
    const struct asked *asked = note(in + 2, (size_t)length - 2, 0, true);
    CHECK(answer(asked, (unsigned)(in[2] << 8 | in[3]), &message));
    unsigned char prefix[2] = {(unsigned char)(message.length >> 8), (unsigned char)message.length};
    CHECK(send(drive.stream, prefix, 2, 0) == 2 && send(drive.stream, message.bytes, message.length, 0) == (ssize_t)message.length);
}

static void on_connection(uv_poll_t *poll, int status, int events) {
    (void)poll, (void)status, (void)events;
    CHECK(drive.stream < 0);
    drive.stream = accept4(drive.tcp, NULL, NULL, SOCK_CLOEXEC);
    CHECK(drive.stream >= 0 && uv_poll_init(&drive.loop.uv, &drive.stream_poll, drive.stream) == 0);
    uv_poll_start(&drive.stream_poll, UV_READABLE, on_stream);
}

static void write_file(const char *name, const char *text) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", drive.folder, name);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void open_server(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    drive.tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    drive.udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(bind(drive.tcp, (struct sockaddr *)&address, sizeof address) == 0 && listen(drive.tcp, 5) == 0);
    CHECK(getsockname(drive.tcp, (struct sockaddr *)&address, &length) == 0);
    CHECK(bind(drive.udp, (struct sockaddr *)&address, sizeof address) == 0);
    snprintf(drive.servers, sizeof drive.servers, "127.0.0.1:%u", ntohs(address.sin_port));
    CHECK(uv_poll_init(&drive.loop.uv, &drive.udp_poll, drive.udp) == 0 && uv_poll_init(&drive.loop.uv, &drive.tcp_poll, drive.tcp) == 0);
    uv_poll_start(&drive.udp_poll, UV_READABLE, on_datagram);
    uv_poll_start(&drive.tcp_poll, UV_READABLE, on_connection);
    drive.stream = -1;
}

static int begin(void **state) {
    (void)state;
    memset(&drive, 0, sizeof drive);
    snprintf(drive.folder, sizeof drive.folder, "/tmp/dns_test.XXXXXX");
    CHECK(mkdtemp(drive.folder) != NULL);
    write_file("resolv.conf", "nameserver 127.0.0.1\nsearch first.example second.example third.example\n");
    write_file("hosts", "127.0.0.9 filed.example\n");
    loop_init(&drive.loop, NULL);
    open_server();
    char resolv_conf[128], hosts[128];
    snprintf(resolv_conf, sizeof resolv_conf, "%s/resolv.conf", drive.folder);
    snprintf(hosts, sizeof hosts, "%s/hosts", drive.folder);
    drive.dns = dns_create(&drive.loop, &(struct dns_options){.servers = drive.servers, .resolv_conf = resolv_conf, .hosts = hosts});
    return 0;
}

static int end(void **state) {
    (void)state;
    dns_close(drive.dns);
    uv_close((uv_handle_t *)&drive.udp_poll, NULL);
    uv_close((uv_handle_t *)&drive.tcp_poll, NULL);
    if (drive.stream >= 0)
        uv_close((uv_handle_t *)&drive.stream_poll, NULL);
    loop_dispose(&drive.loop);
    close(drive.udp);
    close(drive.tcp);
    if (drive.stream >= 0)
        close(drive.stream);
    char path[128];
    snprintf(path, sizeof path, "%s/resolv.conf", drive.folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/hosts", drive.folder);
    unlink(path);
    rmdir(drive.folder);
    return 0;
}

static void start(struct looker *looker, const char *name, enum dns_kind kind, nanoseconds timeout) {
    loop_enter(&drive.loop);
    looker->lookup = dns_lookup_start(drive.dns, bytes_from_text(name), kind, timeout, on_done, looker);
    assert_int_equal(looker->done, 0);
}

static struct looker look_up(const char *name, enum dns_kind kind) {
    struct looker looker = {0};
    start(&looker, name, kind, PATIENCE_NS);
    RUN_UNTIL(&drive.loop, looker.done > 0);
    run_idle(&drive.loop);
    assert_int_equal(looker.done, 1);
    return looker;
}

// --- tests ---

static void both_families_come_together_sorted_and_once_each(void **state) {
    (void)state;
    struct looker looker = look_up("both.example", DNS_ADDRESSES);
    assert_int_equal(looker.outcome, DNS_FOUND);
    assert_in_range(looker.count, 2, 3); // ::1 where this machine has IPv6 at all
    assert_int_equal(looker.ttl_s, 20);
    assert_int_equal(looker.first.type, DNS_TYPE_A);
    assert_int_equal(ntohl(looker.first.v4.s_addr), 0x7f000002);
}

static void outcomes_are_told_apart(void **state) {
    (void)state;
    assert_int_equal(look_up("nobody.example", DNS_ADDRESSES).outcome, DNS_NO_NAME);
    assert_int_equal(look_up("empty.example.", DNS_ADDRESSES).outcome, DNS_NO_RECORD);
    assert_int_equal(look_up("broken.example.", DNS_ADDRESSES).outcome, DNS_FAILED);
    struct looker looker = {0};
    start(&looker, "silent.example", DNS_ADDRESSES, 50 * NS_PER_MS);
    RUN_UNTIL(&drive.loop, looker.done > 0);
    assert_int_equal(looker.outcome, DNS_TIMEOUT);
    assert_int_equal(look_up("both.example", DNS_ADDRESSES).outcome, DNS_FOUND);
}

static void where_nobody_listens_it_fails(void **state) {
    (void)state;
    struct dns *elsewhere = dns_create(&drive.loop, &(struct dns_options){.servers = "127.0.0.1:1"});
    struct looker looker = {0};
    loop_enter(&drive.loop);
    dns_lookup_start(elsewhere, BYTES("both.example"), DNS_ADDRESSES, PATIENCE_NS, on_done, &looker);
    RUN_UNTIL(&drive.loop, looker.done > 0);
    dns_close(elsewhere);
    assert_in_range(looker.outcome, DNS_FAILED, DNS_TIMEOUT); // by whether the kernel tells of ports where nobody listens
}

static void two_hundred_addresses_come_over_tcp(void **state) {
    (void)state;
    struct looker looker = look_up("many.example", DNS_ADDRESSES);
    assert_int_equal(looker.outcome, DNS_FOUND);
    assert_int_equal(looker.count, 200);
    bool over_tcp = false;
    for (uint32_t i = 0; i < drive.asked_count; i++)
        over_tcp = over_tcp || drive.asked[i].over_tcp;
    assert_true(over_tcp);
}

static void services_come_by_priority(void **state) {
    (void)state;
    struct looker looker = look_up("_http._tcp.courses.example", DNS_SERVICES);
    assert_int_equal(looker.outcome, DNS_FOUND);
    assert_int_equal(looker.count, 2);
    assert_int_equal(looker.first.port, 80);
    assert_string_equal(looker.target, "a.courses.example");
}

static void what_needs_no_server_asks_none(void **state) {
    (void)state;
    struct looker looker = look_up("FILED.example", DNS_ADDRESSES);
    assert_int_equal(ntohl(looker.first.v4.s_addr), 0x7f000009);
    looker = look_up("localhost", DNS_ADDRESSES);
    assert_int_equal(looker.outcome, DNS_FOUND);
    assert_int_equal(ntohl(looker.first.v4.s_addr), 0x7f000001);
    assert_int_equal(look_up("api.localhost.", DNS_ADDRESSES).outcome, DNS_FOUND);
    looker = look_up("10.1.2.3", DNS_ADDRESSES);
    assert_int_equal(looker.count, 1);
    assert_int_equal(looker.ttl_s, UINT32_MAX);
    assert_int_equal(drive.asked_count, 0);
}

// A name of the third domain has an IPv6 address, but the second has answered: addresses of two names are never mixed.
static void a_short_name_is_looked_for_in_one_domain_after_the_other(void **state) {
    (void)state;
    struct looker looker = look_up("pay", DNS_ADDRESSES);
    assert_int_equal(looker.count, 1);
    assert_int_equal(ntohl(looker.first.v4.s_addr), 0x7f000005);
    for (uint32_t i = 0; i < drive.asked_count; i++)
        assert_false(is_named(&drive.asked[i], "pay.third.example"));
}

static void a_family_that_is_never_answered_for_does_not_hold_up_the_other(void **state) {
    (void)state;
    struct looker looker = look_up("deaf.example", DNS_ADDRESSES);
    assert_int_equal(looker.outcome, DNS_FOUND);
    assert_int_equal(looker.count, 1);
}

static void what_is_cancelled_is_not_called_back(void **state) {
    (void)state;
    struct looker at_once = {0}, asked = {0}, filed = {0};
    start(&at_once, "both.example", DNS_ADDRESSES, PATIENCE_NS);
    dns_lookup_cancel(at_once.lookup);
    start(&filed, "filed.example", DNS_ADDRESSES, PATIENCE_NS);
    dns_lookup_cancel(filed.lookup);
    start(&asked, "silent.example", DNS_ADDRESSES, PATIENCE_NS);
    RUN_UNTIL(&drive.loop, drive.asked_count >= 2);
    dns_lookup_cancel(asked.lookup);
    assert_int_equal(look_up("both.example", DNS_ADDRESSES).outcome, DNS_FOUND);
    assert_int_equal(at_once.done + asked.done + filed.done, 0);
}

static void after_a_failure_sockets_are_new(void **state) {
    (void)state;
    struct looker looker = {0};
    start(&looker, "silent.example", DNS_ADDRESSES, 50 * NS_PER_MS);
    RUN_UNTIL(&drive.loop, looker.done > 0); // c-ares still waits, and keeps its socket open for that
    uint16_t before = drive.asked[0].port;
    drive.asked_count = 0;
    look_up("both.example", DNS_ADDRESSES);
    assert_int_not_equal(drive.asked[0].port, before);
}

static void a_changed_file_of_search_domains_is_read_again(void **state) {
    (void)state;
    assert_int_equal(look_up("pay", DNS_ADDRESSES).outcome, DNS_FOUND);
    write_file("resolv.conf", "nameserver 127.0.0.1\n");
    assert_int_equal(look_up("pay", DNS_ADDRESSES).outcome, DNS_NO_NAME);
}

// Opening it fails, whoever tries.
static void make_unreadable(const char *name) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", drive.folder, name);
    CHECK(unlink(path) == 0 && symlink(name, path) == 0);
}

static void files_that_cannot_be_read_leave_in_force_what_they_said(void **state) {
    (void)state;
    assert_int_equal(look_up("pay", DNS_ADDRESSES).outcome, DNS_FOUND);
    make_unreadable("resolv.conf");
    make_unreadable("hosts");
    assert_int_equal(look_up("pay", DNS_ADDRESSES).outcome, DNS_FOUND);
    struct looker looker = {0};
    start(&looker, "silent.example", DNS_ADDRESSES, 50 * NS_PER_MS);
    RUN_UNTIL(&drive.loop, looker.done > 0);
    assert_int_equal(look_up("pay", DNS_ADDRESSES).outcome, DNS_FOUND); // with a new channel
    assert_int_equal(look_up("filed.example", DNS_ADDRESSES).outcome, DNS_FOUND);
    char path[128];
    snprintf(path, sizeof path, "%s/hosts", drive.folder);
    CHECK(unlink(path) == 0);
    assert_int_equal(look_up("filed.example", DNS_ADDRESSES).outcome, DNS_NO_NAME); // a file that has gone says nothing
}

static void a_channel_tells_its_servers(void **state) {
    (void)state;
    struct dns_channel *channel = dns_channel_create(&drive.loop, "127.0.0.1:5353,[::1]:5454,10.0.0.1", "/nowhere/resolv.conf");
    assert_non_null(channel);
    char *servers = dns_channel_servers(channel);
    assert_string_equal(servers, "127.0.0.1:5353,[::1]:5454,10.0.0.1:53");
    free(servers);
    dns_channel_destroy(channel);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_families_come_together_sorted_and_once_each, begin, end),
        cmocka_unit_test_setup_teardown(outcomes_are_told_apart, begin, end),
        cmocka_unit_test_setup_teardown(where_nobody_listens_it_fails, begin, end),
        cmocka_unit_test_setup_teardown(two_hundred_addresses_come_over_tcp, begin, end),
        cmocka_unit_test_setup_teardown(services_come_by_priority, begin, end),
        cmocka_unit_test_setup_teardown(what_needs_no_server_asks_none, begin, end),
        cmocka_unit_test_setup_teardown(a_short_name_is_looked_for_in_one_domain_after_the_other, begin, end),
        cmocka_unit_test_setup_teardown(a_family_that_is_never_answered_for_does_not_hold_up_the_other, begin, end),
        cmocka_unit_test_setup_teardown(what_is_cancelled_is_not_called_back, begin, end),
        cmocka_unit_test_setup_teardown(after_a_failure_sockets_are_new, begin, end),
        cmocka_unit_test_setup_teardown(files_that_cannot_be_read_leave_in_force_what_they_said, begin, end),
        cmocka_unit_test_setup_teardown(a_channel_tells_its_servers, begin, end),
        cmocka_unit_test_setup_teardown(a_changed_file_of_search_domains_is_read_again, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
