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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_in_a_field_is_told_without_what_may_let_somebody_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
