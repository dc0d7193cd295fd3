// What a load may take over from the one before, and that nobody can tell by its result.
#include "config/cache.h"

#include "load_folder.h"
#include "load_text.h"

#include "base/check.h"

#include <fcntl.h>

static struct config_cache *cache;
static nanoseconds wall;

static nanoseconds wall_now(void) {
    return wall;
}

static int begin(void **state) {
    wall = clock_wall_ns() + 3600 * NS_PER_S; // all files are old
    cache = config_cache_create(wall_now);
    return make_folder(state);
}

static int end(void **state) {
    config_cache_destroy(cache);
    return remove_folder(state);
}

static void load_with(struct config_cache *with, struct loaded *loaded) {
    const char *paths[] = {folder};
    config_errors_init(&loaded->errors);
    config_errors_init(&loaded->warnings);
    enum error error = config_load(with, paths, 1, &loaded->snapshot, &loaded->errors, &loaded->warnings);
    assert_int_equal(error, loaded->errors.count == 0 ? OK : ERROR_INVALID);
}

static void assert_same_lines(const struct config_errors *a, const struct config_errors *b) {
    if (a->count != b->count)
        print_lines(a);
    assert_int_equal(a->count, b->count);
    for (uint32_t i = 0; i < a->count; i++)
        assert_string_equal(a->lines[i], b->lines[i]);
}

static void assert_same_service(const struct service_config *a, const struct service_config *b) {
    assert_true(bytes_equal(a->key, b->key));
    assert_true(a->digest == b->digest);
    assert_string_equal(a->place.file, b->place.file);
    assert_int_equal(a->place.line, b->place.line);
    assert_int_equal(a->traffic.place.file != NULL, b->traffic.place.file != NULL);
    assert_int_equal(a->traffic.place.line, b->traffic.place.line);
}

// Loads with the cache and without: the one must be as the other. The caller disposes of what the cache gave.
static struct config_load_figures load(struct loaded *loaded) {
    struct loaded plain;
    load_with(cache, loaded);
    load_with(NULL, &plain);
    assert_same_lines(&loaded->errors, &plain.errors);
    assert_same_lines(&loaded->warnings, &plain.warnings);
    assert_int_equal(loaded->snapshot != NULL, plain.snapshot != NULL);
    for (uint32_t i = 0; plain.snapshot != NULL && i < plain.snapshot->service_count; i++)
        assert_same_service(loaded->snapshot->services[i], plain.snapshot->services[i]);
    loaded_dispose(&plain);
    return *config_cache_figures(cache);
}

static struct config_load_figures load_once(void) {
    struct loaded loaded;
    struct config_load_figures figures = load(&loaded);
    loaded_dispose(&loaded);
    return figures;
}

static void assert_work(struct config_load_figures figures, uint32_t files_read, uint32_t files_decoded) {
    assert_int_equal(figures.files_read, files_read);
    assert_int_equal(figures.files_decoded, files_decoded);
}

#define TARGET(service) "  targetRefs: [{kind: Service, name: " service "}]\n"

static void write_three(void) {
    write_file("p.yaml", OUTBOUND_PROXY);
    write_file("s.yaml", PLAIN_ENTRY("a", "") PLAIN_ENTRY("b", ""));
    write_file("t.yaml", POLICY("t", TARGET("a") "  timeouts: {request: 5s}\n"));
}

#define ROUTE(parent, backend)                                                                \
    "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: h}\nspec:\n" \
    "  parentRefs: [{group: '', kind: Service, name: " parent "}]\n"                          \
    "  rules: [{name: r, backendRefs: [{kind: Service, name: " backend ", port: 80}]}]\n---\n"

static void only_what_changed_is_read_and_decoded(void **state) {
    (void)state;
    write_three();
    assert_work(load_once(), 3, 3);
    assert_work(load_once(), 0, 0);
    write_file("t.yaml", POLICY("t", TARGET("b") "  timeouts: {request: 5s}\n"));
    struct config_load_figures figures = load_once();
    assert_work(figures, 1, 1);
    assert_int_equal(figures.files, 3);
    assert_int_equal(figures.documents, 4);
    assert_int_equal(figures.files_revived, 1); // the Proxy: the only one of its kind
    assert_int_equal(unlink(in_folder("t.yaml")), 0);
    assert_work(load_once(), 0, 0);
    write_file("t.yaml", POLICY("t", TARGET("b")));
    assert_work(load_once(), 1, 1); // it was forgotten
}

// Nodes are for messages: of routes about which there is nothing to say no tree is made.
static void routes_with_nothing_to_tell_have_no_trees(void **state) {
    (void)state;
    write_three();
    write_file("r.yaml", ROUTE("a", "b"));
    (void)load_once();
    write_file("t.yaml", POLICY("t", TARGET("b") "  timeouts: {request: 5s}\n"));
    struct config_load_figures figures = load_once();
    assert_work(figures, 1, 1);
    assert_int_equal(figures.files_revived, 1); // the Proxy
}

static void what_says_the_same_is_not_decoded_again(void **state) {
    (void)state;
    write_three();
    (void)load_once();
    write_three();
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1, .tv_nsec = 5}};
    assert_int_equal(utimensat(AT_FDCWD, in_folder("s.yaml"), times, 0), 0);
    assert_work(load_once(), 3, 0);
    assert_work(load_once(), 0, 0);
}

// A clock of files that has stood still tells of nothing.
static void a_file_that_was_young_is_read_again(void **state) {
    (void)state;
    wall = clock_wall_ns();
    write_three();
    assert_work(load_once(), 3, 3);
    assert_work(load_once(), 3, 0);
    wall += 3600 * NS_PER_S;
    assert_work(load_once(), 3, 0);
    assert_work(load_once(), 0, 0);
}

static void who_doubts_has_all_files_read(void **state) {
    (void)state;
    write_three();
    (void)load_once();
    config_cache_doubt(cache);
    assert_work(load_once(), 3, 0);
    assert_work(load_once(), 0, 0);
}

// All is read again, since other files stand behind the names; what they say is the same but for one.
static void a_swap_of_links_decodes_what_says_something_else(void **state) {
    (void)state;
    for (unsigned i = 1; i <= 2; i++) {
        char name[32];
        snprintf(name, sizeof(name), "..v%u", i);
        assert_int_equal(mkdir(in_folder(name), 0700), 0);
        snprintf(name, sizeof(name), "..v%u/p.yaml", i);
        write_file(name, OUTBOUND_PROXY);
        snprintf(name, sizeof(name), "..v%u/s.yaml", i);
        write_file(name, i == 1 ? PLAIN_ENTRY("a", "") : PLAIN_ENTRY("b", ""));
    }
    assert_int_equal(symlink("..v1", in_folder("..data")), 0);
    assert_int_equal(symlink("..data/p.yaml", in_folder("p.yaml")), 0);
    assert_int_equal(symlink("..data/s.yaml", in_folder("s.yaml")), 0);
    assert_work(load_once(), 2, 2);
    assert_int_equal(symlink("..v2", in_folder("..data_tmp")), 0);
    assert_int_equal(rename(in_folder("..data_tmp"), in_folder("..data")), 0);
    assert_work(load_once(), 2, 1);
}

static void a_snapshot_outlives_what_it_was_made_of(void **state) {
    (void)state;
    write_three();
    struct loaded loaded;
    (void)load(&loaded);
    assert_int_equal(unlink(in_folder("s.yaml")), 0);
    assert_int_equal(unlink(in_folder("t.yaml")), 0);
    (void)load_once();
    (void)load_once();
    const struct service_config *service = find_key(loaded.snapshot, "default/a:80");
    assert_int_equal(service->endpoints[0].address.port, 8000);
    assert_int_equal(service->endpoints[0].traits->tls, TLS_NONE);
    assert_bytes_equal(service->traffic.policy, "default/t");
    assert_string_equal(service->traffic.place.file, in_folder("t.yaml"));
    loaded_dispose(&loaded);
}

// What is told of a document that was decoded long ago, because another one changed, has its line and its field all the same.
static void errors_between_documents_have_their_lines(void **state) {
    (void)state;
    static const struct {
        const char *file, *text, *line;
    } changes[] = {
        {"s.yaml", PLAIN_ENTRY("b", ""), "t.yaml:5: TrafficPolicy/default/t: spec.targetRefs[a].name: there is no Service"},
        {"s.yaml", PLAIN_ENTRY("a", "  exportTo: [Mesh]\n") PLAIN_ENTRY("b", "  identities: [x]\n"), "spec.identities[0]"},
        {"s.yaml", PLAIN_ENTRY("a", ""), "h.yaml:5: HTTPRoute/default/h: spec.parentRefs[b].name: there is no Service or ServiceEntry b"},
        {"u.yaml", POLICY("u", "  targetRefs: [{kind: HTTPRoute, name: h, sectionName: s}]\n"),
         "u.yaml:5: TrafficPolicy/default/u: spec.targetRefs[h].sectionName: \"s\" is no rule"},
        {"q.yaml", OUTBOUND_PROXY, "one Proxy too many"},
        {"p.yaml",
         API "kind: Proxy\nmetadata: {name: p}\nspec:\n  listeners: [{name: t, role: TCP, address: '127.0.0.1:15001', service: {name: b}}]\n",
         "p.yaml:5: Proxy/default/p: spec.listeners[t].service: ServiceEntry/default/b has no such port of protocol TCP or TLS"},
        {"r.yaml", PLAIN_ENTRY("a", ""), "stands twice"},
        {"a.yaml", PLAIN_ENTRY("a", ""), "s.yaml:3: ServiceEntry/default/a: metadata.name: stands twice, first in"},
        {"a.yaml", API "kind: ServiceEntry\nmetadata: {name: z}\nspec:\n  hosts: [b]\n  ports: [{name: http, port: 80}]\n  tls: {mode: None}\n",
         "s.yaml:14: ServiceEntry/default/b: spec.hosts[0]: b belongs to ServiceEntry/default/z"},
        {"a.yaml", POLICY("z", TARGET("a")), "t.yaml:5: TrafficPolicy/default/t: spec.targetRefs[a]: is the target of TrafficPolicy/default/z too"},
        {"a.yaml", API "kind: Bananas\nmetadata: {name: z}\n", "a.yaml:2: Bananas/default/z: kind: unknown kind"},
        {"t.yaml", POLICY("t", "  targetRefs: [{kind: Service, name: a, sectionName: grpc}]\n"), "\"grpc\" is no port of ServiceEntry/default/a"},
        {"a.yaml", "a: [", "is not YAML or JSON"},
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct loaded loaded;
        write_three();
        write_file("h.yaml", ROUTE("b", "b"));
        assert_int_equal(load_once().documents, 5);
        write_file(changes[i].file, changes[i].text);
        for (int times = 0; times < 2; times++) { // the second finds what the first, which was refused, left
            (void)load(&loaded);
            if (!has_line(&loaded.errors, changes[i].line))
                print_message("no error with %s but:\n", changes[i].line), print_lines(&loaded.errors);
            assert_true(has_line(&loaded.errors, changes[i].line));
            loaded_dispose(&loaded);
        }
        if (strcmp(changes[i].file, "s.yaml") != 0 && strcmp(changes[i].file, "t.yaml") != 0)
            assert_int_equal(unlink(in_folder(changes[i].file)), 0);
    }
}

static void warnings_are_told_of_each_set(void **state) {
    (void)state;
    struct loaded loaded;
    write_three();
    write_file("w.yaml", API "kind: ServiceEntry\nmetadata: {name: w, namespace: other}\nspec:\n  hosts: [w]\n"
                             "  ports: [{name: http, port: 80}]\n  tls: {mode: None}\n");
    write_file("h.yaml", ROUTE("a", "gone"));
    for (int times = 0; times < 2; times++) {
        (void)load(&loaded);
        assert_true(has_line(&loaded.warnings, "h.yaml:6: HTTPRoute/default/h: spec.rules[r].backendRefs[gone]: default/gone is not there"));
        assert_true(has_line(&loaded.warnings, "w.yaml:4: ServiceEntry/other/w: spec.endpoints: there is none"));
        assert_true(has_line(&loaded.warnings, "w.yaml:1: ServiceEntry/other/w: is seen in namespace other alone"));
        loaded_dispose(&loaded);
    }
}

static void a_file_that_is_reached_twice_is_two(void **state) {
    (void)state;
    write_three();
    const char *paths[] = {folder, in_folder("s.yaml")};
    for (int times = 0; times < 2; times++) {
        struct loaded loaded;
        config_errors_init(&loaded.errors);
        config_errors_init(&loaded.warnings);
        assert_int_equal(config_load(cache, paths, 2, &loaded.snapshot, &loaded.errors, &loaded.warnings), ERROR_INVALID);
        assert_int_equal(loaded.errors.count, 2);
        assert_true(has_line(&loaded.errors, "ServiceEntry/default/b: metadata.name: stands twice"));
        loaded_dispose(&loaded);
    }
}

static void all_documents_together_have_a_bound(void **state) {
    (void)state;
    write_file("p.yaml", OUTBOUND_PROXY);
    write_file("00", "---\n");
    FILE *file = fopen(in_folder("00"), "a");
    assert_non_null(file);
    for (uint32_t i = 0; i < FILE_BYTES_MAX / 4096 - 1; i++)
        assert_int_equal(fprintf(file, "#%4094s\n", ""), 4096);
    assert_int_equal(fclose(file), 0);
    for (int i = 0; i < 17; i++) {
        char name[32];
        snprintf(name, sizeof(name), "%02d.yaml", i);
        assert_int_equal(link(in_folder("00"), in_folder(name)), 0);
    }
    struct loaded loaded;
    load_with(cache, &loaded);
    assert_int_equal(loaded.errors.count, 1);
    assert_true(has_line(&loaded.errors, "16.yaml: is too much: all documents together may have at most 67108864 bytes"));
    loaded_dispose(&loaded);
}

#define IN_FOLDER_WITH_CACHE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER_WITH_CACHE(only_what_changed_is_read_and_decoded),   IN_FOLDER_WITH_CACHE(routes_with_nothing_to_tell_have_no_trees),
        IN_FOLDER_WITH_CACHE(what_says_the_same_is_not_decoded_again), IN_FOLDER_WITH_CACHE(a_file_that_was_young_is_read_again),
        IN_FOLDER_WITH_CACHE(who_doubts_has_all_files_read),           IN_FOLDER_WITH_CACHE(a_swap_of_links_decodes_what_says_something_else),
        IN_FOLDER_WITH_CACHE(a_snapshot_outlives_what_it_was_made_of), IN_FOLDER_WITH_CACHE(errors_between_documents_have_their_lines),
        IN_FOLDER_WITH_CACHE(warnings_are_told_of_each_set),           IN_FOLDER_WITH_CACHE(a_file_that_is_reached_twice_is_two),
        IN_FOLDER_WITH_CACHE(all_documents_together_have_a_bound),
    };
    return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
