// Any bytes as a file of documents. It never crashes or leaks; it is refused with errors of the form that is promised, or gives a snapshot in which all that is
// there can be found; and the same bytes always give the same.
#include "config/load.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#define NAME "f.yaml"

struct outcome {
    struct snapshot *snapshot;
    struct config_errors errors;
    struct config_errors warnings;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void load(struct outcome *outcome, struct bytes text) {
    config_errors_init(&outcome->errors);
    config_errors_init(&outcome->warnings);
    enum error error = config_load_text(NAME, text, &outcome->snapshot, &outcome->errors, &outcome->warnings);
    CHECK((error == OK) == (outcome->errors.count == 0));
    CHECK((error == OK) == (outcome->snapshot != NULL));
}

static void dispose(struct outcome *outcome) {
    if (outcome->snapshot != NULL)
        snapshot_unref(outcome->snapshot);
    config_errors_dispose(&outcome->errors);
    config_errors_dispose(&outcome->warnings);
}

// "f.yaml: text" or "f.yaml:LINE: text"; LINE is one of the file's and never less than the one before. No control characters.
static void check_lines(const struct config_errors *errors, uint64_t lines) {
    uint64_t last = 0;
    for (uint32_t i = 0; i < errors->count; i++) {
        struct bytes line = bytes_from_text(errors->lines[i]), head = BYTES(NAME);
        CHECK(bytes_starts_with(line, head));
        for (size_t at = 0; at < line.len; at++)
            CHECK((unsigned char)line.at[at] >= 0x20 && line.at[at] != 0x7f);
        line = bytes_from(line.at + head.len, line.len - head.len);
        uint64_t number = 0;
        if (line.len > 1 && line.at[1] != ' ') {
            size_t end = 1 + bytes_find(bytes_from(line.at + 1, line.len - 1), ':');
            CHECK(bytes_to_u64(bytes_from(line.at + 1, end - 1), lines, &number) && number > 0);
            line = bytes_from(line.at + end, line.len - end);
        }
        CHECK(bytes_starts_with(line, BYTES(": ")) && line.len > 2);
        CHECK(number >= last || (number == 0 && i == errors->count - 1)); // what is said of the whole comes last
        last = number;
    }
}

static void check_same(const struct config_errors *a, const struct config_errors *b) {
    CHECK(a->count == b->count);
    for (uint32_t i = 0; i < a->count; i++)
        CHECK(strcmp(a->lines[i], b->lines[i]) == 0);
}

// A request for anything in the table of hosts finds its service.
static void check_hosts(const struct snapshot *snapshot) {
    uint32_t position = 0;
    struct bytes key;
    void *service;
    while (map_next(&snapshot->hosts, &position, &key, &service)) {
        char host[512] = "x";
        bool is_wildcard = key.at[0] == '.';
        CHECK(key.len < sizeof(host) - 1);
        memcpy(host + is_wildcard, key.at, key.len);
        const struct service_config *found = snapshot_find_host(snapshot, bytes_from(host, key.len + is_wildcard), 0);
        CHECK(found == service || (is_wildcard && (found != NULL || key.len > 250)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct outcome first, second;
    struct bytes text = {(const char *)data, size};
    uint64_t lines = 2; // the end of the file is behind its last line
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n' || data[i] == '\r' || data[i] == 0x85 || data[i] == 0xa8 || data[i] == 0xa9; // YAML's other line breaks end in these
    load(&first, text);
    load(&second, text);
    check_lines(&first.errors, lines);
    check_lines(&first.warnings, lines);
    check_same(&first.errors, &second.errors);
    check_same(&first.warnings, &second.warnings);
    if (first.snapshot != NULL) {
        CHECK(first.snapshot->service_count == second.snapshot->service_count);
        for (uint32_t i = 0; i < first.snapshot->service_count; i++)
            CHECK(first.snapshot->services[i]->digest == second.snapshot->services[i]->digest);
        check_hosts(first.snapshot);
    }
    dispose(&first);
    dispose(&second);
    return 0;
}
