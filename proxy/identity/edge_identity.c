// Loads the files of all certificates of a gateway's socket as they change (identity/watched_files). One that is of no use is told once, and keeps no other from being shown.
#include "identity/edge_identity.h"

#include "base/check.h"
#include "base/log.h"
#include "base/pool.h"
#include "identity/secret_file.h"
#include "identity/watched_files.h"
#include "net/loop.h"
#include "net/tls.h"

#include <stdio.h>
#include <stdlib.h>

enum { PART_CERTIFICATE, PART_KEY, PARTS };

struct edge_entry {
    struct bytes hostname, name; // owned
    char *paths[PARTS];
    struct tls_certificate *certificate; // the last good one; NULL: none yet
};

struct edge_identity {
    struct loop *loop;
    struct ticket_keys *ticket_keys;
    struct edge_identity_state state; // its socket is owned
    void (*publish)(void *owner, struct bytes socket, struct credentials *credentials);
    void (*refused)(void *owner, struct bytes socket, const char *reason);
    void *owner;
    struct edge_entry *entries;
    struct watched_files *files;
    struct credentials *credentials;
    uint64_t generation;
    bool replaces; // another that has shown certificates here: what is not among ours is over with the first try
    struct task release;
};

static enum error read_entry(const struct edge_entry *entry, struct tls_certificate **certificate, char *reason, size_t reason_size) {
    struct bytes pem[PARTS] = {BYTES_NONE, BYTES_NONE};
    char text[192];
    enum error error = OK;
    for (int part = 0; part < PARTS && error == OK; part++)
        error = secret_file_read(entry->paths[part], &pem[part], reason, reason_size);
    if (error == OK) {
        error = tls_certificate_create(pem[PART_CERTIFICATE], pem[PART_KEY], certificate, text, sizeof text);
        if (error != OK)
            snprintf(reason, reason_size, "%.*s: %s", BYTES_FORMAT(entry->name), text);
    }
    for (int part = 0; part < PARTS; part++)
        secret_file_forget(&pem[part]);
    return error;
}

static uint32_t count_good(const struct edge_identity *identity) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < identity->state.certificates; i++)
        count += identity->entries[i].certificate != NULL ? 1 : 0;
    return count;
}

// What is good now: it may be nothing at all.
static void publish(struct edge_identity *identity) {
    const uint32_t count = identity->state.certificates, good = count_good(identity);
    struct tls_edge_certificate *certificates = alloc_zeroed_or_abort(count, sizeof *certificates);
    for (uint32_t i = 0; i < count; i++)
        certificates[i] = (struct tls_edge_certificate){.hostname = identity->entries[i].hostname, .certificate = identity->entries[i].certificate};
    credentials_unref(identity->credentials);
    identity->credentials = good > 0 ? credentials_create_edge(certificates, count, identity->ticket_keys, ++identity->generation) : NULL;
    free(certificates);
    identity->replaces = false;
    if (good > 0) {
        identity->state.loaded_wall = clock_wall_ns();
        log_event(LOG_INFO, "edge_certificates_loaded", "listener=%.*s generation=%llu certificates=%u missing=%u not_after=%lld",
                  BYTES_FORMAT(identity->state.socket), (unsigned long long)identity->generation, good, count - good,
                  (long long)credentials_not_after(identity->credentials));
    }
    identity->publish(identity->owner, identity->state.socket, identity->credentials);
}

// Takes over `fresh`, which may be NULL. Whether another is shown from now on.
static bool take(struct edge_entry *entry, struct tls_certificate *fresh) {
    const bool is_other = fresh != NULL && (entry->certificate == NULL || !tls_certificate_is_same(entry->certificate, fresh));
    struct tls_certificate *gone = is_other ? entry->certificate : fresh;
    entry->certificate = is_other ? fresh : entry->certificate;
    tls_certificate_unref(gone);
    return is_other;
}

// `reason` is that of the first that is of no use.
static enum error load(void *owner, char *reason, size_t reason_size) {
    struct edge_identity *identity = owner;
    const uint32_t count = identity->state.certificates;
    struct tls_certificate **fresh = alloc_zeroed_or_abort(count, sizeof(struct tls_certificate *));
    bool changed = identity->replaces;
    enum error error = OK;
    for (uint32_t i = 0; i < count; i++) {
        char text[WATCHED_FILES_REASON_SIZE];
        const enum error of_entry = read_entry(&identity->entries[i], &fresh[i], text, sizeof text);
        if (of_entry != OK && error == OK)
            snprintf(reason, reason_size, "%s", text);
        error = error == OK ? of_entry : error;
    }
    char text[WATCHED_FILES_REASON_SIZE];
    const bool is_one_set = watched_files_confirm(identity->files, text, sizeof text) == OK;
    if (!is_one_set && error == OK)
        snprintf(reason, reason_size, "%s", text);
    for (uint32_t i = 0; i < count; i++) {
        if (is_one_set)
            changed |= take(&identity->entries[i], fresh[i]);
        else
            tls_certificate_unref(fresh[i]);
    }
    free(fresh);
    if (changed)
        publish(identity);
    if (error != OK || !is_one_set)
        return error != OK ? error : ERROR_IO;
    identity->state.accepted++;
    identity->state.last_error[0] = '\0';
    return OK;
}

static void refuse(void *owner, const char *reason) {
    struct edge_identity *identity = owner;
    identity->state.refused++;
    snprintf(identity->state.last_error, sizeof identity->state.last_error, "%s", reason);
    log_event(LOG_ERROR, "edge_certificates_refused", "listener=%.*s in_force=%llu reason=\"%s\"", BYTES_FORMAT(identity->state.socket),
              (unsigned long long)identity->generation, reason);
    if (identity->refused != NULL)
        identity->refused(identity->owner, identity->state.socket, reason);
}

static void watch_files(struct edge_identity *identity) {
    const uint32_t count = identity->state.certificates * PARTS;
    const char **paths = alloc_zeroed_or_abort(count, sizeof *paths);
    for (uint32_t i = 0; i < count; i++)
        paths[i] = identity->entries[i / PARTS].paths[i % PARTS];
    const struct watched_files_options files = {.paths = paths, .count = count, .load = load, .refuse = refuse, .owner = identity};
    identity->files = watched_files_create(identity->loop, &files);
    free(paths);
}

static void on_release(struct task *task) {
    struct edge_identity *identity = CONTAINER_OF(task, struct edge_identity, release);
    identity->loop->handles--;
    credentials_unref(identity->credentials);
    for (uint32_t i = 0; i < identity->state.certificates; i++) {
        bytes_drop(&identity->entries[i].hostname);
        bytes_drop(&identity->entries[i].name);
        tls_certificate_unref(identity->entries[i].certificate);
        for (int part = 0; part < PARTS; part++)
            free(identity->entries[i].paths[part]);
    }
    free(identity->entries);
    bytes_drop(&identity->state.socket);
    free(identity);
}

static uint32_t count_certificates(const struct gateway_config *gateway) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < gateway->listener_count; i++)
        count += gateway->listeners[i]->certificate_count;
    return count;
}

static void take_entries(struct edge_identity *identity, const struct gateway_config *gateway) {
    identity->entries = alloc_zeroed_or_abort(count_certificates(gateway), sizeof identity->entries[0]);
    for (uint32_t i = 0; i < gateway->listener_count; i++) {
        const struct gateway_listener *listener = gateway->listeners[i];
        for (uint32_t j = 0; j < listener->certificate_count; j++) {
            struct edge_entry *entry = &identity->entries[identity->state.certificates++];
            entry->hostname = bytes_keep(listener->hostname);
            entry->name = bytes_keep(listener->certificates[j]->name);
            entry->paths[PART_CERTIFICATE] = copy_text_or_abort(listener->certificates[j]->certificate);
            entry->paths[PART_KEY] = copy_text_or_abort(listener->certificates[j]->private_key);
        }
    }
}

static bool is_of_same_files(const struct edge_entry *entry, const struct edge_entry *other) {
    return strcmp(entry->paths[PART_CERTIFICATE], other->paths[PART_CERTIFICATE]) == 0 && strcmp(entry->paths[PART_KEY], other->paths[PART_KEY]) == 0;
}

static void take_over(struct edge_identity *identity, const struct edge_identity *before) {
    identity->replaces = true;
    for (uint32_t i = 0; i < identity->state.certificates; i++)
        for (uint32_t j = 0; j < before->state.certificates && identity->entries[i].certificate == NULL; j++)
            if (before->entries[j].certificate != NULL && is_of_same_files(&identity->entries[i], &before->entries[j]))
                identity->entries[i].certificate = tls_certificate_ref(before->entries[j].certificate);
}

struct edge_identity *edge_identity_create(struct loop *loop, const struct edge_identity_options *options) {
    CHECK(count_certificates(options->gateway) > 0);
    struct edge_identity *identity = alloc_zeroed_or_abort(1, sizeof *identity);
    identity->loop = loop;
    identity->ticket_keys = options->ticket_keys;
    identity->state.socket = bytes_keep(options->socket);
    identity->publish = options->publish;
    identity->refused = options->refused;
    identity->owner = options->owner;
    identity->generation = options->generation_before;
    take_entries(identity, options->gateway);
    if (options->before != NULL)
        take_over(identity, options->before);
    task_init(&identity->release, on_release);
    loop->handles++;
    watch_files(identity);
    return identity;
}

bool edge_identity_is_for(const struct edge_identity *identity, struct bytes socket, const struct gateway_config *gateway) {
    uint32_t at = 0;
    bool same = bytes_equal(identity->state.socket, socket) && identity->state.certificates == count_certificates(gateway);
    for (uint32_t i = 0; i < gateway->listener_count && same; i++) {
        const struct gateway_listener *listener = gateway->listeners[i];
        for (uint32_t j = 0; j < listener->certificate_count && same; j++, at++) {
            const struct edge_entry *entry = &identity->entries[at];
            same = bytes_equal(entry->hostname, listener->hostname) && bytes_equal(entry->name, listener->certificates[j]->name) &&
                   bytes_equal(bytes_from_text(entry->paths[PART_CERTIFICATE]), listener->certificates[j]->certificate) &&
                   bytes_equal(bytes_from_text(entry->paths[PART_KEY]), listener->certificates[j]->private_key);
        }
    }
    return same;
}

struct credentials *edge_identity_credentials(const struct edge_identity *identity) {
    return identity->credentials;
}

bool edge_identity_is_complete(const struct edge_identity *identity) {
    return count_good(identity) == identity->state.certificates;
}

uint64_t edge_identity_generation(const struct edge_identity *identity) {
    return identity->generation;
}

const struct edge_identity_state *edge_identity_state(const struct edge_identity *identity) {
    return &identity->state;
}

struct edge_certificate edge_identity_certificate(const struct edge_identity *identity, uint32_t index) {
    CHECK(index < identity->state.certificates);
    const struct edge_entry *entry = &identity->entries[index];
    return (struct edge_certificate){.hostname = entry->hostname, .name = entry->name, .file = bytes_from_text(entry->paths[PART_CERTIFICATE])};
}

bool edge_identity_is_settling(const struct edge_identity *identity) {
    return watched_files_are_settling(identity->files);
}

void edge_identity_reload(struct edge_identity *identity) {
    watched_files_look(identity->files);
}

void edge_identity_close(struct edge_identity *identity) {
    watched_files_close(identity->files);
    loop_defer(identity->loop, &identity->release);
}
