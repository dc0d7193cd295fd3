// `outrigger help` and `outrigger version`.
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

static void print_command(FILE *out, const struct command *command) {
    fprintf(out, "  %-8s %-24s %s\n", command->name, command->arguments, command->describes);
}

static void print_all(FILE *out) {
    fprintf(out, "usage: outrigger COMMAND [ARGUMENT...]\n\n");
    for (const struct command *command = commands; command->name != NULL; command++)
        print_command(out, command);
    fprintf(out, "\nexit codes: 0 all is well, 1 it failed, 2 wrong usage, 3 documents refused\n");
}

enum exit_code command_help(int count, char **arguments) {
    if (count == 0) {
        print_all(stdout);
        return EXIT_OK;
    }
    for (const struct command *command = commands; command->name != NULL; command++) {
        if (strcmp(command->name, arguments[0]) != 0)
            continue;
        printf("usage: outrigger %s %s\n\n%s\n", command->name, command->arguments, command->describes);
        return EXIT_OK;
    }
    fprintf(stderr, "outrigger help: there is no command %s\n", arguments[0]);
    print_all(stderr);
    return EXIT_USAGE;
}

enum exit_code command_version(int count, char **arguments) {
    (void)arguments;
    if (count > 0) {
        fprintf(stderr, "outrigger version: takes no argument\n");
        return EXIT_USAGE;
    }
    printf("outrigger " OUTRIGGER_VERSION "\n");
    return EXIT_OK;
}
