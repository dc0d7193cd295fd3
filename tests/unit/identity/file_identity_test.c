// Files that are swapped under a running identity: on a virtual clock, where only the look every few seconds sees it, and once on a real loop, where the
// system tells.
#include "identity/file_identity.h"

#include "base/log.h"
#include "net/loop.h"
#include "net/tls.h"
#include "support/check_loop.h"
#include "support/test_ca.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ID "spiffe://school.local/ns/school/sa/courses"

// A folder as Kubernetes mounts a secret: names lead to ..data/, which leads to a folder with one version of all files.
struct volume {
    char folder[64];
    char paths[3][96];
    unsigned version;
};

static const char *const names[] = {"tls.crt", "tls.key", "ca.crt"};

static struct test_identity root;
static char lines[8192];
static nanoseconds wall_ahead; // of the system's clock

static nanoseconds wall_clock(void) {
    return clock_wall_ns() + wall_ahead;
}

static void keep_line(enum log_level level, const char *line) {
    (void)level;
    size_t used = strlen(lines);
    snprintf(lines + used, sizeof(lines) - used, "%s\n", line);
}

static int set_up(void **state) {
    (void)state;
    root = test_root("spiffe://school.local");
    log_redirect(keep_line);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    test_identity_free(&root);
    log_redirect(NULL);
    return 0;
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void volume_init(struct volume *volume) {
    char folder[] = "/tmp/outrigger-identity-XXXXXX";
    assert_non_null(mkdtemp(folder));
    *volume = (struct volume){.version = 0};
    memcpy(volume->folder, folder, sizeof(folder));
    for (int i = 0; i < 3; i++) {
        char target[32];
        snprintf(volume->paths[i], sizeof(volume->paths[i]), "%s/%s", folder, names[i]);
        snprintf(target, sizeof(target), "..data/%s", names[i]);
        assert_int_equal(symlink(target, volume->paths[i]), 0);
    }
}

static void remove_version(const struct volume *volume, unsigned version) {
    char path[128];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/..%u/%s", volume->folder, version, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof(path), "%s/..%u", volume->folder, version);
    rmdir(path);
}

static void volume_publish(struct volume *volume, const char *certificate, const char *key, const char *bundle) {
    const char *const texts[] = {certificate, key, bundle};
    char path[128], fresh[96], link[96];
    volume->version++;
    snprintf(path, sizeof(path), "%s/..%u", volume->folder, volume->version);
    assert_int_equal(mkdir(path, 0700), 0);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/..%u/%s", volume->folder, volume->version, names[i]);
        if (texts[i] != NULL)
            write_file(path, texts[i]);
    }
    snprintf(fresh, sizeof(fresh), "%s/..data_new", volume->folder);
    snprintf(link, sizeof(link), "%s/..data", volume->folder);
    snprintf(path, sizeof(path), "..%u", volume->version);
    assert_int_equal(symlink(path, fresh), 0);
    assert_int_equal(rename(fresh, link), 0);
    remove_version(volume, volume->version - 1);
}

static void volume_publish_identity(struct volume *volume, const struct test_identity *identity) {
    char *certificate = test_certificates_pem(identity, NULL);
    char *key = test_key_pem(identity);
    char *bundle = test_certificates_pem(&root, NULL);
    volume_publish(volume, certificate, key, bundle);
    free(certificate);
    free(key);
    free(bundle);
}

static void volume_remove(struct volume *volume) {
    char path[96];
    remove_version(volume, volume->version);
    for (int i = 0; i < 3; i++)
        unlink(volume->paths[i]);
    snprintf(path, sizeof(path), "%s/..data", volume->folder);
    unlink(path);
    assert_int_equal(rmdir(volume->folder), 0);
}

// What an owner sees.
struct owner {
    unsigned published, refused;
    uint64_t generation;
    char id[128];
    struct loop *stop; // loop to stop when something is published
};

static void on_publish(void *user, struct credentials *credentials) {
    struct owner *owner = user;
    owner->published++;
    owner->generation = credentials_generation(credentials);
    snprintf(owner->id, sizeof(owner->id), "%.*s", BYTES_FORMAT(credentials_id(credentials)->text));
    if (owner->stop != NULL)
        loop_stop(owner->stop);
}

static void on_refused(void *user, const char *reason) {
    struct owner *owner = user;
    owner->refused++;
    assert_true(reason[0] != '\0');
}

struct fixture {
    struct check_loop check;
    struct volume volume;
    struct ticket_keys *keys;
    struct owner owner;
    struct file_identity *identity;
};

static void open_identity(struct fixture *f, struct loop *loop, nanoseconds poll_interval) {
    struct file_identity_options options = {
        .certificate = bytes_from_text(f->volume.paths[0]),
        .private_key = bytes_from_text(f->volume.paths[1]),
        .trust_bundle = bytes_from_text(f->volume.paths[2]),
        .ticket_keys = f->keys,
        .poll_interval = poll_interval,
        .wall_clock = wall_clock,
        .publish = on_publish,
        .refused = on_refused,
        .owner = &f->owner,
    };
    f->identity = file_identity_create(loop, &options);
    assert_int_equal(f->owner.published, 0);
}

static void begin(struct fixture *f) {
    *f = (struct fixture){.keys = ticket_keys_create()};
    lines[0] = '\0';
    wall_ahead = 0;
    check_loop_init(&f->check);
    volume_init(&f->volume);
}

static void end(struct fixture *f) {
    file_identity_close(f->identity);
    check_loop_dispose(&f->check);
    ticket_keys_destroy(f->keys);
    volume_remove(&f->volume);
}

static void publish_leaf(struct fixture *f, const char *id) {
    struct test_identity leaf = test_svid(id, &root);
    volume_publish_identity(&f->volume, &leaf);
    test_identity_free(&leaf);
}

static void files_that_are_there_are_published_in_the_first_turn(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    publish_leaf(&f, ID);
    open_identity(&f, &f.check.loop, 0);
    check_loop_pass(&f.check, NS_PER_MS);
    assert_int_equal(f.owner.published, 1);
    assert_int_equal(f.owner.generation, 1);
    assert_string_equal(f.owner.id, ID);
    const struct identity_state *known = file_identity_state(f.identity);
    assert_int_equal(known->generation, 1);
    assert_int_equal(known->refused, 0);
    assert_string_equal(known->last_error, "");
    assert_true(known->loaded_wall > 0);
    assert_non_null(strstr(lines, "identity_loaded"));
    end(&f);
}

static void a_swap_of_the_symbolic_link_is_loaded_as_the_next_generation(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    publish_leaf(&f, ID);
    open_identity(&f, &f.check.loop, 0);
    check_loop_pass(&f.check, NS_PER_S);
    publish_leaf(&f, ID);
    check_loop_pass(&f.check, 6 * NS_PER_S);
    assert_int_equal(f.owner.published, 2);
    assert_int_equal(f.owner.generation, 2);
    check_loop_pass(&f.check, 60 * NS_PER_S);
    assert_int_equal(f.owner.published, 2);
    end(&f);
}

static void a_swap_for_the_same_content_publishes_nothing(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    struct test_identity leaf = test_svid(ID, &root);
    volume_publish_identity(&f.volume, &leaf);
    open_identity(&f, &f.check.loop, 0);
    check_loop_pass(&f.check, NS_PER_S);
    volume_publish_identity(&f.volume, &leaf);
    check_loop_pass(&f.check, 20 * NS_PER_S);
    assert_int_equal(f.owner.published, 1);
    assert_int_equal(file_identity_state(f.identity)->refused, 0);
    test_identity_free(&leaf);
    end(&f);
}

static void a_bad_set_keeps_the_one_before_in_force_and_says_so_once(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    publish_leaf(&f, ID);
    open_identity(&f, &f.check.loop, 0);
    check_loop_pass(&f.check, NS_PER_S);
    struct credentials *before = file_identity_credentials(f.identity);
    volume_publish(&f.volume, "nothing", "nothing", "nothing");
    check_loop_pass(&f.check, 30 * NS_PER_S);
    const struct identity_state *known = file_identity_state(f.identity);
    assert_int_equal(f.owner.published, 1);
    assert_ptr_equal(file_identity_credentials(f.identity), before);
    assert_int_equal(known->generation, 1);
    assert_int_equal(known->refused, 1);
    assert_string_equal(known->last_error, "certificate: no certificate in it");
    const char *said = strstr(lines, "identity_refused");
    assert_non_null(said);
    assert_null(strstr(said + 1, "identity_refused"));

    publish_leaf(&f, ID);
    check_loop_pass(&f.check, 10 * NS_PER_S);
    assert_int_equal(f.owner.generation, 2);
    assert_string_equal(known->last_error, "");
    assert_int_equal(known->refused, 1);
    end(&f);
}

static void each_part_of_a_set_can_be_what_is_wrong(void **state) {
    (void)state;
    struct fixture f;
    struct test_identity leaf = test_svid(ID, &root);
    struct test_identity other = test_svid(ID, &root);
    struct test_identity other_root = test_root("spiffe://school.local");
    struct test_template template = test_template_svid(ID);
    template.not_after_s = -10;
    struct test_identity expired = test_issue(&template, &root);
    template = test_template_svid(ID);
    template.key_usage = NULL;
    struct test_identity no_svid = test_issue(&template, &root);
    const struct {
        const struct test_identity *certificate, *key, *bundle;
        const char *error;
    } cases[] = {
        {&leaf, &other, &root, "private key: it does not belong to the certificate"},
        {&leaf, &leaf, &other_root, "certificate: "},
        {&leaf, &leaf, &leaf, "trust bundle: "},
        {&expired, &expired, &root, "certificate: a certificate has expired"},
        {&no_svid, &no_svid, &root, "certificate: no key usage"},
        {NULL, &leaf, &root, "No such file"},
        {&leaf, NULL, &root, "No such file"},
        {&leaf, &leaf, NULL, "No such file"},
    };
    begin(&f);
    publish_leaf(&f, ID);
    open_identity(&f, &f.check.loop, 0);
    check_loop_pass(&f.check, NS_PER_S);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *certificate = cases[i].certificate == NULL ? NULL : test_certificates_pem(cases[i].certificate, NULL);
        char *key = cases[i].key == NULL ? NULL : test_key_pem(cases[i].key);
        char *bundle = cases[i].bundle == NULL ? NULL : test_certificates_pem(cases[i].bundle, NULL);
        volume_publish(&f.volume, certificate, key, bundle);
        check_loop_pass(&f.check, 10 * NS_PER_S);
        assert_int_equal(file_identity_state(f.identity)->refused, i + 1);
        assert_non_null(strstr(file_identity_state(f.identity)->last_error, cases[i].error));
        free(certificate);
        free(key);
        free(bundle);
    }
    assert_int_equal(f.owner.published, 1);
    test_identity_free(&leaf);
    test_identity_free(&other);
    test_identity_free(&other_root);
    test_identity_free(&expired);
    test_identity_free(&no_svid);
    end(&f);
}

static void a_set_that_is_new_only_in_part_is_waited_for(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    publish_leaf(&f, ID);
    open_identity(&f, &f.check.loop, 0);
    check_loop_pass(&f.check, 4900 * NS_PER_MS);
    // The new certificate is there, its key still to come: as seen by the look at 5 s.
    struct test_identity next = test_svid(ID, &root);
    char *certificate = test_certificates_pem(&next, NULL);
    char *key = test_key_pem(&next);
    char path[128];
    snprintf(path, sizeof(path), "%s/..1/tls.crt", f.volume.folder);
    write_file(path, certificate);
    check_loop_pass(&f.check, NS_PER_S);
    assert_int_equal(f.owner.published, 1);
    snprintf(path, sizeof(path), "%s/..1/tls.key", f.volume.folder);
    write_file(path, key);
    check_loop_pass(&f.check, NS_PER_S);
    assert_int_equal(f.owner.published, 2);
    assert_int_equal(file_identity_state(f.identity)->refused, 0);
    assert_null(strstr(lines, "identity_refused"));
    free(certificate);
    free(key);
    test_identity_free(&next);
    end(&f);
}

static void files_may_come_after_the_start(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    open_identity(&f, &f.check.loop, 0);
    check_loop_pass(&f.check, 10 * NS_PER_S);
    assert_int_equal(f.owner.published, 0);
    assert_null(file_identity_credentials(f.identity));
    assert_int_equal(file_identity_state(f.identity)->refused, 1);
    publish_leaf(&f, ID);
    check_loop_pass(&f.check, 10 * NS_PER_S);
    assert_int_equal(f.owner.published, 1);
    assert_int_equal(f.owner.generation, 1);
    end(&f);
}

static void a_certificate_that_is_not_yet_valid_is_tried_again(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    struct test_template template = test_template_svid(ID);
    template.not_before_s = 600;
    struct test_identity leaf = test_issue(&template, &root);
    volume_publish_identity(&f.volume, &leaf);
    open_identity(&f, &f.check.loop, 0);
    check_loop_pass(&f.check, 10 * NS_PER_S);
    assert_int_equal(f.owner.published, 0);
    assert_non_null(strstr(file_identity_state(f.identity)->last_error, "not yet valid"));
    wall_ahead = 601 * NS_PER_S;
    check_loop_pass(&f.check, 6 * NS_PER_S);
    assert_int_equal(f.owner.published, 1);
    assert_int_equal(file_identity_state(f.identity)->refused, 1);
    assert_string_equal(file_identity_state(f.identity)->last_error, "");
    test_identity_free(&leaf);
    end(&f);
}

static unsigned count_of(const char *text) {
    unsigned count = 0;
    for (const char *at = strstr(lines, text); at != NULL; at = strstr(at + 1, text))
        count++;
    return count;
}

static void the_log_warns_once_at_30_and_at_10_percent_of_the_life_and_at_its_end(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    struct test_template template = test_template_svid(ID);
    template.not_before_s = 0;
    template.not_after_s = 1000;
    struct test_identity leaf = test_issue(&template, &root);
    volume_publish_identity(&f.volume, &leaf);
    open_identity(&f, &f.check.loop, 0);
    static const struct {
        unsigned after_s, warnings, ends;
    } steps[] = {{650, 0, 0}, {720, 1, 0}, {850, 1, 0}, {920, 2, 0}, {990, 2, 0}, {1010, 2, 1}, {2000, 2, 1}};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        wall_ahead = steps[i].after_s * NS_PER_S;
        check_loop_pass(&f.check, 12 * NS_PER_S);
        assert_int_equal(count_of("event=identity_expires"), steps[i].warnings);
        assert_int_equal(count_of("event=identity_expired"), steps[i].ends);
    }
    test_identity_free(&leaf);
    end(&f);
}

static void no_message_ever_has_anything_of_the_key(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    struct test_identity leaf = test_svid(ID, &root);
    struct test_identity other = test_svid(ID, &root);
    char *key = test_key_pem(&leaf);
    char *other_key = test_key_pem(&other);
    char *certificate = test_certificates_pem(&leaf, NULL);
    char *bundle = test_certificates_pem(&root, NULL);
    char broken[4096];
    snprintf(broken, sizeof(broken), "%s", key);
    broken[strlen(broken) - 40] = '!';
    const struct {
        const char *certificate, *key, *bundle;
    } sets[] = {{certificate, other_key, bundle}, {certificate, broken, bundle}, {key, key, key}, {certificate, key, key}};
    open_identity(&f, &f.check.loop, 0);
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        volume_publish(&f.volume, sets[i].certificate, sets[i].key, sets[i].bundle);
        check_loop_pass(&f.check, 10 * NS_PER_S);
        const char *const secrets[] = {key, other_key};
        for (size_t k = 0; k < 2; k++) {
            for (const char *line = strchr(secrets[k], '\n') + 1; line[0] != '-'; line = strchr(line, '\n') + 1) {
                char piece[17];
                snprintf(piece, sizeof(piece), "%.16s", line);
                assert_null(strstr(lines, piece));
                assert_null(strstr(file_identity_state(f.identity)->last_error, piece));
            }
        }
    }
    assert_int_equal(file_identity_state(f.identity)->refused, sizeof(sets) / sizeof(sets[0]));
    free(key);
    free(other_key);
    free(certificate);
    free(bundle);
    test_identity_free(&leaf);
    test_identity_free(&other);
    end(&f);
}

// The clock is real here and the look every few seconds an hour away: only the system can tell. The test waits for the event itself.
static void the_system_tells_of_a_swap(void **state) {
    (void)state;
    struct fixture f = {.keys = ticket_keys_create()};
    struct loop loop;
    lines[0] = '\0';
    wall_ahead = 0;
    loop_init(&loop, NULL);
    volume_init(&f.volume);
    publish_leaf(&f, ID);
    open_identity(&f, &loop, 3600 * NS_PER_S);
    f.owner.stop = &loop;
    loop_run(&loop);
    assert_int_equal(f.owner.published, 1);
    publish_leaf(&f, "spiffe://school.local/ns/school/sa/other");
    loop_run(&loop);
    assert_int_equal(f.owner.published, 2);
    assert_string_equal(f.owner.id, "spiffe://school.local/ns/school/sa/other");
    file_identity_close(f.identity);
    loop_dispose(&loop);
    ticket_keys_destroy(f.keys);
    volume_remove(&f.volume);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_that_are_there_are_published_in_the_first_turn),
        cmocka_unit_test(a_swap_of_the_symbolic_link_is_loaded_as_the_next_generation),
        cmocka_unit_test(a_swap_for_the_same_content_publishes_nothing),
        cmocka_unit_test(a_bad_set_keeps_the_one_before_in_force_and_says_so_once),
        cmocka_unit_test(each_part_of_a_set_can_be_what_is_wrong),
        cmocka_unit_test(a_set_that_is_new_only_in_part_is_waited_for),
        cmocka_unit_test(files_may_come_after_the_start),
        cmocka_unit_test(a_certificate_that_is_not_yet_valid_is_tried_again),
        cmocka_unit_test(the_log_warns_once_at_30_and_at_10_percent_of_the_life_and_at_its_end),
        cmocka_unit_test(no_message_ever_has_anything_of_the_key),
        cmocka_unit_test(the_system_tells_of_a_swap),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
