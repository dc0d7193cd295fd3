// Loads the files of all certificates of a gateway's socket as they change (identity/watched_files). A set that is of no use is told once.
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
};

struct edge_identity {
    struct loop *loop;
    struct ticket_keys *ticket_keys;
    struct edge_identity_state state; // its socket is owned
    void (*publish)(void *owner, struct bytes socket, struct credentials *credentials);
    void *owner;
    struct edge_entry *entries;
    struct watched_files *files;
    struct credentials *credentials;
    uint64_t generation;
    struct task release;
};

static enum error read_entry(const struct edge_entry *entry, struct tls_edge_certificate *certificate, char *reason, size_t reason_size) {
    certificate->hostname = entry->hostname;
    certificate->name = entry->name;
    enum error error = secret_file_read(entry->paths[PART_CERTIFICATE], &certificate->certificate_pem, reason, reason_size);
    return error != OK ? error : secret_file_read(entry->paths[PART_KEY], &certificate->key_pem, reason, reason_size);
}

static enum error load(void *owner, char *reason, size_t reason_size) {
    struct edge_identity *identity = owner;
    struct tls_edge_certificate *certificates = alloc_zeroed_or_abort(identity->state.certificates, sizeof *certificates);
    struct credentials *credentials = NULL;
    enum error error = OK;
    for (uint32_t i = 0; i < identity->state.certificates && error == OK; i++)
        error = read_entry(&identity->entries[i], &certificates[i], reason, reason_size);
    if (error == OK)
        error = watched_files_confirm(identity->files, reason, reason_size);
    if (error == OK)
        error = credentials_create_edge(certificates, identity->state.certificates, identity->ticket_keys, identity->generation + 1, &credentials,
                                        reason, reason_size);
    for (uint32_t i = 0; i < identity->state.certificates; i++) {
        secret_file_forget(&certificates[i].certificate_pem);
        secret_file_forget(&certificates[i].key_pem);
    }
    free(certificates);
    if (error != OK)
        return error;
    credentials_unref(identity->credentials);
    identity->credentials = credentials;
    identity->generation++;
    identity->state.accepted++;
    identity->state.loaded_wall = clock_wall_ns();
    identity->state.last_error[0] = '\0';
    log_event(LOG_INFO, "edge_certificates_loaded", "listener=%.*s generation=%llu certificates=%u not_after=%lld",
              BYTES_FORMAT(identity->state.socket), (unsigned long long)identity->generation, identity->state.certificates,
              (long long)credentials_not_after(credentials));
    identity->publish(identity->owner, identity->state.socket, credentials);
    return OK;
}

static void refuse(void *owner, const char *reason) {
    struct edge_identity *identity = owner;
    identity->state.refused++;
    snprintf(identity->state.last_error, sizeof identity->state.last_error, "%s", reason);
    log_event(LOG_ERROR, "edge_certificates_refused", "listener=%.*s in_force=%llu reason=\"%s\"", BYTES_FORMAT(identity->state.socket),
              (unsigned long long)identity->generation, reason);
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

struct edge_identity *edge_identity_create(struct loop *loop, const struct edge_identity_options *options) {
    CHECK(count_certificates(options->gateway) > 0);
    struct edge_identity *identity = alloc_zeroed_or_abort(1, sizeof *identity);
    identity->loop = loop;
    identity->ticket_keys = options->ticket_keys;
    identity->state.socket = bytes_keep(options->socket);
    identity->publish = options->publish;
    identity->owner = options->owner;
    identity->generation = options->generation_before;
    take_entries(identity, options->gateway);
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
