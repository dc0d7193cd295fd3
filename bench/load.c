// The load program of the benchmarks, over HTTP/1.1, plain or TLS: see load_run.h for its modes. Options say what to send and for how long, the
// result is one line of JSON. bench/run.py and the soak start it; h2load does the load over HTTP/2 without TLS.
#include "bench/load_run.h"

#include <arpa/inet.h>
#include <getopt.h>
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
    const char *ca, *certificate, *key, *server_name, *alpn;
    size_t body_bytes;
    bool resume;
};

static void usage(const char *program) {
    fprintf(stderr,
            "usage: %s --port PORT [--mode closed|open|fresh|idle] [--connections N] [--rate PER_SECOND] [--requests N] [--seconds S]\n"
            "  [--warmup S] [--path /1k] [--host NAME] [--method GET] [--body BYTES] [--expect 200] [--watch PID,PID]\n"
            "  [--ca FILE [--cert FILE --key FILE] [--sni NAME] [--alpn NAME] [--resume]]\n",
            program);
    exit(2);
}

static void die(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static enum load_mode mode_parse(const char *name, const char *program) {
    static const char *const names[] = {"closed", "open", "fresh", "idle"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0)
            return (enum load_mode)i;
    }
    usage(program);
    return LOAD_MODE_CLOSED;
}

enum option_letter {
    OPTION_PORT = 256, OPTION_MODE, OPTION_CONNECTIONS, OPTION_RATE, OPTION_REQUESTS, OPTION_SECONDS, OPTION_WARMUP, OPTION_PATH, OPTION_HOST,
    OPTION_METHOD, OPTION_BODY, OPTION_EXPECT, OPTION_WATCH, OPTION_CA, OPTION_CERT, OPTION_KEY, OPTION_SNI, OPTION_ALPN, OPTION_RESUME
};

static const struct option option_table[] = {{"port", required_argument, NULL, OPTION_PORT},
                                             {"mode", required_argument, NULL, OPTION_MODE},
                                             {"connections", required_argument, NULL, OPTION_CONNECTIONS},
                                             {"rate", required_argument, NULL, OPTION_RATE},
                                             {"requests", required_argument, NULL, OPTION_REQUESTS},
                                             {"seconds", required_argument, NULL, OPTION_SECONDS},
                                             {"warmup", required_argument, NULL, OPTION_WARMUP},
                                             {"path", required_argument, NULL, OPTION_PATH},
                                             {"host", required_argument, NULL, OPTION_HOST},
                                             {"method", required_argument, NULL, OPTION_METHOD},
                                             {"body", required_argument, NULL, OPTION_BODY},
                                             {"expect", required_argument, NULL, OPTION_EXPECT},
                                             {"watch", required_argument, NULL, OPTION_WATCH},
                                             {"ca", required_argument, NULL, OPTION_CA},
                                             {"cert", required_argument, NULL, OPTION_CERT},
                                             {"key", required_argument, NULL, OPTION_KEY},
                                             {"sni", required_argument, NULL, OPTION_SNI},
                                             {"alpn", required_argument, NULL, OPTION_ALPN},
                                             {"resume", no_argument, NULL, OPTION_RESUME},
                                             {NULL, 0, NULL, 0}};

static uint64_t seconds_ns(const char *text) {
    return (uint64_t)(strtod(text, NULL) * 1e9);
}

static void option_set(struct load_options *options, int letter, const char *program) {
    struct load_plan *plan = &options->plan;
    switch (letter) {
    case OPTION_PORT: options->port = optarg; break;
    case OPTION_MODE: plan->mode = mode_parse(optarg, program); break;
    case OPTION_CONNECTIONS: plan->connections = strtoull(optarg, NULL, 10); break;
    case OPTION_RATE: plan->rate_per_second = strtod(optarg, NULL); break;
    case OPTION_REQUESTS: plan->requests = strtoull(optarg, NULL, 10); break;
    case OPTION_SECONDS: plan->duration_ns = seconds_ns(optarg); break;
    case OPTION_WARMUP: plan->warmup_ns = seconds_ns(optarg); break;
    case OPTION_PATH: options->path = optarg; break;
    case OPTION_HOST: options->host = optarg; break;
    case OPTION_METHOD: options->method = optarg; break;
    case OPTION_BODY: options->body_bytes = strtoull(optarg, NULL, 10); break;
    case OPTION_EXPECT: plan->status_expected = atoi(optarg); break;
    case OPTION_WATCH:
        if (cpu_watch_init(&options->watch, optarg) != 0)
            usage(program);
        break;
    case OPTION_CA: options->ca = optarg; break;
    case OPTION_CERT: options->certificate = optarg; break;
    case OPTION_KEY: options->key = optarg; break;
    case OPTION_SNI: options->server_name = optarg; break;
    case OPTION_ALPN: options->alpn = optarg; break;
    case OPTION_RESUME: options->resume = true; break;
    default: usage(program);
    }
}

static void options_read(struct load_options *options, int argc, char **argv) {
    *options = (struct load_options){.path = "/1k", .host = "backend", .method = "GET"};
    options->plan = (struct load_plan){.mode = LOAD_MODE_CLOSED,
                                       .connections = 64,
                                       .requests = UINT64_MAX,
                                       .duration_ns = 2000000000,
                                       .warmup_ns = 500000000,
                                       .opening_at_once = 64,
                                       .status_expected = 200};
    for (int letter; (letter = getopt_long(argc, argv, "", option_table, NULL)) != -1;)
        option_set(options, letter, argv[0]);
    const struct load_plan *plan = &options->plan;
    bool rate_fits = (plan->mode == LOAD_MODE_OPEN) == (plan->rate_per_second > 0);
    bool count_fits = plan->mode != LOAD_MODE_IDLE || plan->requests < UINT64_MAX;
    if (optind != argc || options->port == NULL || plan->connections == 0 || plan->requests == 0 || !rate_fits || !count_fits)
        usage(argv[0]);
}

static char *request_build(const struct load_options *options, size_t *length) {
    char framing[64] = "";
    if (options->body_bytes > 0)
        snprintf(framing, sizeof framing, "Content-Length: %zu\r\n", options->body_bytes);
    char *head = NULL;
    int head_length = asprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench-load\r\nAccept: */*\r\n%s\r\n", options->method,
                               options->path, options->host, framing);
    if (head_length < 0)
        die("out of memory");
    char *request = realloc(head, (size_t)head_length + options->body_bytes + 1);
    if (request == NULL)
        die("out of memory");
    memset(request + head_length, 'x', options->body_bytes);
    *length = (size_t)head_length + options->body_bytes;
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

static SSL_CTX *tls_build(const struct load_options *options, struct load_target *target) {
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    if (tls == NULL || SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) != 1 || SSL_CTX_load_verify_file(tls, options->ca) != 1)
        die("the trust bundle cannot be read");
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    if (options->certificate != NULL && (SSL_CTX_use_certificate_chain_file(tls, options->certificate) != 1 ||
                                         SSL_CTX_use_PrivateKey_file(tls, options->key, SSL_FILETYPE_PEM) != 1))
        die("the certificate or key cannot be read");
    if (options->alpn != NULL) {
        unsigned char offer[256];
        size_t length = strlen(options->alpn);
        if (length == 0 || length > 255)
            die("the protocol's name is too long");
        offer[0] = (unsigned char)length;
        memcpy(offer + 1, options->alpn, length);
        SSL_CTX_set_alpn_protos(tls, offer, (unsigned)length + 1);
    }
    SSL_CTX_set_app_data(tls, target);
    SSL_CTX_set_session_cache_mode(tls, options->resume ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL : SSL_SESS_CACHE_OFF);
    if (options->resume)
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
           latency->count > 0 ? us(latency->sum / latency->count) : 0, us(histogram_quantile(latency, 500)),
           us(histogram_quantile(latency, 900)), us(histogram_quantile(latency, 990)), us(histogram_quantile(latency, 999)), us(latency->max));
    for (size_t i = 0; i < watch->count; i++)
        printf("%s%.1f", i > 0 ? ", " : "", us(watch->spent_ns[i]));
    printf("]}\n");
}

int main(int argc, char **argv) {
    static struct load_options options;
    static struct load_result result;
    options_read(&options, argc, argv);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1UL); // the open loop's send times
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    struct load_target target = {.server_name = options.server_name, .resume = options.resume};
    target.address = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)atoi(options.port))};
    char *request = request_build(&options, &target.request_length);
    target.request = request;
    if (options.ca != NULL)
        target.tls = tls_build(&options, &target);
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
