// The words of the command line, taken one by one: see options.h.
#include "app/options.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: outrigger-proxy --config PATH [--config PATH ...] [--check] [--upgrade [--detach]] [--debug]\n"
    "       outrigger-proxy --version | --help\n"
    "  --config PATH  a file or folder of documents (YAML or JSON); exactly one of them is a Proxy\n"
    "  --check        say whether the configuration would be taken, and end: 0 yes, 3 no\n"
    "  --upgrade      take the place of the proxy that runs (spec.upgrade.path), without a request lost; where none runs, start\n"
    "  --detach       leave the proxy behind, and end once it is ready\n"
    "  --debug        log more\n";

static bool end_with(int code, int *exit_code) {
    *exit_code = code;
    return false;
}

bool options_parse(int argc, char **argv, struct options *options, int *exit_code) {
    *options = (struct options){0};
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        if (strcmp(argument, "--version") == 0) {
            printf("outrigger-proxy %s\n", OUTRIGGER_VERSION);
            return end_with(EXIT_OK, exit_code);
        }
        if (strcmp(argument, "--help") == 0) {
            fputs(usage, stdout);
            return end_with(EXIT_OK, exit_code);
        }
        if (strcmp(argument, "--check") == 0) {
            options->check = true;
        } else if (strcmp(argument, "--upgrade") == 0) {
            options->upgrade = true;
        } else if (strcmp(argument, "--detach") == 0) {
            options->detach = true;
        } else if (strcmp(argument, "--debug") == 0) {
            options->debug = true;
        } else if (strcmp(argument, "--config") == 0 && i + 1 < argc && options->path_count < CONFIG_PATHS_MAX) {
            options->paths[options->path_count++] = argv[++i];
        } else {
            fprintf(stderr, "outrigger-proxy: %s is not understood\n%s", argument, usage);
            return end_with(EXIT_USAGE, exit_code);
        }
    }
    if (options->path_count > 0)
        return true;
    fprintf(stderr, "outrigger-proxy: --config is missing\n%s", usage);
    return end_with(EXIT_USAGE, exit_code);
}
