// Which files a load reads, in which order their errors come, and when the fingerprint changes.
#include "load_folder.h"
#include "load_text.h"

#include "base/pool.h"
#include "config/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void load_paths(struct loaded *loaded, const char *const *paths, uint32_t count) {
    config_errors_init(&loaded->errors);
    config_errors_init(&loaded->warnings);
    enum error error = config_load(NULL, paths, count, &loaded->snapshot, &loaded->errors, &loaded->warnings);
    assert_int_equal(error, loaded->errors.count == 0 ? OK : ERROR_INVALID);
    assert_int_equal(loaded->snapshot != NULL, loaded->errors.count == 0);
}

static void load_folder(struct loaded *loaded) {
    const char *paths[] = {folder};
    load_paths(loaded, paths, 1);
}

static void a_folder_is_read_whole(void **state) {
    (void)state;
    struct loaded loaded;
    assert_int_equal(mkdir(in_folder("sub"), 0700), 0);
    write_file("p.yaml", OUTBOUND_PROXY);
    write_file("sub/a.yml", PLAIN_ENTRY("a", ""));
    write_file("b.json", "{\"apiVersion\": \"outrigger.dev/v1alpha1\", \"kind\": \"ServiceEntry\", \"metadata\": {\"name\": \"b\"},\n"
                         " \"spec\": {\"hosts\": [\"b\"], \"ports\": [{\"name\": \"h\", \"port\": 80}], \"tls\": {\"mode\": \"None\"},\n"
                         "  \"endpoints\": [{\"address\": \"10.0.0.1:1\"}]}}\n");
    write_file("notes.txt", "kind: [\n");
    write_file(".hidden.yaml", "kind: [\n");
    assert_int_equal(mkdir(in_folder(".git"), 0700), 0);
    write_file(".git/x.yaml", "kind: [\n");
    load_folder(&loaded);
    print_lines(&loaded.errors);
    assert_int_equal(loaded.errors.count, 0);
    assert_int_equal(loaded.warnings.count, 0);
    assert_non_null(find_key(loaded.snapshot, "default/a:80"));
    assert_non_null(find_key(loaded.snapshot, "default/b:80"));
    loaded_dispose(&loaded);
}

static void errors_come_in_the_order_of_files_and_lines(void **state) {
    (void)state;
    struct loaded loaded;
    assert_int_equal(mkdir(in_folder("b"), 0700), 0);
    write_file("c.yaml", PLAIN_ENTRY("s", "") POLICY("t", "  targetRefs: [{kind: Namespace, name: gone}]\n  wrong: 1\n"));
    write_file("b.yaml", API "kind: Banana\n");
    write_file("b/x.yaml", "a: [\n");
    write_file("a.yaml", OUTBOUND_PROXY PLAIN_ENTRY("s", ""));
    load_folder(&loaded);
    static const char *const expected[] = {"/b.yaml:1: Banana/default/?: metadata: is required: it has the name",
                                           "/b.yaml:2: Banana/default/?: kind: unknown kind; allowed: Proxy, ",
                                           "/b/x.yaml:2: is not YAML or JSON: ",
                                           "/c.yaml:3: ServiceEntry/default/s: metadata.name: stands twice, first in ",
                                           "/c.yaml:14: TrafficPolicy/default/t: spec.targetRefs[gone].name: gone is another namespace",
                                           "/c.yaml:15: TrafficPolicy/default/t: spec.wrong: unknown field"};
    print_lines(&loaded.errors);
    assert_int_equal(loaded.errors.count, 6);
    assert_non_null(strstr(loaded.errors.lines[0], expected[0]));
    assert_non_null(strstr(loaded.errors.lines[1], expected[1]));
    assert_non_null(strstr(loaded.errors.lines[2], expected[2]));
    assert_non_null(strstr(loaded.errors.lines[3], expected[3]));
    assert_non_null(strstr(loaded.errors.lines[4], expected[4]));
    assert_non_null(strstr(loaded.errors.lines[5], expected[5]));
    loaded_dispose(&loaded);
}

static void several_paths_are_one_set(void **state) {
    (void)state;
    struct loaded loaded;
    write_file("p.yaml", OUTBOUND_PROXY);
    write_file("s", PLAIN_ENTRY("s", "")); // a file that is named is read whatever its suffix
    const char *paths[] = {in_folder("s"), in_folder("p.yaml")};
    load_paths(&loaded, paths, 2);
    assert_int_equal(loaded.errors.count, 0);
    loaded_dispose(&loaded);
}

static void symlinks_are_followed_and_loops_end(void **state) {
    (void)state;
    struct loaded loaded;
    assert_int_equal(mkdir(in_folder("..data_1"), 0700), 0);
    write_file("..data_1/p.yaml", OUTBOUND_PROXY);
    assert_int_equal(symlink("..data_1", in_folder("..data")), 0);
    assert_int_equal(symlink("..data/p.yaml", in_folder("p.yaml")), 0);
    assert_int_equal(symlink(".", in_folder("self")), 0);
    assert_int_equal(symlink("..", in_folder("..data_1/up")), 0);
    assert_int_equal(symlink("nowhere", in_folder("notes")), 0);
    load_folder(&loaded);
    print_lines(&loaded.errors);
    assert_int_equal(loaded.errors.count, 0);
    loaded_dispose(&loaded);
}

static void what_cannot_be_read_is_an_error(void **state) {
    (void)state;
    struct loaded loaded;
    write_file("p.yaml", OUTBOUND_PROXY);
    assert_int_equal(symlink("nowhere", in_folder("gone.yaml")), 0);
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    const char *paths[] = {folder, in_folder("missing"), in_folder("pipe")};
    load_paths(&loaded, paths, 3);
    print_lines(&loaded.errors);
    assert_int_equal(loaded.errors.count, 3);
    assert_true(has_line(&loaded.errors, "/gone.yaml: cannot be read: No such file"));
    assert_true(has_line(&loaded.errors, "/missing: cannot be read: No such file"));
    assert_true(has_line(&loaded.errors, "/pipe: is neither a file nor a folder"));
    loaded_dispose(&loaded);
}

static void a_folder_with_no_documents_has_no_proxy(void **state) {
    (void)state;
    struct loaded loaded;
    load_folder(&loaded);
    assert_int_equal(loaded.errors.count, 1);
    assert_true(has_line(&loaded.errors, ": there is no document of kind Proxy"));
    loaded_dispose(&loaded);
}

static void a_file_has_a_bound(void **state) {
    (void)state;
    struct loaded loaded;
    write_file("p.yaml", OUTBOUND_PROXY);
    assert_int_equal(truncate(in_folder("p.yaml"), FILE_BYTES_MAX + 1), 0);
    load_folder(&loaded);
    assert_true(has_line(&loaded.errors, "/p.yaml: is too large; at most 4194304 bytes are read"));
    loaded_dispose(&loaded);
    FILE *file = fopen(in_folder("p.yaml"), "w");
    assert_non_null(file);
    fputs(OUTBOUND_PROXY, file);
    for (long at = ftell(file); at < (long)FILE_BYTES_MAX; at++)
        fputc(at % 64 == 0 ? '\n' : '#', file);
    assert_int_equal(fclose(file), 0);
    load_folder(&loaded);
    assert_false(has_line(&loaded.errors, "too large"));
    loaded_dispose(&loaded);
}

static void folders_are_read_so_deep_and_no_deeper(void **state) {
    (void)state;
    struct loaded loaded;
    char deep[256] = "p.yaml";
    write_file(deep, OUTBOUND_PROXY);
    deep[0] = '\0';
    for (unsigned i = 0; i <= FILES_DEPTH_MAX; i++) {
        load_folder(&loaded);
        assert_int_equal(loaded.errors.count, 0);
        loaded_dispose(&loaded);
        strcat(deep, i == 0 ? "d" : "/d");
        assert_int_equal(mkdir(in_folder(deep), 0700), 0);
    }
    load_folder(&loaded);
    assert_int_equal(loaded.errors.count, 1);
    assert_true(has_line(&loaded.errors, "/d: is nested too deep; folders are read 16 deep"));
    loaded_dispose(&loaded);
}

static void files_have_a_bound(void **state) {
    (void)state;
    struct loaded loaded;
    write_file("00000.yaml", OUTBOUND_PROXY);
    for (unsigned i = 1; i < FILES_MAX; i++) {
        char name[32];
        snprintf(name, sizeof(name), "%05u.yaml", i);
        int descriptor = open(in_folder(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(descriptor >= 0);
        close(descriptor);
    }
    load_folder(&loaded);
    assert_int_equal(loaded.errors.count, 0);
    loaded_dispose(&loaded);
    write_file("x.yaml", "");
    write_file("y.yaml", "");
    load_folder(&loaded);
    assert_int_equal(loaded.errors.count, 1);
    assert_true(has_line(&loaded.errors, ".yaml: is one file too many; at most 10000 are read"));
    loaded_dispose(&loaded);
}

static void a_file_that_there_is_no_memory_for_is_an_error(void **state) {
    (void)state;
    struct loaded loaded;
    write_file("a.yaml", OUTBOUND_PROXY);
    write_file("b.yaml", PLAIN_ENTRY("b", "  wrong: 1\n"));
    try_alloc_fail_after(1);
    load_folder(&loaded);
    try_alloc_fail_after(0);
    assert_int_equal(loaded.errors.count, 2);
    assert_true(has_line(&loaded.errors, "/a.yaml: cannot be read: no memory"));
    assert_true(has_line(&loaded.errors, "spec.wrong"));
    loaded_dispose(&loaded);
}

static void a_file_longer_than_it_says_is_read_to_its_end(void **state) {
    (void)state;
    struct config_errors errors;
    char *text;
    size_t length;
    config_errors_init(&errors);
    assert_int_equal(file_read("/proc/self/status", &errors, &text, &length), OK); // which says that it has 0 bytes
    assert_true(length > 100);
    assert_memory_equal(text, "Name:", 5);
    assert_int_equal(text[length - 1], '\n');
    free(text);
    config_errors_dispose(&errors);
}

static void paths_of_certificates_count_from_the_file(void **state) {
    (void)state;
    struct loaded loaded;
    char expected[128];
    assert_int_equal(mkdir(in_folder("sub"), 0700), 0);
    write_file("sub/p.yaml",
               API "kind: Proxy\nmetadata: {name: p}\nspec:\n  listeners: [{name: o, role: Outbound}]\n"
                   "  identity: {certificate: certs/a.crt, privateKey: /k, trustBundle: ../ca.crt}\n  telemetry: {accessLog: {path: log}}\n");
    load_folder(&loaded);
    const struct proxy_config *proxy = &loaded.snapshot->proxy;
    snprintf(expected, sizeof(expected), "%s/sub/certs/a.crt", folder);
    assert_bytes_equal(proxy->identity.certificate, expected);
    assert_bytes_equal(proxy->identity.private_key, "/k");
    snprintf(expected, sizeof(expected), "%s/sub/../ca.crt", folder);
    assert_bytes_equal(proxy->identity.trust_bundle, expected);
    snprintf(expected, sizeof(expected), "%s/sub/log", folder);
    assert_bytes_equal(proxy->telemetry.access_log.path, expected);
    loaded_dispose(&loaded);
}

static uint64_t fingerprint(void) {
    const char *paths[] = {folder};
    return config_fingerprint(NULL, paths, 1);
}

static void the_fingerprint_changes_with_the_files(void **state) {
    (void)state;
    write_file("p.yaml", OUTBOUND_PROXY);
    uint64_t first = fingerprint();
    assert_true(first == fingerprint());
    write_file("notes.txt", "x");
    assert_true(first == fingerprint());
    write_file("s.yaml", "");
    uint64_t second = fingerprint();
    assert_true(first != second);
    write_file("s.yaml", "# x");
    uint64_t third = fingerprint();
    assert_true(second != third);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1, .tv_nsec = 5}};
    assert_int_equal(utimensat(AT_FDCWD, in_folder("s.yaml"), times, 0), 0);
    assert_true(third != fingerprint());
    assert_int_equal(unlink(in_folder("s.yaml")), 0);
    assert_true(first == fingerprint());
}

// As Kubernetes changes a mounted ConfigMap: a link is renamed over another.
static void the_fingerprint_follows_a_swap_of_links(void **state) {
    (void)state;
    struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    for (unsigned i = 1; i <= 2; i++) {
        char name[32];
        snprintf(name, sizeof(name), "..v%u", i);
        assert_int_equal(mkdir(in_folder(name), 0700), 0);
        snprintf(name, sizeof(name), "..v%u/p.yaml", i);
        write_file(name, OUTBOUND_PROXY);                                    // same size
        assert_int_equal(utimensat(AT_FDCWD, in_folder(name), times, 0), 0); // and same time
    }
    assert_int_equal(symlink("..v1", in_folder("..data")), 0);
    assert_int_equal(symlink("..data/p.yaml", in_folder("p.yaml")), 0);
    uint64_t before = fingerprint();
    assert_int_equal(symlink("..v2", in_folder("..data_tmp")), 0);
    assert_int_equal(rename(in_folder("..data_tmp"), in_folder("..data")), 0);
    assert_true(before != fingerprint());
}

static void the_fingerprint_of_nothing_is_one_too(void **state) {
    (void)state;
    const char *missing[] = {in_folder("missing")};
    uint64_t before = config_fingerprint(NULL, missing, 1);
    write_file("missing", OUTBOUND_PROXY);
    assert_true(before != config_fingerprint(NULL, missing, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_folder_is_read_whole),
        IN_FOLDER(errors_come_in_the_order_of_files_and_lines),
        IN_FOLDER(several_paths_are_one_set),
        IN_FOLDER(symlinks_are_followed_and_loops_end),
        IN_FOLDER(what_cannot_be_read_is_an_error),
        IN_FOLDER(a_folder_with_no_documents_has_no_proxy),
        IN_FOLDER(a_file_has_a_bound),
        IN_FOLDER(folders_are_read_so_deep_and_no_deeper),
        IN_FOLDER(files_have_a_bound),
        IN_FOLDER(a_file_that_there_is_no_memory_for_is_an_error),
        cmocka_unit_test(a_file_longer_than_it_says_is_read_to_its_end),
        IN_FOLDER(paths_of_certificates_count_from_the_file),
        IN_FOLDER(the_fingerprint_changes_with_the_files),
        IN_FOLDER(the_fingerprint_follows_a_swap_of_links),
        IN_FOLDER(the_fingerprint_of_nothing_is_one_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
