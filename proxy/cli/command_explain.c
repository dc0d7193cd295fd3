// `outrigger explain URL [OPTION...]`: what a running proxy would do with a request, and why. The proxy says it, by the page /explain of its admin listener.
#include "cli/command.h"

#include "cli/admin_client.h"
#include "cli/admin_target.h"
#include "base/pool.h"

#include <stdio.h>
#include <stdlib.h>

struct asking {
    const char *url, *admin;
    bool is_json;
    struct admin_target target;
};

// "http://courses:80/courses/1?x=y": host and path; a scheme may be left out, and the path. A fragment is nobody's but the browser's.
static void append_url(struct asking *asking) {
    struct bytes url = bytes_from_text(asking->url);
    const char *scheme_end = strstr(asking->url, "://");
    if (scheme_end != NULL)
        url = bytes_from_text(scheme_end + 3);
    url.len = bytes_find(url, '#');
    size_t host = 0;
    while (host < url.len && url.at[host] != '/' && url.at[host] != '?')
        host++;
    const struct bytes rest = bytes_from(url.at + host, url.len - host);
    if (host > 0)
        admin_target_add(&asking->target, "host", bytes_from(url.at, host));
    if (rest.len > 0 && rest.at[0] == '?') {
        char *path = alloc_or_abort(rest.len + 2);
        snprintf(path, rest.len + 2, "/%.*s", BYTES_FORMAT(rest));
        admin_target_add(&asking->target, "path", bytes_from_text(path));
        free(path);
    } else if (rest.len > 0) {
        admin_target_add(&asking->target, "path", rest);
    }
}

static const struct passed_on passed_on[] = {
    {"--listener", "listener"}, {"--method", "method"},           {"-X", "method"}, {"--header", "header"}, {"-H", "header"}, {"--as", "as"},
    {"--client", "client"},     {"--destination", "destination"}, {NULL, NULL},
};

static bool read_arguments(int count, char **arguments, struct asking *asking) {
    for (int i = 0; i < count; i++) {
        const char *argument = arguments[i];
        const bool has_value = strcmp(argument, "--admin") == 0 || passed_on_parameter(passed_on, argument) != NULL;
        if (has_value && i + 1 == count) {
            fprintf(stderr, "outrigger explain: %s: a value is missing\n", argument);
            return false;
        }
        if (strcmp(argument, "--json") == 0)
            asking->is_json = true;
        else if (strcmp(argument, "--admin") == 0)
            asking->admin = arguments[++i];
        else if (has_value)
            admin_target_add(&asking->target, passed_on_parameter(passed_on, argument), bytes_from_text(arguments[++i]));
        else if (argument[0] == '-' || asking->url != NULL) {
            fprintf(stderr, "outrigger explain: %s %s\n", argument[0] == '-' ? "unknown option" : "one URL at a time, not also", argument);
            return false;
        } else
            asking->url = argument;
    }
    if (asking->url == NULL)
        fprintf(stderr, "outrigger explain: no URL; say what is asked for, such as http://courses/courses/1\n");
    return asking->url != NULL;
}

static enum exit_code ask(const struct asking *asking) {
    struct admin_answer answer;
    char error[256];
    if (admin_target_is_too_long(&asking->target)) {
        fprintf(stderr, "outrigger explain: too long\n");
        return EXIT_USAGE;
    }
    if (!admin_get(asking->admin, asking->target.text, &answer, error, sizeof error)) {
        fprintf(stderr, "outrigger explain: %s\n", error);
        return EXIT_FAILED;
    }
    (void)fwrite(answer.body.at, 1, answer.body.len, answer.status == 200 ? stdout : stderr);
    bytes_drop(&answer.body);
    return answer.status == 200 ? EXIT_OK : answer.status == 400 ? EXIT_USAGE : EXIT_FAILED;
}

enum exit_code command_explain(int count, char **arguments) {
    struct asking asking = {.admin = ADMIN_DEFAULT};
    enum exit_code code = EXIT_USAGE;
    admin_target_init(&asking.target, "/explain");
    if (read_arguments(count, arguments, &asking)) {
        append_url(&asking);
        admin_target_add(&asking.target, "format", asking.is_json ? BYTES("json") : BYTES("text"));
        code = ask(&asking);
    }
    admin_target_dispose(&asking.target);
    return code;
}
