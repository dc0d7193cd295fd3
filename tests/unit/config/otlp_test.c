// Where telemetry is sent: the documents' blocks, OTEL_* variables below them, how URLs are built, and what makes no sense.
#include "config/otel_environment.h"
#include "config/url_service.h"
#include "unit/config/load_folder.h"

#define PROXY(telemetry) \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n  listeners: [{name: outbound, role: Outbound, address: '127.0.0.1:15001'}]\n" telemetry "---\n"
#define TRACES(fields) PROXY("  telemetry: {traces: {" fields "}}\n")
#define MESH(fields) API "kind: MeshConfig\nmetadata: {name: default}\nspec:\n  telemetry: {traces: {" fields "}}\n---\n"

// Loads with those variables ("NAME=value", NULL behind the last).
static const struct otlp_config *load(struct loaded *loaded, const char *documents, const char *const *variables) {
    struct otel_environment *environment = otel_environment_create(variables);
    struct config_cache *cache = config_cache_create(clock_wall_ns);
    const char *path = in_folder("t.yaml");
    write_file("t.yaml", documents);
    config_errors_init(&loaded->errors);
    config_errors_init(&loaded->warnings);
    config_cache_set_environment(cache, environment);
    const enum error error = config_load(cache, &path, 1, &loaded->snapshot, &loaded->errors, &loaded->warnings);
    print_lines(&loaded->errors);
    assert_int_equal(error, OK);
    config_cache_destroy(cache);
    otel_environment_destroy(environment);
    return &loaded->snapshot->proxy.telemetry.otlp[OTLP_TRACES];
}

#define LOAD(loaded, documents, ...) load(loaded, documents, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void assert_bytes(struct bytes text, const char *wanted) {
    if (!bytes_equal(text, bytes_from_text(wanted)))
        fail_msg("\"%.*s\" is not \"%s\"", BYTES_FORMAT(text), wanted);
}

static void without_an_endpoint_nothing_is_sent(void **state) {
    (void)state;
    struct loaded loaded;
    const struct otlp_config *otlp = LOAD(&loaded, TRACES("protocol: GRPC"), "OTEL_EXPORTER_OTLP_TIMEOUT=5");
    assert_null(otlp->url);
    assert_int_equal(loaded.warnings.count, 0);
    loaded_dispose(&loaded);
}

static void documents_say_all(void **state) {
    (void)state;
    struct loaded loaded;
    write_file("key", " secret \n");
    const struct otlp_config *otlp = LOAD(&loaded,
                                          TRACES("endpoint: 'https://o.example', protocol: HTTPJSON, compression: Gzip, timeout: 3s, "
                                                 "headers: [{name: x-a, value: b}, {name: authorization, valueFile: key}], "
                                                 "batch: {scheduleDelay: 1s, exportTimeout: 9s, maxQueueSize: 100, maxBatchSize: 10}"),
                                          "OTEL_EXPORTER_OTLP_ENDPOINT=http://other:1", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc",
                                          "OTEL_EXPORTER_OTLP_HEADERS=a=b", "OTEL_EXPORTER_OTLP_TIMEOUT=5", "OTEL_BSP_MAX_QUEUE_SIZE=7");
    assert_bytes(otlp->url->text, "https://o.example/v1/traces");
    assert_bytes(otlp->url->service->key, "https://o.example:443");
    assert_int_equal(otlp->protocol, OTLP_HTTP_JSON);
    assert_int_equal(otlp->compression, OTLP_COMPRESSION_GZIP);
    assert_int_equal(otlp->timeout, 3 * NS_PER_S);
    assert_int_equal(otlp->header_count, 2);
    assert_bytes(otlp->headers[0].value, "b");
    assert_bytes(otlp->headers[1].value, "secret");
    assert_int_equal(otlp->batch.schedule_delay, NS_PER_S);
    assert_int_equal(otlp->batch.export_timeout, 9 * NS_PER_S);
    assert_int_equal(otlp->batch.max_queue, 100);
    assert_int_equal(otlp->batch.max_batch, 10);
    loaded_dispose(&loaded);
}

static void a_service_of_the_documents_is_reached_as_that(void **state) {
    (void)state;
    struct loaded loaded;
    const struct otlp_config *otlp = LOAD(&loaded, TRACES("endpoint: 'http://collector/own/path'") PLAIN_ENTRY("collector", ""));
    assert_bytes(otlp->url->service->key, "default/collector:80");
    assert_bytes(otlp->url->path, "/own/path");
    loaded_dispose(&loaded);
}

static void a_mesh_s_block_holds_where_the_proxy_has_none(void **state) {
    (void)state;
    struct loaded loaded;
    const struct otlp_config *otlp = LOAD(&loaded, PROXY("") MESH("endpoint: 'http://m:4318/', protocol: HTTPProtobuf"),
                                          "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_COMPRESSION=gzip");
    assert_bytes(otlp->url->text, "http://m:4318/v1/traces");
    assert_int_equal(otlp->protocol, OTLP_HTTP_PROTOBUF);
    assert_int_equal(otlp->compression, OTLP_COMPRESSION_GZIP); // what it does not say
    loaded_dispose(&loaded);
    otlp = LOAD(&loaded, TRACES("timeout: 1s") MESH("endpoint: 'http://m:4318'"));
    assert_null(otlp->url); // a block is taken whole
    loaded_dispose(&loaded);
}

static void variables_fill_what_documents_do_not_say(void **state) {
    (void)state;
    struct loaded loaded;
    const struct otlp_config *otlp =
        LOAD(&loaded, PROXY(""), "OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", "OTEL_EXPORTER_OTLP_PROTOCOL=http/json",
             "OTEL_EXPORTER_OTLP_COMPRESSION=none", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION=gzip",
             "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20x , x-b=c%3Dd", "OTEL_EXPORTER_OTLP_TIMEOUT=1500", "OTEL_BSP_SCHEDULE_DELAY=200",
             "OTEL_BSP_EXPORT_TIMEOUT=4000", "OTEL_BSP_MAX_QUEUE_SIZE=30", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=40");
    assert_bytes(otlp->url->text, "http://c:4318/v1/traces");
    assert_int_equal(otlp->protocol, OTLP_HTTP_JSON);
    assert_int_equal(otlp->compression, OTLP_COMPRESSION_GZIP);
    assert_int_equal(otlp->header_count, 2);
    assert_bytes(otlp->headers[0].name, "authorization");
    assert_bytes(otlp->headers[0].value, "Bearer x");
    assert_bytes(otlp->headers[1].value, "c=d");
    assert_int_equal(otlp->timeout, 1500 * NS_PER_MS);
    assert_int_equal(otlp->batch.schedule_delay, 200 * NS_PER_MS);
    assert_int_equal(otlp->batch.export_timeout, 4 * NS_PER_S);
    assert_int_equal(otlp->batch.max_queue, 30);
    assert_int_equal(otlp->batch.max_batch, 30); // no more than can wait
    assert_int_equal(loaded.warnings.count, 0);
    loaded_dispose(&loaded);
}

static void urls_are_built_as_opentelemetry_builds_them(void **state) {
    (void)state;
    static const struct {
        char variable[96], protocol[64];
        const char *url;
    } cases[] = {
        {"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318/", "", "http://c:4318/v1/traces"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=http://c/base", "", "http://c/base/v1/traces"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c:4318", "", "http://c:4318"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c/own", "", "http://c/own"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "http://c:4317"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "https://c:4317"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loaded loaded;
        char variable[96], protocol[64];
        memcpy(variable, cases[i].variable, sizeof variable);
        memcpy(protocol, cases[i].protocol, sizeof protocol);
        const struct otlp_config *otlp = LOAD(&loaded, PROXY(""), variable, protocol);
        assert_non_null(otlp->url);
        assert_bytes(otlp->url->text, cases[i].url);
        loaded_dispose(&loaded);
    }
    struct loaded loaded;
    const struct otlp_config *otlp =
        LOAD(&loaded, PROXY(""), "OTEL_EXPORTER_OTLP_ENDPOINT=c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_INSECURE=TRUE");
    assert_bytes(otlp->url->text, "http://c:4317");
    loaded_dispose(&loaded);
    otlp = LOAD(&loaded, PROXY(""), "OTEL_EXPORTER_OTLP_ENDPOINT=http://c");
    assert_int_equal(otlp->url->service->port, 80); // not 4318
    loaded_dispose(&loaded);
}

static void of_two_headers_of_a_name_the_first_counts(void **state) {
    (void)state;
    struct loaded loaded;
    const struct otlp_config *otlp =
        LOAD(&loaded, PROXY(""), "OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_EXPORTER_OTLP_TRACES_HEADERS=x-a=1,X-A=2,x-b=3");
    assert_int_equal(otlp->header_count, 2);
    assert_bytes(otlp->headers[0].value, "1");
    assert_bytes(otlp->headers[1].name, "x-b");
    assert_int_equal(loaded.warnings.count, 1);
    loaded_dispose(&loaded);
}

static void behind_a_variable_that_makes_no_sense_the_general_one_counts(void **state) {
    (void)state;
    struct loaded loaded;
    const struct otlp_config *otlp =
        LOAD(&loaded, PROXY(""), "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=ftp://c", "OTEL_EXPORTER_OTLP_ENDPOINT=http://c",
             "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http", "OTEL_EXPORTER_OTLP_PROTOCOL=http/json", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION=br",
             "OTEL_EXPORTER_OTLP_COMPRESSION=gzip", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=1s", "OTEL_EXPORTER_OTLP_TIMEOUT=1000");
    assert_bytes(otlp->url_text, "http://c/v1/traces");
    assert_int_equal(otlp->protocol, OTLP_HTTP_JSON);
    assert_int_equal(otlp->compression, OTLP_COMPRESSION_GZIP);
    assert_int_equal(otlp->timeout, NS_PER_S);
    assert_int_equal(loaded.warnings.count, 4);
    loaded_dispose(&loaded);
}

// In what way is tests/unit/agent/resource_test.c's.
static void attributes_that_cannot_be_read_are_a_warning_where_something_is_sent(void **state) {
    (void)state;
    struct loaded loaded;
    static const char *const unreadable = "OTEL_RESOURCE_ATTRIBUTES=a=1,b=%zz";
    LOAD(&loaded, TRACES("endpoint: 'http://c'"), unreadable);
    assert_int_equal(loaded.warnings.count, 1);
    assert_true(has_line(&loaded.warnings, "environment: OTEL_RESOURCE_ATTRIBUTES: one of its attributes cannot be read"));
    loaded_dispose(&loaded);
    LOAD(&loaded, PROXY(""), unreadable);
    assert_int_equal(loaded.warnings.count, 0);
    loaded_dispose(&loaded);
    LOAD(&loaded, TRACES("endpoint: 'http://c'"), "OTEL_RESOURCE_ATTRIBUTES=a=1,b=%20");
    assert_int_equal(loaded.warnings.count, 0);
    loaded_dispose(&loaded);
}

static void it_can_be_switched_off(void **state) {
    (void)state;
    static char variables[][40] = {"OTEL_SDK_DISABLED=True", "OTEL_TRACES_EXPORTER=none", "OTEL_CONFIG_FILE=/x"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        struct loaded loaded;
        assert_null(LOAD(&loaded, PROXY(""), "OTEL_EXPORTER_OTLP_ENDPOINT=http://c", variables[i])->url);
        loaded_dispose(&loaded);
        assert_non_null(LOAD(&loaded, TRACES("endpoint: 'http://c'"), variables[i])->url); // documents win
        loaded_dispose(&loaded);
    }
}

static void another_exporter_is_no_otlp(void **state) {
    (void)state;
    struct loaded loaded;
    LOAD(&loaded, PROXY(""), "OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_METRICS_EXPORTER=prometheus", "OTEL_TRACES_EXPORTER=console");
    assert_null(loaded.snapshot->proxy.telemetry.otlp[OTLP_METRICS].url); // which can read them anyway
    assert_null(loaded.snapshot->proxy.telemetry.otlp[OTLP_TRACES].url);
    assert_int_equal(loaded.warnings.count, 1);
    assert_true(has_line(&loaded.warnings, "console is no exporter that there is here"));
    loaded_dispose(&loaded);
}

static void samplers_and_propagators_are_taken(void **state) {
    (void)state;
    struct loaded loaded;
    LOAD(&loaded, PROXY(""), "OTEL_PROPAGATORS=b3, baggage", "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.25");
    assert_true(loaded.snapshot->proxy.telemetry.traces.propagators.b3 && loaded.snapshot->proxy.telemetry.traces.propagators.baggage);
    assert_false(loaded.snapshot->proxy.telemetry.traces.propagators.tracecontext);
    assert_int_equal(loaded.snapshot->proxy.telemetry.traces.sampling.numerator, 250000);
    assert_int_equal(loaded.snapshot->proxy.telemetry.traces.sampling.denominator, 1000000);
    loaded_dispose(&loaded);
    LOAD(&loaded, PROXY(""), "OTEL_TRACES_SAMPLER=parentbased_always_off");
    assert_int_equal(loaded.snapshot->proxy.telemetry.traces.sampling.numerator, 0);
    loaded_dispose(&loaded);
    LOAD(&loaded, TRACES("sampling: {numerator: 1, denominator: 3}, propagators: [tracecontext]"), "OTEL_PROPAGATORS=b3",
         "OTEL_TRACES_SAMPLER=parentbased_always_off");
    assert_int_equal(loaded.snapshot->proxy.telemetry.traces.sampling.denominator, 3);
    assert_false(loaded.snapshot->proxy.telemetry.traces.propagators.b3);
    loaded_dispose(&loaded);
}

// Each is told, counts as not set, and shows no credential.
static void what_makes_no_sense_is_a_warning(void **state) {
    (void)state;
    static char variables[][80] = {"OTEL_EXPORTER_OTLP_PROTOCOL=http",
                                   "OTEL_EXPORTER_OTLP_COMPRESSION=zstd",
                                   "OTEL_EXPORTER_OTLP_TIMEOUT=-1",
                                   "OTEL_EXPORTER_OTLP_TIMEOUT=10s",
                                   "OTEL_EXPORTER_OTLP_HEADERS=hunter2",
                                   "OTEL_EXPORTER_OTLP_HEADERS=host=hunter2",
                                   "OTEL_EXPORTER_OTLP_HEADERS=a=%0Ahunter2",
                                   "OTEL_BSP_MAX_QUEUE_SIZE=0",
                                   "OTEL_BSP_SCHEDULE_DELAY=x",
                                   "OTEL_EXPORTER_OTLP_CERTIFICATE=/ca.pem",
                                   "OTEL_EXPORTER_OTLP_CLIENT_KEY=/k.pem",
                                   "OTEL_TRACES_EXPORTER=zipkin",
                                   "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=ftp://c",
                                   "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://user:hunter2@c",
                                   "OTEL_PROPAGATORS=jaeger",
                                   "OTEL_TRACES_SAMPLER=always_on",
                                   "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=1",
                                   "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT=1",
                                   "OTEL_SPAN_EVENT_COUNT_LIMIT=1",
                                   "OTEL_SPAN_LINK_COUNT_LIMIT=1",
                                   "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT=1",
                                   "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT=1",
                                   "OTEL_ATTRIBUTE_COUNT_LIMIT=1",
                                   "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT=1",
                                   "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS=GET,BREW"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        struct loaded loaded;
        const struct otlp_config *otlp = LOAD(&loaded, PROXY(""), "OTEL_EXPORTER_OTLP_ENDPOINT=http://c", variables[i]);
        if (loaded.warnings.count != 1)
            fail_msg("%s: %u warnings", variables[i], loaded.warnings.count);
        assert_true(has_line(&loaded.warnings, "environment: OTEL_"));
        assert_false(has_line(&loaded.warnings, "hunter2"));
        assert_int_equal(otlp->protocol, OTLP_HTTP_PROTOBUF);
        assert_int_equal(otlp->timeout, 10 * NS_PER_S);
        assert_int_equal(otlp->header_count, 0);
        assert_int_equal(otlp->batch.max_queue, 2048);
        loaded_dispose(&loaded);
    }
}

static void wrong_documents_are_refused(void **state) {
    (void)state;
    expect_error(TRACES("endpoint: 'c:4318'"), "no URL that can be asked");
    expect_error(TRACES("endpoint: 'http://c', headers: [{name: host, value: a}]"), "no header that may be said here");
    expect_error(TRACES("endpoint: 'http://c', headers: [{name: Grpc-Timeout, value: a}]"), "no header that may be said here");
    expect_error(TRACES("endpoint: 'http://c', headers: [{name: accept-encoding, value: gzip}]"), "no header that may be said here");
    expect_error(TRACES("endpoint: 'http://c', headers: [{name: x-a, value: a}, {name: X-A, value: a}]"), "in nothing but case");
    expect_error(TRACES("endpoint: 'http://c', headers: [{name: a}]"), "needs one of value and valueFile");
    expect_error(TRACES("endpoint: 'http://c', headers: [{name: a, value: ' b'}]"), "no value that a header can have");
    expect_error(TRACES("endpoint: 'http://c', headers: [{name: a, valueFile: nowhere}]"), "nowhere");
    expect_error(TRACES("endpoint: 'http://c', batch: {maxBatchSize: 3000}"), "maxBatchSize of at most maxQueueSize");
    expect_error(MESH("endpoint: x") OUTBOUND_PROXY, "no URL that can be asked");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(without_an_endpoint_nothing_is_sent),
        IN_FOLDER(documents_say_all),
        IN_FOLDER(a_service_of_the_documents_is_reached_as_that),
        IN_FOLDER(a_mesh_s_block_holds_where_the_proxy_has_none),
        IN_FOLDER(variables_fill_what_documents_do_not_say),
        IN_FOLDER(urls_are_built_as_opentelemetry_builds_them),
        IN_FOLDER(of_two_headers_of_a_name_the_first_counts),
        IN_FOLDER(behind_a_variable_that_makes_no_sense_the_general_one_counts),
        IN_FOLDER(attributes_that_cannot_be_read_are_a_warning_where_something_is_sent),
        IN_FOLDER(it_can_be_switched_off),
        IN_FOLDER(another_exporter_is_no_otlp),
        IN_FOLDER(samplers_and_propagators_are_taken),
        IN_FOLDER(what_makes_no_sense_is_a_warning),
        IN_FOLDER(wrong_documents_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
