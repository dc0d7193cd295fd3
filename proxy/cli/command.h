// The subcommands of `outrigger`, the command line for people. One file each; main.c has the only list.
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

enum exit_code { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_REFUSED = 3 };

struct command {
    const char *name;
    const char *arguments; // as in usage lines
    const char *describes;
    // `arguments` without the program's and the command's name.
    enum exit_code (*run)(int count, char **arguments);
};

// Ends with a name of NULL.
extern const struct command commands[];

enum exit_code command_check(int count, char **arguments);
enum exit_code command_explain(int count, char **arguments);
enum exit_code command_help(int count, char **arguments);
enum exit_code command_schema(int count, char **arguments);
enum exit_code command_simulate(int count, char **arguments);
enum exit_code command_tap(int count, char **arguments);
enum exit_code command_version(int count, char **arguments);

#endif
