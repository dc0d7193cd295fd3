// The command line of outrigger-proxy.
#ifndef APP_OPTIONS_H
#define APP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define EXIT_OK 0
#define EXIT_FAILED 1 // at run time
#define EXIT_USAGE 2
#define EXIT_REFUSED 3 // the configuration

#define CONFIG_PATHS_MAX 32

struct options {
    const char *paths[CONFIG_PATHS_MAX]; // --config, in order
    uint32_t path_count;
    bool check;   // --check: say whether the configuration would be taken, and end
    bool debug;   // --debug: log level
    bool upgrade; // --upgrade: take the place of the proxy that runs
    bool detach;  // --detach: leave a process behind, and end once it is ready
};

// True: go on. False: end with *exit_code; what there is to say was printed.
bool options_parse(int argc, char **argv, struct options *options, int *exit_code);

#endif
