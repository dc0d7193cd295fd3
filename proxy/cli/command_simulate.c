// `outrigger simulate PATH... LOG`: what the policies in these documents would have refused or made wait of the requests in an access log.
#include "cli/command.h"

#include "base/log.h"
#include "cli/document_errors.h"
#include "cli/simulation.h"
#include "cli/simulation_notes.h"
#include "config/load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct request {
    bool as_json;
    const char *const *paths;
    uint32_t path_count;
    const char *log;   // "-": standard input
    struct bytes host; // of requests whose line has none; empty: none
};

// ---- the command

// Options come first. False: usage was told.
static bool read_option(int *count, char ***arguments, struct request *request) {
    if (strcmp((*arguments)[0], "--json") == 0)
        request->as_json = true;
    else if (strcmp((*arguments)[0], "--host") == 0 && *count > 1) {
        request->host = bytes_from_text((*arguments)[1]);
        (*count)--;
        (*arguments)++;
    } else {
        fprintf(stderr, "outrigger simulate: unknown option %s; there are --json and --host NAME\n", (*arguments)[0]);
        return false;
    }
    (*count)--;
    (*arguments)++;
    return true;
}

static bool read_arguments(int count, char **arguments, struct request *request) {
    *request = (struct request){0};
    while (count > 0 && arguments[0][0] == '-' && arguments[0][1] != '\0')
        if (!read_option(&count, &arguments, request))
            return false;
    if (count < 2) {
        fprintf(stderr, "outrigger simulate: give files or folders of documents, then an access log (- is standard input)\n");
        return false;
    }
    request->paths = (const char *const *)arguments;
    request->path_count = (uint32_t)count - 1;
    request->log = arguments[count - 1];
    return true;
}

static bool read_log(const char *path, struct log *log) {
    const bool is_input = strcmp(path, "-") == 0;
    FILE *file = is_input ? stdin : fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "outrigger simulate: %s: %s\n", path, strerror(errno));
        return false;
    }
    log_read(log, file);
    if (!is_input)
        (void)fclose(file);
    if (log->count > 0)
        return true;
    fprintf(stderr, "outrigger simulate: %s: no line is a request of an access log, of ours as JSON or in the combined format\n", path);
    log_dispose(log);
    return false;
}

static enum exit_code simulate_log(struct snapshot *snapshot, const struct request *request) {
    struct log log;
    struct pool_source chunks;
    struct pool pool;
    struct simulation_report report;
    if (!read_log(request->log, &log)) {
        snapshot_unref(snapshot);
        return EXIT_FAILED;
    }
    pool_source_init(&chunks, 0);
    pool_init(&pool, &chunks);
    report_init(&report, &pool);
    snapshot_ref(snapshot);
    const bool is_sound = simulate(snapshot, &log, request->host, &report);
    simulation_note(&report, &log, snapshot, request->host.len > 0);
    snapshot_unref(snapshot);
    if (request->as_json)
        report_print_json(&report, &log, stdout);
    else
        report_print(&report, &log, stdout);
    if (!is_sound)
        fprintf(stderr, "outrigger simulate: the policies make a request go round in a circle; the figures end there\n");
    report_dispose(&report);
    pool_dispose(&pool);
    pool_source_dispose(&chunks);
    log_dispose(&log);
    return is_sound ? EXIT_OK : EXIT_FAILED;
}

static void drop_line(enum log_level level, const char *line) {
    (void)level;
    (void)line;
}

enum exit_code command_simulate(int count, char **arguments) {
    struct request request;
    if (!read_arguments(count, arguments, &request))
        return EXIT_USAGE;
    struct config_errors errors, warnings;
    struct snapshot *snapshot;
    config_errors_init(&errors);
    config_errors_init(&warnings);
    enum error error = config_load(NULL, request.paths, request.path_count, &snapshot, &errors, &warnings);
    document_errors_print(&errors, "");
    enum exit_code code = EXIT_REFUSED;
    if (error == OK) {
        log_redirect(drop_line); // what the proxy would say while it runs
        code = simulate_log(snapshot, &request);
    }
    config_errors_dispose(&errors);
    config_errors_dispose(&warnings);
    return code;
}
