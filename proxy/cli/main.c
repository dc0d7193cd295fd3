// The program `outrigger`: finds the command and runs it.
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

const struct command commands[] = {
    {"check", "PATH...", "check documents in files and folders, as outrigger-proxy would read them", command_check},
    {"explain", "URL [OPTION...]",
     "what a running proxy would do with a request, and why: --method M, --header 'name: value', --listener NAME, --as SPIFFE-ID, --client ADDRESS,\n"
     "  --destination ADDRESS, --admin ADDRESS or unix:PATH (default 127.0.0.1:15000), --json",
     command_explain},
    {"schema", "[KIND] [--json | --crd]", "what documents may say: for people, as JSON Schema, as custom resource definitions", command_schema},
    {"simulate", "[--json] [--host NAME] PATH... LOG", "what the policies in these documents would have done to the requests of an access log",
     command_simulate},
    {"tap", "[OPTION...]",
     "requests of a running proxy as they end, until you stop it: --listener NAME, --direction inbound|outbound|gateway, --method M, --host H, "
     "--path PREFIX,\n"
     "  --status 503|5xx, --end WORD, --service S, --route R, --as SPIFFE-ID, --slower 100ms, --count LINES, --duration 10m, --rate "
     "LINES-PER-SECOND,\n"
     "  --admin ADDRESS or unix:PATH (default 127.0.0.1:15000), --json",
     command_tap},
    {"version", "", "print the version", command_version},
    {"help", "[COMMAND]", "print this, or what a command is for", command_help},
    {0}};

// The usual options of any program.
static const char *command_of_option(const char *argument) {
    if (strcmp(argument, "--version") == 0)
        return "version";
    if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0)
        return "help";
    return argument;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "outrigger: no command; try `outrigger help`\n");
        return EXIT_USAGE;
    }
    const char *name = command_of_option(argv[1]);
    for (const struct command *command = commands; command->name != NULL; command++)
        if (strcmp(command->name, name) == 0)
            return (int)command->run(argc - 2, argv + 2);
    fprintf(stderr, "outrigger: there is no command %s; try `outrigger help`\n", argv[1]);
    return EXIT_USAGE;
}
