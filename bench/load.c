// The load program of the benchmarks, over HTTP/1.1, plain or TLS: see load_run.h for its modes. Options say what to send and for how long, the
// result is one line of JSON. bench/run.py and the soak start it; h2load does the load over HTTP/2 without TLS.
#include "bench/load_run.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>

struct load_options {
    struct load_plan plan;
    struct cpu_watch watch;
    const char *port, *path, *host, *method;
    const char *mode, *watched;
    const char *ca, *certificate, *key, *server_name, *alpn;
    uint64_t body_bytes;
    bool resume;
};

static void usage(const char *program) {
    fprintf(stderr,
            "usage: %s --port PORT [--mode closed|open|fresh|idle] [--connections N] [--rate PER_SECOND] [--requests N] [--seconds S]\n"
            "  [--warmup S] [--settle S] [--path /1k] [--host NAME] [--method GET] [--body BYTES] [--expect 200] [--watch PID,PID]\n"
            "  [--ca FILE [--cert FILE --key FILE] [--sni NAME] [--alpn NAME] [--resume]]\n",
            program);
    exit(2);
}

static void die(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

enum field_kind { FIELD_TEXT, FIELD_COUNT, FIELD_REAL, FIELD_SECONDS, FIELD_STATUS, FIELD_FLAG };

struct field {
    const char *name;
    enum field_kind kind;
    void *value; // of the kind's type, in `options`
};

static struct load_options options = {
    .path = "/1k",
    .host = "backend",
    .method = "GET",
    .mode = "closed",
    .watched = "",
    .plan = {
        .connections = 64, .requests = UINT64_MAX, .duration_ns = 2000000000, .warmup_ns = 500000000, .opening_at_once = 64, .status_expected = 200}};

static const struct field fields[] = {{"port", FIELD_TEXT, &options.port},
                                      {"mode", FIELD_TEXT, &options.mode},
                                      {"connections", FIELD_COUNT, &options.plan.connections},
                                      {"rate", FIELD_REAL, &options.plan.rate_per_second},
                                      {"requests", FIELD_COUNT, &options.plan.requests},
                                      {"seconds", FIELD_SECONDS, &options.plan.duration_ns},
                                      {"warmup", FIELD_SECONDS, &options.plan.warmup_ns},
                                      {"settle", FIELD_SECONDS, &options.plan.settle_ns},
                                      {"path", FIELD_TEXT, &options.path},
                                      {"host", FIELD_TEXT, &options.host},
                                      {"method", FIELD_TEXT, &options.method},
                                      {"body", FIELD_COUNT, &options.body_bytes},
                                      {"expect", FIELD_STATUS, &options.plan.status_expected},
                                      {"watch", FIELD_TEXT, &options.watched},
                                      {"ca", FIELD_TEXT, &options.ca},
                                      {"cert", FIELD_TEXT, &options.certificate},
                                      {"key", FIELD_TEXT, &options.key},
                                      {"sni", FIELD_TEXT, &options.server_name},
                                      {"alpn", FIELD_TEXT, &options.alpn},
                                      {"resume", FIELD_FLAG, &options.resume}};

static const struct field *field_find(const char *word) {
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (strncmp(word, "--", 2) == 0 && strcmp(word + 2, fields[i].name) == 0)
            return &fields[i];
    }
    return NULL;
}

static void field_set(const struct field *field, const char *text) {
    const char **text_value = field->value;
    uint64_t *count_value = field->value;
    double *real_value = field->value;
    int *status_value = field->value;
    switch (field->kind) {
    case FIELD_TEXT:
        *text_value = text;
        break;
    case FIELD_COUNT:
        *count_value = strtoull(text, NULL, 10);
        break;
    case FIELD_REAL:
        *real_value = strtod(text, NULL);
        break;
    case FIELD_SECONDS:
        *count_value = (uint64_t)(strtod(text, NULL) * 1e9);
        break;
    case FIELD_STATUS:
        *status_value = atoi(text);
        break;
    case FIELD_FLAG:
        break;
    }
}

static bool mode_set(const char *name) {
    static const char *const names[] = {"closed", "open", "fresh", "idle"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            options.plan.mode = (enum load_mode)i;
            return true;
        }
    }
    return false;
}

static void options_read(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const struct field *field = field_find(argv[i]);
        if (field == NULL || (field->kind != FIELD_FLAG && i + 1 == argc))
            usage(argv[0]);
        if (field->kind == FIELD_FLAG)
            options.resume = true;
        else
            field_set(field, argv[++i]);
    }
    const struct load_plan *plan = &options.plan;
    bool good = options.port != NULL && plan->connections > 0 && plan->requests > 0 && mode_set(options.mode) &&
                cpu_watch_init(&options.watch, options.watched) == 0;
    good = good && (plan->mode == LOAD_MODE_OPEN) == (plan->rate_per_second > 0) && (plan->mode != LOAD_MODE_IDLE || plan->requests < UINT64_MAX);
    if (!good || (options.certificate == NULL) != (options.key == NULL))
        usage(argv[0]);
}

static char *request_build(size_t *length) {
    char framing[64] = "";
    if (options.body_bytes > 0)
        snprintf(framing, sizeof framing, "Content-Length: %llu\r\n", (unsigned long long)options.body_bytes);
    char *head = NULL;
    int head_length = asprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench-load\r\nAccept: */*\r\n%s\r\n", options.method, options.path,
                               options.host, framing);
    if (head_length < 0)
        die("out of memory");
    char *request = realloc(head, (size_t)head_length + options.body_bytes + 1);
    if (request == NULL)
        die("out of memory");
    memset(request + head_length, 'x', options.body_bytes);
    *length = (size_t)head_length + options.body_bytes;
    request[*length] = '\0';
    return request;
}

// TLS 1.3 hands sessions over after the handshake. The last one is kept; returning 1 means that we own the reference.
static int session_keep(SSL *tls, SSL_SESSION *session) {
    struct load_target *target = SSL_CTX_get_app_data(SSL_get_SSL_CTX(tls));
    SSL_SESSION_free(target->session);
    target->session = session;
    return 1;
}

static SSL_CTX *tls_build(struct load_target *target) {
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    if (tls == NULL || SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) != 1 || SSL_CTX_load_verify_file(tls, options.ca) != 1)
        die("the trust bundle cannot be read");
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    if (options.certificate != NULL &&
        (SSL_CTX_use_certificate_chain_file(tls, options.certificate) != 1 || SSL_CTX_use_PrivateKey_file(tls, options.key, SSL_FILETYPE_PEM) != 1))
        die("the certificate or key cannot be read");
    if (options.alpn != NULL) {
        unsigned char offer[256];
        size_t length = strlen(options.alpn);
        if (length == 0 || length > 255)
            die("the protocol's name is too long");
        offer[0] = (unsigned char)length;
        memcpy(offer + 1, options.alpn, length);
        SSL_CTX_set_alpn_protos(tls, offer, (unsigned)length + 1);
    }
    SSL_CTX_set_app_data(tls, target);
    SSL_CTX_set_session_cache_mode(tls, options.resume ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL : SSL_SESS_CACHE_OFF);
    if (options.resume)
        SSL_CTX_sess_set_new_cb(tls, session_keep);
    return tls;
}

static double us(uint64_t ns) {
    return (double)ns / 1000;
}

static void result_print(const struct load_result *result, const struct cpu_watch *watch) {
    const struct histogram *latency = &result->latency;
    double seconds = (double)result->duration_ns / 1e9;
    printf("{\"requests\": %llu, \"errors\": %llu, \"resumed\": %llu, \"lost\": %llu, \"seconds\": %.4f, \"per_second\": %.1f, ",
           (unsigned long long)result->requests, (unsigned long long)result->errors, (unsigned long long)result->resumed,
           (unsigned long long)result->lost, seconds, seconds > 0 ? (double)result->requests / seconds : 0);
    if (result->first_error != NULL)
        printf("\"first_error\": \"%s\", ", result->first_error);
    printf("\"latency_us\": {\"mean\": %.2f, \"p50\": %.2f, \"p90\": %.2f, \"p99\": %.2f, \"p99.9\": %.2f, \"max\": %.2f}, \"cpu_us\": [",
           latency->count > 0 ? us(latency->sum / latency->count) : 0, us(histogram_quantile(latency, 500)), us(histogram_quantile(latency, 900)),
           us(histogram_quantile(latency, 990)), us(histogram_quantile(latency, 999)), us(latency->max));
    for (size_t i = 0; i < watch->count; i++)
        printf("%s%.1f", i > 0 ? ", " : "", us(watch->spent_ns[i]));
    printf("]}\n");
}

int main(int argc, char **argv) {
    static struct load_result result;
    options_read(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1UL); // the open loop's send times
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    struct load_target target = {.server_name = options.server_name, .resume = options.resume};
    target.address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)atoi(options.port))};
    char *request = request_build(&target.request_length);
    target.request = request;
    if (options.ca != NULL)
        target.tls = tls_build(&target);
    target.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (target.epoll_fd < 0)
        die("epoll_create1 failed");
    load_run(&options.plan, &target, &options.watch, &result);
    result_print(&result, &options.watch);
    SSL_SESSION_free(target.session);
    SSL_CTX_free(target.tls);
    free(request);
    return result.errors == 0 ? 0 : 1;
}
