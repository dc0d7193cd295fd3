// Names over time, on a virtual clock and with a name server that is the test itself: when they are asked again, what stays in force, which endpoints come of it.
#include "upstream/resolver.h"

#include "base/log.h"
#include "config/load.h"
#include "support/check_loop.h"
#include "upstream/resolver_private.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define PROXY                                                                                                                        \
    "apiVersion: outrigger.dev/v1alpha1\nkind: Proxy\nmetadata: {name: p}\nspec:\n  listeners: [{name: o, role: Outbound, address: " \
    "'127.0.0.1:15001'}]\n---\n"
#define ENTRY(name, resolution, endpoints)                                                                                     \
    "apiVersion: outrigger.dev/v1alpha1\nkind: ServiceEntry\nmetadata: {name: " name "}\nspec:\n  hosts: [" name ".example]\n" \
    "  ports: [{name: http, port: 80}]\n  tls: {mode: None}\n  resolution: " resolution "\n  endpoints: [" endpoints "]\n---\n"

// A look-up that waits for the test's answer.
struct dns_lookup {
    struct list link;
    char name[64];
    enum dns_kind kind;
    void (*done)(void *user, const struct dns_result *result);
    void *user;
};

static struct {
    struct check_loop check;
    struct resolver *resolver;
    struct snapshot *snapshot;
    struct list asked;
    unsigned asked_total;
    unsigned cancelled;
    struct endpoint_set *sets[8]; // the newest of each service, by the order of their keys' first letter
    unsigned published;
} drive;

static struct dns_lookup *look_up(struct dns *dns, struct bytes name, enum dns_kind kind, nanoseconds timeout,
                                  void (*done)(void *user, const struct dns_result *result), void *user) {
    (void)dns, (void)timeout;
    struct dns_lookup *lookup = calloc(1, sizeof *lookup);
    snprintf(lookup->name, sizeof lookup->name, "%.*s", BYTES_FORMAT(name));
    lookup->kind = kind;
    lookup->done = done;
    lookup->user = user;
    list_init(&lookup->link);
    list_push_back(&drive.asked, &lookup->link);
    drive.asked_total++;
    return lookup;
}

static void cancel(struct dns_lookup *lookup) {
    list_remove(&lookup->link);
    free(lookup);
    drive.cancelled++;
}

static nanoseconds wall_clock(void) {
    return 1000 * NS_PER_S + drive.check.loop.now;
}

static void publish(void *owner, struct endpoint_set *set) {
    (void)owner;
    unsigned place = (unsigned)(set->service->name.at[0] - 'a');
    assert_true(place < 8);
    if (drive.sets[place] != NULL)
        endpoint_set_unref(drive.sets[place]);
    drive.sets[place] = set;
    drive.published++;
}

static int begin(void **state) {
    (void)state;
    memset(&drive, 0, sizeof drive);
    log_set_level(LOG_ERROR);
    check_loop_init(&drive.check);
    list_init(&drive.asked);
    drive.resolver = resolver_create(&drive.check.loop,
                                     &(struct resolver_options){.look_up = look_up, .cancel = cancel, .wall_clock = wall_clock, .publish = publish});
    return 0;
}

static void apply(const char *documents) {
    struct config_errors errors, warnings;
    config_errors_init(&errors);
    config_errors_init(&warnings);
    if (drive.snapshot != NULL)
        snapshot_unref(drive.snapshot);
    if (config_load_text("t.yaml", bytes_from_text(documents), &drive.snapshot, &errors, &warnings) != OK)
        fail_msg("%s", errors.lines[0]);
    config_errors_dispose(&errors);
    config_errors_dispose(&warnings);
    resolver_apply(drive.resolver, drive.snapshot);
}

static int end(void **state) {
    (void)state;
    resolver_close(drive.resolver);
    assert_true(list_is_empty(&drive.asked));
    for (unsigned i = 0; i < 8; i++)
        if (drive.sets[i] != NULL)
            endpoint_set_unref(drive.sets[i]);
    if (drive.snapshot != NULL)
        snapshot_unref(drive.snapshot);
    check_loop_dispose(&drive.check);
    return 0;
}

static struct dns_lookup *find_asked(const char *name) {
    LIST_EACH(&drive.asked, node, following) {
        struct dns_lookup *lookup = LIST_ENTRY(node, struct dns_lookup, link);
        if (strcmp(lookup->name, name) == 0)
            return lookup;
    }
    return NULL;
}

static void settle(void) {
    loop_turn(&drive.check.loop, drive.check.loop.now);
}

static void answer(const char *name, const struct dns_result *result) {
    struct dns_lookup *lookup = find_asked(name);
    assert_non_null(lookup);
    list_remove(&lookup->link);
    lookup->done(lookup->user, result);
    free(lookup);
    settle();
}

static void fail_with(const char *name, enum dns_outcome outcome) {
    answer(name, &(struct dns_result){.outcome = outcome, .ttl_s = UINT32_MAX});
}

// 10.0.0.<first> and so on, `count` of them.
static void find_at(const char *name, unsigned first, unsigned count, uint32_t ttl_s) {
    struct dns_record records[8] = {0};
    for (unsigned i = 0; i < count; i++) {
        records[i].type = DNS_TYPE_A;
        records[i].v4.s_addr = htonl(0x0a000000 + first + i);
    }
    answer(name, &(struct dns_result){.outcome = DNS_FOUND, .records = records, .count = count, .ttl_s = ttl_s});
}

static void find_srv(const char *name, const struct dns_record *records, unsigned count) {
    answer(name, &(struct dns_result){.outcome = DNS_FOUND, .records = records, .count = count, .ttl_s = 60});
}

static void pass(nanoseconds duration) {
    nanoseconds end_at = drive.check.loop.now + duration;
    for (nanoseconds next; (next = timer_wheel_next(&drive.check.loop.timers)) <= end_at;)
        loop_turn(&drive.check.loop, next > drive.check.loop.now ? next : drive.check.loop.now);
    loop_turn(&drive.check.loop, end_at);
}

static const char *endpoint(unsigned place, unsigned number) {
    static char text[ENDPOINT_ADDRESS_TEXT_MAX];
    assert_true(number < drive.sets[place]->count);
    endpoint_address_print(&drive.sets[place]->endpoints[number].address, text);
    return text;
}

// --- tests ---

static void a_name_becomes_as_many_endpoints_as_it_has_addresses(void **state) {
    (void)state;
    apply(PROXY ENTRY("a", "DNS", "{address: 'x.example:8000', weight: 3}, {address: '10.0.0.9'}, {address: x.example}"));
    assert_int_equal(drive.sets[0]->count, 1); // the literal one is there at once
    assert_int_equal(drive.asked_total, 1);    // one name, however often it is used
    find_at("x.example", 1, 2, 60);
    assert_int_equal(drive.sets[0]->count, 5);
    assert_string_equal(endpoint(0, 0), "10.0.0.1:8000");
    assert_int_equal(drive.sets[0]->endpoints[0].weight, 3);
    assert_string_equal(endpoint(0, 2), "10.0.0.9:80");
    assert_string_equal(endpoint(0, 4), "10.0.0.2:80");
}

static void before_the_first_answer_there_are_none_and_that_is_said(void **state) {
    (void)state;
    apply(PROXY ENTRY("a", "DNS", "{address: x.example}") ENTRY("b", "DNS", "{address: y.example}"));
    assert_int_equal(drive.sets[0]->error, ERROR_CANCELLED);
    fail_with("x.example", DNS_NO_NAME);
    assert_int_equal(drive.sets[0]->error, ERROR_DNS_ERROR);
    assert_string_equal(drive.sets[0]->detail.at, "x.example: nxdomain");
    fail_with("y.example", DNS_TIMEOUT);
    assert_int_equal(drive.sets[1]->error, ERROR_DNS_TIMEOUT);
    pass(NS_PER_S);
    find_at("x.example", 1, 1, 60);
    assert_int_equal(drive.sets[0]->error, OK);
}

static void a_name_is_asked_again_as_its_ttl_ends(void **state) {
    (void)state;
    apply(PROXY ENTRY("a", "DNS", "{address: x.example}"));
    find_at("x.example", 1, 1, 100);
    unsigned published = drive.published;
    pass(90 * NS_PER_S - NS_PER_MS);
    assert_int_equal(drive.asked_total, 1);
    pass(11 * NS_PER_S);
    assert_int_equal(drive.asked_total, 2);
    find_at("x.example", 1, 1, 0);                // a TTL of 0 counts as a second
    assert_int_equal(drive.published, published); // nothing has changed
    pass(NS_PER_S - 2 * NS_PER_MS);
    assert_int_equal(drive.asked_total, 2);
    pass(3 * NS_PER_MS);
    assert_int_equal(drive.asked_total, 3);
    find_at("x.example", 2, 1, UINT32_MAX); // what always holds is never asked again
    assert_int_equal(drive.published, published + 1);
    pass(7200 * NS_PER_S);
    assert_int_equal(drive.asked_total, 3);
}

static void the_longest_ttl_is_an_hour(void **state) {
    (void)state;
    apply(PROXY ENTRY("a", "DNS", "{address: x.example}"));
    find_at("x.example", 1, 1, 1000000);
    pass(3601 * NS_PER_S);
    assert_int_equal(drive.asked_total, 2);
}

static void a_good_answer_outlives_every_failure(void **state) {
    (void)state;
    static const enum dns_outcome outcomes[] = {DNS_NO_NAME, DNS_NO_RECORD, DNS_FAILED, DNS_TIMEOUT};
    apply(PROXY ENTRY("a", "DNS", "{address: x.example}"));
    find_at("x.example", 1, 2, 10);
    unsigned published = drive.published;
    for (size_t i = 0; i < 4; i++) {
        pass(40 * NS_PER_S);
        fail_with("x.example", outcomes[i]);
    }
    assert_int_equal(drive.published, published);
    assert_int_equal(drive.sets[0]->count, 2);
    struct dns_metrics metrics;
    resolver_metrics(drive.resolver, &metrics);
    assert_int_equal(metrics.names[DNS_NAME_STALE], 1);
    assert_int_equal(metrics.stale_age / NS_PER_S, 160);
    assert_int_equal(metrics.lookups[DNS_TIMEOUT], 1);
    struct resolved_name_state name;
    assert_int_equal(resolver_names(drive.resolver, drive.snapshot->services[0], &name, 1), 1);
    assert_int_equal(name.failures, 4);
    assert_int_equal(name.outcome, DNS_TIMEOUT);
    assert_int_equal(name.records, 2);
}

static void failures_are_asked_after_less_and_less_often(void **state) {
    (void)state;
    apply(PROXY ENTRY("a", "DNS", "{address: x.example}"));
    static const unsigned waits_s[] = {1, 2, 4, 8, 16, 30, 30, 30};
    for (size_t i = 0; i < sizeof waits_s / sizeof waits_s[0]; i++) {
        unsigned before = drive.asked_total;
        fail_with("x.example", DNS_FAILED);
        pass(waits_s[i] * (NS_PER_S * 9 / 10) - 2 * NS_PER_MS);
        assert_int_equal(drive.asked_total, before);
        pass(waits_s[i] * NS_PER_S / 10 + 4 * NS_PER_MS);
        assert_int_equal(drive.asked_total, before + 1);
    }
}

static void srv_records_give_ports_weights_and_priorities(void **state) {
    (void)state;
    const struct dns_record records[] = {
        {.type = DNS_TYPE_SRV, .priority = 1, .weight = 0, .port = 81, .target = BYTES("m.example")},
        {.type = DNS_TYPE_SRV, .priority = 1, .weight = 7, .port = 82, .target = BYTES("n.example")},
        {.type = DNS_TYPE_SRV, .priority = 2, .weight = 1, .port = 83, .target = BYTES("o.example")},
    };
    apply(PROXY ENTRY("a", "SRV", "{address: _http._tcp.x.example}"));
    find_srv("_http._tcp.x.example", records, 3);
    assert_int_equal(drive.sets[0]->error, ERROR_CANCELLED);
    find_at("o.example.", 3, 1, 60);
    find_at("m.example.", 1, 1, 60);
    find_at("n.example.", 2, 1, 60);
    assert_int_equal(drive.sets[0]->count, 3);
    assert_string_equal(endpoint(0, 2), "10.0.0.3:83");
    assert_int_equal(drive.sets[0]->endpoints[0].traits->priority, 1);
    assert_int_equal(drive.sets[0]->endpoints[2].traits->priority, 2);
    assert_string_equal(endpoint(0, 0), "10.0.0.1:81");
    assert_int_equal(drive.sets[0]->endpoints[0].weight, 1);
    assert_string_equal(endpoint(0, 1), "10.0.0.2:82");
    assert_int_equal(drive.sets[0]->endpoints[1].weight, 7);
    struct resolved_name_state names[8];
    assert_int_equal(resolver_names(drive.resolver, drive.snapshot->services[0], names, 8), 4);
}

static void a_service_that_its_records_deny_has_no_endpoint(void **state) {
    (void)state;
    const struct dns_record root = {.type = DNS_TYPE_SRV, .target = BYTES_NONE};
    apply(PROXY ENTRY("a", "SRV", "{address: _http._tcp.x.example}"));
    find_srv("_http._tcp.x.example", &root, 1);
    assert_int_equal(drive.sets[0]->error, ERROR_DNS_ERROR);
}

static void targets_come_and_go_with_their_records(void **state) {
    (void)state;
    struct dns_record record = {.type = DNS_TYPE_SRV, .port = 81, .target = BYTES("m.example")};
    apply(PROXY ENTRY("a", "SRV", "{address: _http._tcp.x.example}"));
    find_srv("_http._tcp.x.example", &record, 1);
    find_at("m.example.", 1, 1, 3600);
    pass(60 * NS_PER_S);
    record.port = 82;
    find_srv("_http._tcp.x.example", &record, 1);
    assert_int_equal(drive.asked_total, 3); // the target is known
    assert_string_equal(endpoint(0, 0), "10.0.0.1:82");
    pass(60 * NS_PER_S);
    record.target = BYTES("n.example");
    find_srv("_http._tcp.x.example", &record, 1);
    pass(30 * NS_PER_S); // the new one's answer is still to come
    assert_non_null(find_asked("n.example."));
    assert_string_equal(endpoint(0, 0), "10.0.0.1:82"); // nobody waits for it
    find_at("n.example.", 2, 1, 3600);
    assert_int_equal(drive.sets[0]->count, 1);
    assert_string_equal(endpoint(0, 0), "10.0.0.2:82");
    pass(7200 * NS_PER_S);
    assert_non_null(find_asked("n.example."));
    assert_null(find_asked("m.example."));
}

static void find_target(const char *target) {
    const struct dns_record record = {.type = DNS_TYPE_SRV, .port = 81, .target = bytes_from_text(target)};
    find_srv("_http._tcp.x.example", &record, 1);
}

static enum dns_name_state state_of(const char *text) {
    struct resolved_name_state names[8];
    uint32_t count = resolver_names(drive.resolver, drive.snapshot->services[0], names, 8);
    for (uint32_t i = 0; i < count; i++)
        if (bytes_equal(names[i].name, bytes_from_text(text)))
            return names[i].state;
    fail_msg("no name %s", text);
    return DNS_NAME_WAITING;
}

static void targets_without_an_address_never_replace_those_that_have_one(void **state) {
    (void)state;
    apply(PROXY ENTRY("a", "SRV", "{address: _http._tcp.x.example}"));
    find_target("m.example");
    find_at("m.example.", 1, 1, 3600);
    pass(60 * NS_PER_S);
    find_target("typo.example");
    unsigned published = drive.published;
    fail_with("typo.example.", DNS_NO_NAME);
    assert_int_equal(drive.published, published);
    assert_string_equal(endpoint(0, 0), "10.0.0.1:81");
    assert_int_equal(state_of("_http._tcp.x.example"), DNS_NAME_STALE);
    assert_int_equal(state_of("typo.example."), DNS_NAME_FAILED);
    struct dns_metrics metrics;
    resolver_metrics(drive.resolver, &metrics);
    assert_in_range(metrics.stale_age / NS_PER_S, 50, 60);
    apply(PROXY ENTRY("a", "SRV", "{address: _http._tcp.x.example}")); // new documents change nothing of it
    assert_string_equal(endpoint(0, 0), "10.0.0.1:81");
    pass(60 * NS_PER_S);
    find_target("other.example"); // another mistake
    fail_with("other.example.", DNS_TIMEOUT);
    assert_string_equal(endpoint(0, 0), "10.0.0.1:81");
    assert_null(find_asked("typo.example."));
    pass(60 * NS_PER_S);
    find_target("m.example"); // taken back
    assert_int_equal(state_of("_http._tcp.x.example"), DNS_NAME_GOOD);
    assert_null(find_asked("other.example."));
}

static void records_that_deny_a_service_count_at_once(void **state) {
    (void)state;
    apply(PROXY ENTRY("a", "SRV", "{address: _http._tcp.x.example}"));
    find_target("m.example");
    find_at("m.example.", 1, 1, 3600);
    pass(60 * NS_PER_S);
    find_target("");
    assert_int_equal(drive.sets[0]->count, 0);
    assert_int_equal(drive.sets[0]->error, ERROR_DNS_ERROR);
}

static void more_records_than_are_kept_are_no_change_each_time(void **state) {
    (void)state;
    enum { RECORDS = 300 };
    static struct dns_record records[RECORDS];
    for (unsigned i = 0; i < RECORDS; i++)
        records[i] = (struct dns_record){.type = DNS_TYPE_SRV, .port = (uint16_t)(1000 + i), .target = BYTES("m.example")};
    apply(PROXY ENTRY("a", "SRV", "{address: _http._tcp.x.example}"));
    find_srv("_http._tcp.x.example", records, RECORDS);
    find_at("m.example.", 1, 1, 3600);
    assert_int_equal(drive.sets[0]->count, 256);
    const struct resolved_service *service = &drive.resolver->services[0];
    const struct dns_record *kept = service->names[0]->answer.records;
    pass(60 * NS_PER_S);
    find_srv("_http._tcp.x.example", records, RECORDS);
    assert_ptr_equal(service->names[0]->answer.records, kept);
}

static void new_documents_keep_answers_and_drop_what_nobody_uses(void **state) {
    (void)state;
    apply(PROXY ENTRY("a", "DNS", "{address: x.example}") ENTRY("b", "DNS", "{address: y.example}"));
    find_at("x.example", 1, 1, 60);
    apply(PROXY ENTRY("a", "DNS", "{address: 'x.example:81'}"));
    assert_int_equal(drive.asked_total, 2);
    assert_int_equal(drive.cancelled, 1); // y.example
    assert_string_equal(endpoint(0, 0), "10.0.0.1:81");
    apply(PROXY ENTRY("a", "Static", "{address: '10.0.0.5:80'}"));
    pass(3600 * NS_PER_S);
    assert_int_equal(drive.asked_total, 2);
}

// Whose turn it is, lookup_queue_test.c says.
static void no_more_than_some_are_asked_at_a_time(void **state) {
    (void)state;
    char documents[16384];
    int length = snprintf(documents, sizeof documents, "%s",
                          PROXY "apiVersion: outrigger.dev/v1alpha1\nkind: ServiceEntry\nmetadata: {name: a}\nspec:\n  hosts: [a]\n"
                                "  ports: [{name: http, port: 80}]\n  tls: {mode: None}\n  resolution: DNS\n  endpoints:\n");
    for (unsigned i = 0; i < 100; i++)
        length += snprintf(documents + length, sizeof documents - (size_t)length, "  - {address: n%u.z%u.example}\n", i, i % 50);
    apply(documents);
    assert_int_equal(drive.asked_total, 32);
    for (unsigned i = 0; i < 100; i++) {
        char name[32];
        snprintf(name, sizeof name, "n%u.z%u.example", i, i % 50);
        find_at(name, i, 1, UINT32_MAX);
    }
    assert_int_equal(drive.sets[0]->count, 100);
}

static void names_of_a_zone_that_never_answers_hold_up_no_other(void **state) {
    (void)state;
    char documents[16384];
    int length = snprintf(documents, sizeof documents, "%s",
                          PROXY "apiVersion: outrigger.dev/v1alpha1\nkind: ServiceEntry\nmetadata: {name: a}\nspec:\n  hosts: [a]\n"
                                "  ports: [{name: http, port: 80}]\n  tls: {mode: None}\n  resolution: DNS\n  endpoints:\n");
    for (unsigned i = 0; i < 200; i++)
        length += snprintf(documents + length, sizeof documents - (size_t)length, "  - {address: n%u.dead.example}\n", i);
    snprintf(documents + length, sizeof documents - (size_t)length, "---\n%s", ENTRY("b", "DNS", "{address: 'x.good.example:80'}"));
    apply(documents);
    find_at("x.good.example", 1, 1, 60);
    assert_string_equal(endpoint(1, 0), "10.0.0.1:80");
    for (unsigned i = 0; i < 200 && find_asked("x.good.example") == NULL; i++) { // as its TTL ends all places that the dead zone may have are taken
        pass(NS_PER_S);
        char name[32];
        snprintf(name, sizeof name, "n%u.dead.example", i);
        if (find_asked(name) != NULL)
            fail_with(name, DNS_TIMEOUT);
    }
    find_at("x.good.example", 2, 1, 60);
    assert_string_equal(endpoint(1, 0), "10.0.0.2:80");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_name_becomes_as_many_endpoints_as_it_has_addresses, begin, end),
        cmocka_unit_test_setup_teardown(before_the_first_answer_there_are_none_and_that_is_said, begin, end),
        cmocka_unit_test_setup_teardown(a_name_is_asked_again_as_its_ttl_ends, begin, end),
        cmocka_unit_test_setup_teardown(the_longest_ttl_is_an_hour, begin, end),
        cmocka_unit_test_setup_teardown(a_good_answer_outlives_every_failure, begin, end),
        cmocka_unit_test_setup_teardown(failures_are_asked_after_less_and_less_often, begin, end),
        cmocka_unit_test_setup_teardown(srv_records_give_ports_weights_and_priorities, begin, end),
        cmocka_unit_test_setup_teardown(a_service_that_its_records_deny_has_no_endpoint, begin, end),
        cmocka_unit_test_setup_teardown(targets_come_and_go_with_their_records, begin, end),
        cmocka_unit_test_setup_teardown(targets_without_an_address_never_replace_those_that_have_one, begin, end),
        cmocka_unit_test_setup_teardown(records_that_deny_a_service_count_at_once, begin, end),
        cmocka_unit_test_setup_teardown(more_records_than_are_kept_are_no_change_each_time, begin, end),
        cmocka_unit_test_setup_teardown(new_documents_keep_answers_and_drop_what_nobody_uses, begin, end),
        cmocka_unit_test_setup_teardown(no_more_than_some_are_asked_at_a_time, begin, end),
        cmocka_unit_test_setup_teardown(names_of_a_zone_that_never_answers_hold_up_no_other, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
