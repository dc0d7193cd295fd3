// What is told of a stream at its end: the record that lines, templates and records of logs are made of.
#include "unit/stream/stream_drive.h"

#include "telemetry/access_template.h"

#define LOGGING(more)                                                                                                          \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n"                                                                            \
        "  listeners:\n"                                                                                                       \
        "  - {name: outbound, role: Outbound, address: '127.0.0.1:15001'}\n"                                                   \
        "  - {name: inbound, role: Inbound, address: '127.0.0.1:15006', forwardTo: '127.0.0.1:8009', mtls: {mode: Disable}}\n" \
        "  telemetry: {accessLog: {path: /dev/null, filter: All" more "}}\n---\n"

static struct loopback world;
static struct client client;
static struct access_template form;
static char line[ACCESS_LOG_LINE_MAX + 1];

static void keep(void *user, const struct access_record *record) {
    (void)user;
    assert_int_equal(line[0], '\0'); // one for each stream
    line[access_log_format_text(&form, record, line, ACCESS_LOG_LINE_MAX)] = '\0';
}

static void begin(const char *documents, const char *template) {
    struct bytes wrong;
    assert_true(access_template_parse(bytes_from_text(template), &form, &wrong));
    loopback_init(&world, documents, NULL);
    world.env.log = keep;
    line[0] = '\0';
}

// The stream is over.
static void end(const char *expected) {
    client_dispose(&client);
    assert_string_equal(line, expected);
    loopback_dispose(&world);
}

static void a_url_in_a_field_is_told_without_what_may_let_somebody_in(void **state) {
    (void)state;
    begin(LOGGING(", headers: [referer, x-original-url, x-tier]") SERVICE("HTTP1", ONE),
          "%REQ(REFERER)% %RESP(LOCATION)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %REQ(:PATH)% %{request_headers}");
    client_get(&client, &world,
               "GET a /path?hidden\nreferer: https://a/?reset_token=hidden\nx-envoy-original-path: /b?c=hidden\n"
               "x-original-url: https://me:hidden@c/d#hidden\nx-tier: free?\n");
    loopback_settle(&world);
    respond(&world, 0, 302, "location: https://b/cb?code=hidden\ncontent-length: 0\n", "");
    end("https://a/ https://b/cb /b /path referer=https%3A%2F%2Fa%2F&x-original-url=c%2Fd&x-tier=free%3F\n");
}

// Nobody has seen to it that host and path of what is refused as it is read are such.
static void what_is_refused_as_it_is_read_is_told_without_secrets(void **state) {
    (void)state;
    static const union address somewhere = {.v4 = {.sin_family = AF_INET}};
    const struct stream_client from = {.address = &somewhere};
    struct head head;
    begin(LOGGING("") SERVICE("HTTP1", ONE), "%REQ(:METHOD)% %REQ(:AUTHORITY)% %REQ(:PATH)%");
    client_begin_as(&client, &world, loopback_listener(&world, "outbound"), &from, HTTP_1_1, NULL, false);
    head_from_text(&head, &client.stream->pool, HTTP_1_1, "GET me:hidden@a http://me:hidden@a/path#hidden\n");
    stream_on_refused(client.stream, &head);
    client_fail(&client, ERROR_BAD_REQUEST);
    end("GET a a/path\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_in_a_field_is_told_without_what_may_let_somebody_in),
        cmocka_unit_test(what_is_refused_as_it_is_read_is_told_without_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
