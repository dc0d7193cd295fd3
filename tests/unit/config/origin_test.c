// tls.mode Simple in documents: what is refused, what is filled in, and which endpoints are alike.
#include "load_text.h"

#define ORIGIN(name, hosts, tls)                                                                                                  \
    API "kind: ServiceEntry\nmetadata: {name: " name "}\nspec:\n  hosts: " hosts "\n  ports: [{name: h, port: 443}]\n  tls: " tls \
        "\n  endpoints: [{address: '10.0.0.1:443'}]\n---\n"
#define FILES "caCertificates: {files: [a.pem]}"

static void expect_refused(const char *hosts, const char *tls, const char *part) {
    struct loaded loaded;
    char text[1024];
    snprintf(text, sizeof text,
             OUTBOUND_PROXY API "kind: ServiceEntry\nmetadata: {name: s}\nspec:\n  hosts: %s\n  ports: [{name: h, port: 443}]\n  tls: %s\n"
                                "  endpoints: [{address: '10.0.0.1:443'}]\n",
             hosts, tls);
    load_text(&loaded, text);
    if (loaded.errors.count != 1 || !has_line(&loaded.errors, part)) {
        print_lines(&loaded.errors);
        fail_msg("expected one error with: %s", part);
    }
    loaded_dispose(&loaded);
}

static const struct endpoint_traits *traits_of(const struct loaded *loaded, uint32_t service) {
    return loaded->snapshot->services[service]->endpoints[0].traits;
}

static void mistakes_are_told(void **state) {
    (void)state;
    expect_refused("[s]", "{mode: None, sni: a.example}", "spec.tls.sni: is for mode Simple alone; this is None");
    expect_refused("[s]", "{mode: None, subjectAltNames: [{type: URI, uri: 'a:b'}]}", "spec.tls.subjectAltNames: is for mode Simple alone");
    expect_refused("[s]", "{mode: Simple, sni: 'a.example:443'}", "spec.tls.sni: is what a server is asked for");
    expect_refused("[s]", "{mode: Simple, sni: 10.0.0.1}", "spec.tls.sni: is what a server is asked for");
    expect_refused("[s]", "{mode: Simple, sni: '*.example'}", "spec.tls.sni: is what a server is asked for");
    expect_refused("[s]", "{mode: Simple, caCertificates: {system: false}}", "spec.tls.caCertificates: names none");
    expect_refused("[s]", "{mode: Simple, subjectAltNames: [{type: Hostname}]}", "hostname: is required with type Hostname");
    expect_refused("[s]", "{mode: Simple, subjectAltNames: [{type: URI, hostname: a, uri: 'a:b'}]}", "hostname: is not for type URI");
    expect_refused("[s]", "{mode: Simple, subjectAltNames: [{type: URI, uri: nothing}]}", "uri: is no URI");
    expect_refused("[s]", "{mode: Simple, subjectAltNames: [{type: URI, uri: 'a: b'}]}", "uri: is no URI");
    expect_refused("[s]", "{mode: Simple, subjectAltNames: [{type: Hostname, hostname: '*.example'}]}",
                   "hostname: is a name that a certificate is for");
    expect_refused("['*.example']", "{mode: Simple}", "spec.tls: all hosts are wildcards");
    expect_refused("[s]", "{mode: Simpel}", "\"Simpel\" is not allowed; allowed: Mesh, Simple, None");
}

static void what_is_left_out_is_the_first_host_and_the_systems_authorities(void **state) {
    (void)state;
    struct loaded loaded;
    assert_int_equal(setenv("SSL_CERT_FILE", "/somewhere/bundle.pem", 1), 0);
    load_text(&loaded, OUTBOUND_PROXY ORIGIN("s", "['*.x.example', 'API.example:443', other.example]", "{mode: Simple}"));
    const struct origin_config *origin = traits_of(&loaded, 0)->origin;
    assert_int_equal(traits_of(&loaded, 0)->tls, TLS_SIMPLE);
    assert_bytes_equal(origin->server_name, "api.example");
    assert_int_equal(origin->name_count, 1);
    assert_int_equal(origin->names[0].type, SERVER_NAME_HOST);
    assert_bytes_equal(origin->names[0].text, "api.example");
    assert_int_equal(origin->authorities->file_count, 1);
    assert_bytes_equal(origin->authorities->files[0], "/somewhere/bundle.pem");
    assert_bytes_equal(loaded.snapshot->paths->path, "/somewhere/bundle.pem"); // for the sandbox
    loaded_dispose(&loaded);
    unsetenv("SSL_CERT_FILE");
}

static void a_host_that_is_an_address_is_a_name_and_not_asked_for(void **state) {
    (void)state;
    struct loaded loaded;
    load_text(&loaded, OUTBOUND_PROXY ORIGIN("s", "['[2001:db8::1]:443']", "{mode: Simple, " FILES "}"));
    const struct origin_config *origin = traits_of(&loaded, 0)->origin;
    assert_int_equal(origin->server_name.len, 0);
    assert_int_equal(origin->names[0].type, SERVER_NAME_ADDRESS);
    assert_bytes_equal(origin->names[0].text, "2001:db8::1");
    loaded_dispose(&loaded);
}

static void the_key_differs_by_authorities_name_and_names(void **state) {
    (void)state;
    static const char *const others[] = {
        "{mode: Simple, caCertificates: {files: [b.pem]}}",
        "{mode: Simple, caCertificates: {files: [a.pem, b.pem]}}",
        "{mode: Simple, caCertificates: {system: true, files: [a.pem]}}",
        "{mode: Simple, " FILES ", sni: b.example}",
        "{mode: Simple, " FILES ", subjectAltNames: [{type: Hostname, hostname: b.example}]}",
        "{mode: Simple, " FILES ", subjectAltNames: [{type: Hostname, hostname: a.example}, {type: Hostname, hostname: b.example}]}",
        "{mode: Simple, " FILES ", subjectAltNames: [{type: URI, uri: 'host:a.example'}]}",
        "{mode: None}",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct loaded loaded;
        char text[1600];
        snprintf(text, sizeof text,
                 OUTBOUND_PROXY ORIGIN("s", "[a.example]", "{mode: Simple, " FILES "}") API
                 "kind: ServiceEntry\nmetadata: {name: t}\nspec:\n  hosts: ['a.example:1']\n  ports: [{name: h, port: 443}]\n  tls: %s\n"
                 "  endpoints: [{address: '10.0.0.1:443'}]\n",
                 others[i]);
        load_text(&loaded, text);
        print_lines(&loaded.errors);
        assert_int_equal(loaded.errors.count, 0);
        assert_false(bytes_equal(traits_of(&loaded, 0)->peer_key, traits_of(&loaded, 1)->peer_key));
        loaded_dispose(&loaded);
    }
}

static void what_is_alike_is_one(void **state) {
    (void)state;
    struct loaded loaded;
    load_text(&loaded, OUTBOUND_PROXY ORIGIN("s", "[s.example]", "{mode: Simple, sni: a.example, " FILES "}")
                           ORIGIN("t", "[t.example]", "{mode: Simple, sni: A.example, " FILES "}"));
    assert_ptr_equal(traits_of(&loaded, 0), traits_of(&loaded, 1));
    const struct ca_set_config *set = loaded.snapshot->ca_sets;
    assert_non_null(set);
    assert_null(set->next);
    assert_string_equal(set->document, "ServiceEntry/default/s");
    loaded_dispose(&loaded);
}

static void an_endpoint_wins_as_a_whole(void **state) {
    (void)state;
    struct loaded loaded;
    load_text(&loaded, OUTBOUND_PROXY API "kind: ServiceEntry\nmetadata: {name: s}\nspec:\n  hosts: [s.example]\n  ports: [{name: h, port: 443}]\n"
                                          "  tls: {mode: Simple, sni: a.example, " FILES
                                          "}\n  endpoints: [{address: '10.0.0.1:443'}, {address: '10.0.0.2:443', tls: {mode: Simple, "
                                          "caCertificates: {files: [b.pem]}}}, {address: '10.0.0.3:80', tls: {mode: None}}]\n");
    const struct endpoint_config *endpoints = loaded.snapshot->services[0]->endpoints;
    assert_bytes_equal(endpoints[0].traits->origin->server_name, "a.example");
    assert_bytes_equal(endpoints[1].traits->origin->server_name, "s.example");
    assert_bytes_equal(endpoints[1].traits->origin->authorities->files[0], "b.pem");
    assert_null(endpoints[2].traits->origin);
    loaded_dispose(&loaded);
}

static void tls_in_tls_is_warned_of(void **state) {
    (void)state;
    struct loaded loaded;
    load_text(&loaded, OUTBOUND_PROXY API
              "kind: ServiceEntry\nmetadata: {name: s}\nspec:\n  hosts: [s.example]\n  ports: [{name: h, port: 443, protocol: TLS}]\n"
              "  tls: {mode: Simple, " FILES "}\n  endpoints: [{address: '10.0.0.1:443'}]\n");
    assert_int_equal(loaded.errors.count, 0);
    assert_true(has_line(&loaded.warnings, "tls.mode Simple puts it into TLS once more"));
    loaded_dispose(&loaded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(what_is_left_out_is_the_first_host_and_the_systems_authorities),
        cmocka_unit_test(a_host_that_is_an_address_is_a_name_and_not_asked_for),
        cmocka_unit_test(the_key_differs_by_authorities_name_and_names),
        cmocka_unit_test(what_is_alike_is_one),
        cmocka_unit_test(an_endpoint_wins_as_a_whole),
        cmocka_unit_test(tls_in_tls_is_warned_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
