// See dns.h. One look-up asks for both families of one name at a time, then for the next name that it may stand for. Answers are recorded as they come; a task of the look-up decides.
#include "net/dns.h"

#include "base/check.h"
#include "base/log.h"
#include "net/dns_hosts.h"
#include "net/dns_private.h"
#include "net/dns_search.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// When the addresses of one family are there, those of the other are waited for no longer: some servers never answer for AAAA.
#define PATIENCE_NS (NS_PER_S / 2)

// What /etc/hosts says holds for that long.
#define HOSTS_TTL_S 5

#define QUESTIONS_MAX 2

struct dns {
    struct loop *loop;
    char *servers; // NULL: of resolv_conf
    char *resolv_conf;
    char *hosts_path;
    struct dns_hosts hosts;
    char *servers_read;          // those of resolv_conf when it could last be read; NULL: it never could, or they are configured
    struct dns_channel *channel; // for new look-ups; NULL: none yet
    struct list channels;        // that one, and those that still wait for answers
    struct list lookups;
    struct dns_search search;
    uint64_t mark;      // of resolv_conf, when it was last read
    bool is_unreadable; // resolv_conf, and that was told
    bool is_doubted;    // something failed on `channel`
    struct task release;
};

struct question {
    struct dns_lookup *lookup; // NULL: nobody waits for the answer any more
    enum dns_type type;
    uint32_t number;
};

struct dns_lookup {
    struct list link;
    struct dns *dns;
    enum dns_kind kind;
    void (*done)(void *user, const struct dns_result *result);
    void *user;
    struct pool pool;
    struct bytes names[DNS_SEARCH_DOMAINS_MAX + 1];
    uint32_t name_count;
    uint32_t next_name;
    struct question *asked[QUESTIONS_MAX]; // without an answer so far
    enum dns_outcome outcomes[QUESTIONS_MAX];
    uint32_t asked_count;
    uint32_t waits_for;     // of them
    enum dns_outcome worst; // of the names before
    struct dns_record *records;
    uint32_t count;
    uint32_t capacity;
    uint32_t ttl_s;
    struct timer timeout;
    struct timer patience;
    bool out_of_time;
    bool out_of_patience;
    struct task step;
    struct task release;
};

const char *dns_outcome_name(enum dns_outcome outcome) {
    static const char *const names[] = {
#define X(name, text) text,
        DNS_OUTCOME_LIST(X)
#undef X
    };
    CHECK((size_t)outcome < DNS_OUTCOME_COUNT);
    return names[outcome];
}

// --- channels ---

static uint64_t mark_of(const char *path) {
    struct stat status;
    if (stat(path, &status) != 0)
        return 0;
    return (uint64_t)status.st_mtim.tv_sec * NS_PER_S + (uint64_t)status.st_mtim.tv_nsec + (uint64_t)status.st_ino * 31 + (uint64_t)status.st_size;
}

// False: it cannot be read, and what it said before stays in force. One that never was there is no mistake.
static bool read_resolv_conf(struct dns *dns, uint64_t mark) {
    if (dns_search_read(&dns->search, dns->resolv_conf)) {
        dns->mark = mark;
        dns->is_unreadable = false;
        return true;
    }
    if (dns->is_unreadable || (errno == ENOENT && dns->mark == 0))
        return false;
    log_event(LOG_ERROR, "dns_file_unreadable", "path=\"%s\" reason=\"%s\" in_force=\"%s\"", dns->resolv_conf, strerror(errno),
              dns->mark != 0 ? "what it said before" : "the server of this machine");
    dns->is_unreadable = true;
    return false;
}

// c-ares keeps its sockets and what it thinks of its servers for as long as it is asked: after a failure it begins anew. From a file that it cannot read it would take the server of
// this machine without a word: it gets those that were read before.
static struct dns_channel *channel_for(struct dns *dns) {
    uint64_t mark = mark_of(dns->resolv_conf);
    if (dns->channel != NULL && !dns->is_doubted && mark == dns->mark)
        return dns->channel;
    bool was_read = read_resolv_conf(dns, mark);
    if (dns->channel != NULL && !dns->is_doubted && !was_read)
        return dns->channel;
    if (dns->channel != NULL)
        dns_channel_retire(dns->channel);
    dns->is_doubted = false;
    dns->channel = dns_channel_create(dns->loop, dns->servers == NULL && !was_read ? dns->servers_read : dns->servers, dns->resolv_conf);
    if (dns->channel == NULL)
        return NULL;
    list_push_back(&dns->channels, &dns->channel->link);
    if (dns->servers == NULL && was_read) {
        free(dns->servers_read);
        dns->servers_read = dns_channel_servers(dns->channel);
    }
    return dns->channel;
}

// --- what needs no server ---

static void add_record(struct dns_lookup *lookup, const struct dns_record *record) {
    if (lookup->count == lookup->capacity) {
        uint32_t capacity = lookup->capacity == 0 ? 8 : 2 * lookup->capacity; // bounded by DNS_RECORDS_MAX of each answer
        struct dns_record *larger = pool_alloc(&lookup->pool, capacity * sizeof *larger);
        if (lookup->count > 0)
            memcpy(larger, lookup->records, lookup->count * sizeof *larger);
        lookup->records = larger;
        lookup->capacity = capacity;
    }
    lookup->records[lookup->count++] = *record;
}

static void add_address(struct dns_lookup *lookup, const union address *address) {
    struct dns_record record = {.type = DNS_TYPE_A};
    if (address->any.sa_family == AF_INET) {
        record.v4 = address->v4.sin_addr;
    } else {
        record.type = DNS_TYPE_AAAA;
        record.v6 = address->v6.sin6_addr;
    }
    add_record(lookup, &record);
}

// RFC 6761 section 6.3.
static bool is_localhost(struct bytes name) {
    static const struct bytes localhost = {"localhost", 9};
    if (name.len < localhost.len || !bytes_equal_nocase(bytes_from(name.at + name.len - localhost.len, localhost.len), localhost))
        return false;
    return name.len == localhost.len || name.at[name.len - localhost.len - 1] == '.';
}

// True: the answer is there.
static bool answer_here(struct dns_lookup *lookup, struct bytes name) {
    union address addresses[DNS_HOSTS_ADDRESSES_MAX];
    if (lookup->kind != DNS_ADDRESSES)
        return false;
    if (address_read(name, &addresses[0])) {
        add_address(lookup, &addresses[0]);
        lookup->ttl_s = UINT32_MAX;
        return true;
    }
    if (name.len > 0 && name.at[name.len - 1] == '.')
        name.len--;
    uint32_t count = dns_hosts_find(&lookup->dns->hosts, lookup->dns->hosts_path, name, addresses);
    if (count == 0 && is_localhost(name)) {
        CHECK(address_read(BYTES("127.0.0.1"), &addresses[0]) && address_read(BYTES("::1"), &addresses[1]));
        count = 2;
    }
    for (uint32_t i = 0; i < count; i++)
        add_address(lookup, &addresses[i]);
    if (count > 0)
        lookup->ttl_s = HOSTS_TTL_S;
    return count > 0;
}

// --- questions ---

static enum dns_outcome outcome_of(int status) {
    switch (status) {
    case ARES_SUCCESS:
        return DNS_FOUND;
    case ARES_ENODATA:
        return DNS_NO_RECORD;
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
        return DNS_NO_NAME;
    case ARES_ETIMEOUT:
        return DNS_TIMEOUT;
    default:
        return DNS_FAILED; // c-ares 1.18 says ECONNREFUSED for SERVFAIL and REFUSED of the last server too
    }
}

static bool is_failure(enum dns_outcome outcome) {
    return outcome >= DNS_FAILED;
}

static enum dns_outcome read_answer(struct dns_lookup *lookup, enum dns_type type, const unsigned char *message, int length) {
    struct dns_answer answer;
    if (length < 0 || dns_answer_read(message, (size_t)length, type, &lookup->pool, &answer) != OK)
        return DNS_FAILED;
    for (uint32_t i = 0; i < answer.count; i++)
        add_record(lookup, &answer.records[i]);
    if (answer.count > 0 && answer.ttl_s < lookup->ttl_s)
        lookup->ttl_s = answer.ttl_s;
    return answer.count > 0 ? DNS_FOUND : DNS_NO_RECORD;
}

static void on_answer(void *user, int status, const unsigned char *message, int length) {
    struct question *question = user;
    struct dns_lookup *lookup = question->lookup;
    if (lookup != NULL) {
        enum dns_outcome outcome = outcome_of(status);
        if (outcome == DNS_FOUND)
            outcome = read_answer(lookup, question->type, message, length);
        lookup->asked[question->number] = NULL;
        lookup->outcomes[question->number] = outcome;
        lookup->waits_for--;
        loop_wake(lookup->dns->loop, &lookup->step);
    }
    free(question);
}

static void ask(struct dns_lookup *lookup, struct dns_channel *channel) {
    static const enum dns_type types[][QUESTIONS_MAX] = {[DNS_ADDRESSES] = {DNS_TYPE_A, DNS_TYPE_AAAA}, [DNS_SERVICES] = {DNS_TYPE_SRV}};
    struct bytes name = lookup->names[lookup->next_name++];
    lookup->asked_count = lookup->waits_for = lookup->kind == DNS_ADDRESSES ? 2 : 1;
    for (uint32_t i = 0; i < lookup->asked_count; i++) {
        struct question *question = alloc_zeroed_or_abort(1, sizeof *question);
        *question = (struct question){.lookup = lookup, .type = types[lookup->kind][i], .number = i};
        lookup->asked[i] = question;
        lookup->outcomes[i] = DNS_TIMEOUT;
        dns_channel_ask(channel, name.at, question->type, on_answer, question);
    }
}

// Of one name: by the family that says more. That a name has no AAAA says nothing while its A is not known.
static enum dns_outcome outcome_of_name(const struct dns_lookup *lookup) {
    enum dns_outcome outcome = DNS_NO_NAME;
    if (lookup->count > 0)
        return DNS_FOUND;
    for (uint32_t i = 0; i < lookup->asked_count; i++)
        if (lookup->outcomes[i] > outcome)
            outcome = lookup->outcomes[i];
    return outcome;
}

// --- the result ---

static int compare(const void *a, const void *b) {
    const struct dns_record *left = a;
    const struct dns_record *right = b;
    if (left->type != right->type)
        return left->type < right->type ? -1 : 1;
    if (left->type == DNS_TYPE_A)
        return memcmp(&left->v4, &right->v4, sizeof left->v4);
    if (left->type == DNS_TYPE_AAAA)
        return memcmp(&left->v6, &right->v6, sizeof left->v6);
    if (left->priority != right->priority)
        return left->priority < right->priority ? -1 : 1;
    if (left->port != right->port)
        return left->port < right->port ? -1 : 1;
    size_t shorter = left->target.len < right->target.len ? left->target.len : right->target.len;
    int order = memcmp(left->target.at, right->target.at, shorter);
    return order != 0 ? order : left->target.len < right->target.len ? -1 : left->target.len > right->target.len;
}

// Whether this machine has a way there at all: connecting a datagram socket sends nothing. (The same question is behind getaddrinfo's order and AI_ADDRCONFIG.)
static bool has_route(const struct dns_record *record) {
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(9), .sin6_addr = record->v6};
    int probe = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool has = probe >= 0 && connect(probe, (const struct sockaddr *)&address, sizeof address) == 0;
    if (probe >= 0)
        close(probe);
    return has;
}

// In order and once each. Beside IPv4 addresses those of IPv6 that cannot be reached from here are left out: most machines have only the one.
static void tidy(struct dns_lookup *lookup) {
    if (lookup->count == 0)
        return;
    qsort(lookup->records, lookup->count, sizeof lookup->records[0], compare);
    bool has_v4 = lookup->records[0].type == DNS_TYPE_A;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < lookup->count; i++) {
        const struct dns_record *record = &lookup->records[i];
        bool is_twin = kept > 0 && compare(record, &lookup->records[kept - 1]) == 0;
        if (!is_twin && (record->type != DNS_TYPE_AAAA || !has_v4 || has_route(record)))
            lookup->records[kept++] = *record;
    }
    lookup->count = kept;
}

static void on_release(struct task *task) {
    struct dns_lookup *lookup = CONTAINER_OF(task, struct dns_lookup, release);
    pool_dispose(&lookup->pool);
    free(lookup);
}

// Nothing reaches it any more.
static void let_go(struct dns_lookup *lookup) {
    for (uint32_t i = 0; i < QUESTIONS_MAX; i++) {
        if (lookup->asked[i] != NULL)
            lookup->asked[i]->lookup = NULL;
        lookup->asked[i] = NULL;
    }
    loop_timer_stop(lookup->dns->loop, &lookup->timeout);
    loop_timer_stop(lookup->dns->loop, &lookup->patience);
    task_cancel(&lookup->step);
    list_remove(&lookup->link);
    loop_defer(lookup->dns->loop, &lookup->release);
}

static void finish(struct dns_lookup *lookup, enum dns_outcome outcome) {
    tidy(lookup);
    struct dns_result result = {.outcome = outcome, .records = lookup->records, .count = lookup->count, .ttl_s = lookup->ttl_s};
    if (is_failure(outcome))
        lookup->dns->is_doubted = true;
    let_go(lookup);
    lookup->done(lookup->user, &result);
}

static void step(struct task *task) {
    struct dns_lookup *lookup = CONTAINER_OF(task, struct dns_lookup, step);
    if (lookup->waits_for > 0 && lookup->count > 0 && !lookup->out_of_patience && !lookup->out_of_time) {
        if (!timer_is_running(&lookup->patience))
            loop_timer_start(lookup->dns->loop, &lookup->patience, PATIENCE_NS);
        return;
    }
    if (lookup->count > 0) {
        finish(lookup, DNS_FOUND);
        return;
    }
    if (lookup->out_of_time) {
        finish(lookup, DNS_TIMEOUT);
        return;
    }
    if (lookup->waits_for > 0)
        return;
    enum dns_outcome outcome = lookup->asked_count > 0 ? outcome_of_name(lookup) : DNS_NO_NAME;
    if (outcome > lookup->worst)
        lookup->worst = outcome;
    // A domain whose server is broken does not hide the others (as in glibc); where nobody answers at all, the next name would only take longer.
    bool goes_on = outcome != DNS_TIMEOUT && lookup->next_name < lookup->name_count;
    struct dns_channel *channel = goes_on ? channel_for(lookup->dns) : NULL;
    if (channel != NULL)
        ask(lookup, channel);
    else
        finish(lookup, goes_on ? DNS_FAILED : lookup->worst);
}

static void on_timeout(struct timer *timer) {
    struct dns_lookup *lookup = CONTAINER_OF(timer, struct dns_lookup, timeout);
    lookup->out_of_time = true;
    loop_wake(lookup->dns->loop, &lookup->step);
}

static void on_patience(struct timer *timer) {
    struct dns_lookup *lookup = CONTAINER_OF(timer, struct dns_lookup, patience);
    lookup->out_of_patience = true;
    loop_wake(lookup->dns->loop, &lookup->step);
}

struct dns_lookup *dns_lookup_start(struct dns *dns, struct bytes name, enum dns_kind kind, nanoseconds timeout,
                                    void (*done)(void *user, const struct dns_result *result), void *user) {
    struct dns_lookup *lookup = alloc_zeroed_or_abort(1, sizeof *lookup);
    lookup->dns = dns;
    lookup->kind = kind;
    lookup->done = done;
    lookup->user = user;
    lookup->ttl_s = UINT32_MAX;
    lookup->worst = DNS_NO_NAME;
    list_init(&lookup->link);
    pool_init(&lookup->pool, &dns->loop->pools);
    timer_init(&lookup->timeout, on_timeout);
    timer_init(&lookup->patience, on_patience);
    task_init(&lookup->step, step);
    task_init(&lookup->release, on_release);
    list_push_back(&dns->lookups, &lookup->link);
    loop_timer_start(dns->loop, &lookup->timeout, timeout);
    bool is_here = answer_here(lookup, name);
    if (!is_here && channel_for(dns) != NULL)
        lookup->name_count = dns_search_names(&dns->search, name, &lookup->pool, lookup->names);
    else if (!is_here)
        lookup->worst = DNS_FAILED;
    loop_wake(dns->loop, &lookup->step);
    return lookup;
}

void dns_lookup_cancel(struct dns_lookup *lookup) {
    let_go(lookup);
}

// --- life ---

static void release_dns(struct task *task) {
    struct dns *dns = CONTAINER_OF(task, struct dns, release);
    dns->loop->handles--;
    while (!list_is_empty(&dns->channels))
        dns_channel_destroy(LIST_ENTRY(list_first(&dns->channels), struct dns_channel, link));
    free(dns->servers);
    free(dns->resolv_conf);
    free(dns->hosts_path);
    free(dns->servers_read);
    dns_hosts_dispose(&dns->hosts);
    free(dns);
}

static char *copy_or(const char *text, const char *fallback) {
    const char *chosen = text != NULL ? text : fallback;
    return chosen == NULL ? NULL : copy_text_or_abort(bytes_from_text(chosen));
}

struct dns *dns_create(struct loop *loop, const struct dns_options *options) {
    struct dns *dns = alloc_zeroed_or_abort(1, sizeof *dns);
    dns->loop = loop;
    dns->servers = copy_or(options->servers, NULL);
    dns->resolv_conf = copy_or(options->resolv_conf, "/etc/resolv.conf");
    dns->hosts_path = copy_or(options->hosts, "/etc/hosts");
    dns_search_parse(&dns->search, BYTES_NONE);
    list_init(&dns->channels);
    list_init(&dns->lookups);
    task_init(&dns->release, release_dns);
    loop->handles++;
    return dns;
}

void dns_close(struct dns *dns) {
    while (!list_is_empty(&dns->lookups))
        let_go(LIST_ENTRY(list_first(&dns->lookups), struct dns_lookup, link));
    loop_defer(dns->loop, &dns->release);
}
