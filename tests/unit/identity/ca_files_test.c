// CA sets as documents name them and files change under them, on a virtual clock: only the look every few seconds sees a change.
#include "identity/ca_files.h"

#include "base/log.h"
#include "config/load.h"
#include "net/tls.h"
#include "support/check_loop.h"
#include "support/test_ca.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char lines[4096];

static void keep_line(enum log_level level, const char *line) {
    (void)level;
    strncat(lines, line, sizeof lines - strlen(lines) - 1);
}

struct fixture {
    struct check_loop check;
    struct ca_files *files;
    char folder[32];
    char paths[2][64];
    struct bytes texts[2];
    struct ca_set_config sets[2];
    struct snapshot snapshot; // of which the sets alone are looked at
    unsigned published, withdrawn, refused;
    uint64_t generation;
    uint32_t certificates;
    struct bytes key; // of what was told last
};

static void on_publish(void *owner, struct bytes key, struct bytes files, struct credentials *credentials) {
    struct fixture *f = owner;
    f->published++;
    assert_true(bytes_equal(files, f->texts[bytes_equal(key, f->sets[0].key) ? 0 : 1]));
    assert_true(credentials_generation(credentials) > f->generation);
    f->generation = credentials_generation(credentials);
    f->certificates = ca_set_count(credentials_authorities(credentials));
    f->key = bytes_equal(key, f->sets[0].key) ? f->sets[0].key : f->sets[1].key;
}

static void on_refused(void *owner, struct bytes files, const char *reason) {
    struct fixture *f = owner;
    f->refused++;
    assert_true(bytes_equal(files, f->texts[0]) && reason[0] != '\0');
}

static void on_withdraw(void *owner, struct bytes key, struct credentials *credentials) {
    struct fixture *f = owner;
    f->withdrawn++;
    assert_non_null(credentials);
    f->key = bytes_equal(key, f->sets[0].key) ? f->sets[0].key : f->sets[1].key;
}

static void write_file(const char *path, const char *text) {
    char next[96];
    snprintf(next, sizeof next, "%s.next", path);
    FILE *file = fopen(next, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(next, path), 0);
}

static void write_roots(const char *path, unsigned count) {
    struct test_identity first = test_root(NULL);
    struct test_identity second = test_root(NULL);
    char *pem = test_certificates_pem(&first, count > 1 ? &second : NULL, NULL);
    write_file(path, pem);
    free(pem);
    test_identity_free(&first);
    test_identity_free(&second);
}

static void begin(struct fixture *f) {
    static const char *const keys[] = {"one", "two"};
    *f = (struct fixture){.folder = "/tmp/ca_files_XXXXXX"};
    lines[0] = '\0';
    log_redirect(keep_line);
    assert_non_null(mkdtemp(f->folder));
    for (int i = 0; i < 2; i++) {
        snprintf(f->paths[i], sizeof f->paths[i], "%s/%d.pem", f->folder, i);
        f->texts[i] = bytes_from_text(f->paths[i]);
        f->sets[i] = (struct ca_set_config){.key = bytes_from_text(keys[i]), .files = &f->texts[i], .file_count = 1, .document = "ServiceEntry/a/b"};
    }
    check_loop_init(&f->check);
    const struct ca_files_options options = {.publish = on_publish, .withdraw = on_withdraw, .refused = on_refused, .owner = f};
    f->files = ca_files_create(&f->check.loop, &options);
}

static void end(struct fixture *f) {
    ca_files_close(f->files);
    check_loop_dispose(&f->check);
    log_redirect(NULL);
    for (int i = 0; i < 2; i++)
        unlink(f->paths[i]);
    assert_int_equal(rmdir(f->folder), 0);
}

// The snapshot names the sets whose bit is set.
static void follow(struct fixture *f, unsigned which) {
    f->snapshot.ca_sets = NULL;
    for (int i = 0; i < 2; i++) {
        if ((which & 1U << i) == 0)
            continue;
        f->sets[i].next = f->snapshot.ca_sets;
        f->snapshot.ca_sets = &f->sets[i];
    }
    ca_files_follow(f->files, &f->snapshot);
}

static void a_set_is_published_before_its_snapshot_and_withdrawn_behind_the_next(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    write_roots(f.paths[0], 1);
    write_roots(f.paths[1], 2);
    follow(&f, 1);
    assert_int_equal(f.published, 1);
    assert_int_equal(f.certificates, 1);
    ca_files_forget(f.files);
    follow(&f, 3);
    assert_int_equal(f.published, 2); // the one that is there is not read again
    assert_int_equal(f.certificates, 2);
    assert_ptr_equal(f.key.at, f.sets[1].key.at);
    follow(&f, 2);
    assert_int_equal(f.withdrawn, 0);
    ca_files_forget(f.files);
    assert_int_equal(f.withdrawn, 1);
    assert_ptr_equal(f.key.at, f.sets[0].key.at);
    assert_int_equal(ca_files_count(f.files), 1);
    follow(&f, 3); // and comes back as another version
    assert_int_equal(f.published, 3);
    end(&f);
}

static void a_change_is_published_and_the_same_content_is_none(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    write_roots(f.paths[0], 1);
    follow(&f, 1);
    write_roots(f.paths[0], 2);
    check_loop_pass(&f.check, 6 * NS_PER_S);
    assert_int_equal(f.published, 2);
    assert_int_equal(f.certificates, 2);
    FILE *from = fopen(f.paths[0], "r");
    char text[8192];
    text[fread(text, 1, sizeof text - 1, from)] = '\0';
    fclose(from);
    write_file(f.paths[0], text);
    check_loop_pass(&f.check, 20 * NS_PER_S);
    assert_int_equal(f.published, 2);
    end(&f);
}

static void what_is_of_no_use_leaves_the_set_in_force_and_is_told_once(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    write_roots(f.paths[0], 1);
    follow(&f, 1);
    write_file(f.paths[0], "nothing\n");
    check_loop_pass(&f.check, 30 * NS_PER_S);
    assert_int_equal(f.published, 1);
    const struct ca_files_state known = ca_files_state(f.files, 0);
    assert_non_null(known.credentials);
    assert_non_null(strstr(known.last_error, "no certificate in it"));
    const char *told = strstr(lines, "ca_set_refused");
    assert_non_null(told);
    assert_null(strstr(told + 1, "ca_set_refused"));
    write_roots(f.paths[0], 2);
    check_loop_pass(&f.check, 6 * NS_PER_S);
    assert_int_equal(f.published, 2);
    assert_string_equal(ca_files_state(f.files, 0).last_error, "");
    end(&f);
}

static void a_file_may_come_later(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    follow(&f, 1);
    assert_int_equal(f.published, 0);
    assert_null(ca_files_state(f.files, 0).credentials);
    check_loop_pass(&f.check, 10 * NS_PER_S);
    write_roots(f.paths[0], 1);
    ca_files_reload(f.files); // at once, when asked
    assert_int_equal(f.published, 1);
    follow(&f, 0);
    ca_files_forget(f.files);
    assert_int_equal(f.withdrawn, 1);
    end(&f);
}

static void one_that_never_came_is_withdrawn_from_nobody(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    follow(&f, 1);
    follow(&f, 0);
    ca_files_forget(f.files);
    assert_int_equal(f.withdrawn, 0);
    assert_int_equal(ca_files_count(f.files), 0);
    end(&f);
}

static void a_check_tells_which_document_and_why(void **state) {
    (void)state;
    struct fixture f;
    struct config_errors errors;
    begin(&f);
    config_errors_init(&errors);
    write_roots(f.paths[0], 1);
    f.snapshot.ca_sets = &f.sets[0];
    assert_true(ca_files_check(&f.snapshot, &errors));
    f.snapshot.ca_sets = &f.sets[1];
    assert_false(ca_files_check(&f.snapshot, &errors));
    assert_int_equal(errors.count, 1);
    assert_non_null(strstr(errors.lines[0], "ServiceEntry/a/b: caCertificates: "));
    assert_non_null(strstr(errors.lines[0], "No such file or directory"));
    config_errors_dispose(&errors);
    end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_is_published_before_its_snapshot_and_withdrawn_behind_the_next),
        cmocka_unit_test(a_change_is_published_and_the_same_content_is_none),
        cmocka_unit_test(what_is_of_no_use_leaves_the_set_in_force_and_is_told_once),
        cmocka_unit_test(a_file_may_come_later),
        cmocka_unit_test(one_that_never_came_is_withdrawn_from_nobody),
        cmocka_unit_test(a_check_tells_which_document_and_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
