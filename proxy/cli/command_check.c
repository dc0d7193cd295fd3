// `outrigger check PATH...`: what outrigger-proxy would say of these documents, without starting anything. Errors and warnings go to standard error, one a
// line; the summary of what is there goes to standard output.
#include "cli/command.h"

#include "cli/document_errors.h"
#include "config/load.h"
#include "identity/ca_files.h"

#include <stdio.h>
#include <string.h>

static const char *plural(uint32_t count) {
    return count == 1 ? "" : "s";
}

static void print_summary(const struct snapshot *snapshot, uint32_t warnings) {
    const struct proxy_config *proxy = &snapshot->proxy;
    uint32_t services = 0, endpoints = 0;
    for (uint32_t i = 0; i < snapshot->service_count; i++) {
        if (snapshot->services[i]->is_application)
            continue;
        services++;
        endpoints += snapshot->services[i]->endpoint_count + snapshot->services[i]->source_count;
    }
    printf("ok: Proxy %.*s/%.*s: %u listener%s, %u service port%s with %u endpoint%s", BYTES_FORMAT(proxy->namespace_name), BYTES_FORMAT(proxy->name),
           proxy->listener_count, plural(proxy->listener_count), services, plural(services), endpoints, plural(endpoints));
    if (warnings > 0)
        printf(", %u warning%s", warnings, plural(warnings));
    printf("\n");
}

enum exit_code command_check(int count, char **arguments) {
    if (count > 0 && strcmp(arguments[0], "--") == 0) {
        count--;
        arguments++;
    } else if (count > 0 && arguments[0][0] == '-') {
        fprintf(stderr, "outrigger check: unknown option %s\n", arguments[0]);
        return EXIT_USAGE;
    }
    if (count == 0) {
        fprintf(stderr, "outrigger check: no PATH; give files or folders of documents\n");
        return EXIT_USAGE;
    }
    struct config_errors errors, warnings;
    struct snapshot *snapshot;
    config_errors_init(&errors);
    config_errors_init(&warnings);
    enum error error = config_load(NULL, (const char *const *)arguments, (uint32_t)count, &snapshot, &errors, &warnings);
    if (error == OK && !ca_files_check(snapshot, &errors)) {
        snapshot_unref(snapshot);
        error = ERROR_INVALID;
    }
    document_errors_print(&errors, "");
    document_errors_print(&warnings, "warning: ");
    if (error == OK) {
        print_summary(snapshot, warnings.count);
        snapshot_unref(snapshot);
    } else
        fprintf(stderr, "refused: %u error%s\n", errors.count, plural(errors.count));
    config_errors_dispose(&errors);
    config_errors_dispose(&warnings);
    return error == OK ? EXIT_OK : EXIT_REFUSED;
}
