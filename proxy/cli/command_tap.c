// `outrigger tap [OPTION...]`: requests of a running proxy as they end. The proxy makes the lines, by the page /tap of its admin listener.
#include "cli/command.h"

#include "cli/admin_client.h"
#include "cli/admin_target.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

// How the line begins with which the proxy ends it in order (app/taps.c): as text and as JSON.
static const struct bytes ends[] = {BYTES_OF("# end"), BYTES_OF("{\"event\":\"end\"")};

struct printing {
    char begin[16]; // of the line at hand
    size_t length;  // of the line
    bool has_ended;
};

static const struct passed_on passed_on[] = {
    {"--listener", "listener"}, {"--direction", "direction"}, {"--method", "method"}, {"-X", "method"},
    {"--host", "host"},         {"--path", "path"},           {"--status", "status"}, {"--end", "end"},
    {"--service", "service"},   {"--route", "route"},         {"--as", "as"},         {"--slower", "slower"},
    {"--count", "count"},       {"--duration", "duration"},   {"--rate", "rate"},     {NULL, NULL},
};

static void look_at(struct printing *printing, char c) {
    if (c == '\n') {
        const struct bytes begin = bytes_from(printing->begin, printing->length < sizeof printing->begin ? printing->length : sizeof printing->begin);
        printing->has_ended = bytes_starts_with(begin, ends[0]) || bytes_starts_with(begin, ends[1]);
        printing->length = 0;
        return;
    }
    if (printing->length < sizeof printing->begin)
        printing->begin[printing->length] = c;
    printing->length++;
}

static void on_passed(void *user, struct bytes piece) {
    for (size_t i = 0; i < piece.len; i++)
        look_at(user, piece.at[i]);
}

static bool read_arguments(int count, char **arguments, const char **admin, struct admin_target *target) {
    bool is_json = false;
    for (int i = 0; i < count; i++) {
        const char *argument = arguments[i];
        const char *parameter = passed_on_parameter(passed_on, argument);
        const bool is_admin = strcmp(argument, "--admin") == 0;
        if ((is_admin || parameter != NULL) && i + 1 == count) {
            fprintf(stderr, "outrigger tap: %s: a value is missing\n", argument);
            return false;
        }
        if (is_admin)
            *admin = arguments[++i];
        else if (parameter != NULL)
            admin_target_add(target, parameter, bytes_from_text(arguments[++i]));
        else if (strcmp(argument, "--json") == 0)
            is_json = true;
        else {
            fprintf(stderr, "outrigger tap: unknown option %s\n", argument);
            return false;
        }
    }
    admin_target_add(target, "format", is_json ? BYTES("json") : BYTES("text"));
    return true;
}

static enum exit_code follow(const char *admin, const struct admin_target *target) {
    struct printing printing = {0};
    const struct admin_follower follower = {.output = STDOUT_FILENO, .passed = on_passed, .user = &printing, .stop_signal = SIGINT};
    struct admin_answer answer;
    char error[256];
    bool is_stopped;
    if (!admin_follow(admin, target->text, &follower, &answer, &is_stopped, error, sizeof error)) {
        fprintf(stderr, "outrigger tap: %s\n", error);
        return EXIT_FAILED;
    }
    if (answer.status != 200) {
        (void)fwrite(answer.body.at, 1, answer.body.len, stderr);
        bytes_drop(&answer.body);
        return answer.status == 400 ? EXIT_USAGE : EXIT_FAILED;
    }
    if (is_stopped || printing.has_ended)
        return EXIT_OK;
    fprintf(stderr, "outrigger tap: %s: ended in the middle\n", admin);
    return EXIT_FAILED;
}

enum exit_code command_tap(int count, char **arguments) {
    const char *admin = ADMIN_DEFAULT;
    struct admin_target target;
    enum exit_code code = EXIT_USAGE;
    admin_target_init(&target, "/tap");
    if (read_arguments(count, arguments, &admin, &target)) {
        if (admin_target_is_too_long(&target))
            fprintf(stderr, "outrigger tap: too long\n");
        else
            code = follow(admin, &target);
    }
    admin_target_dispose(&target);
    return code;
}
