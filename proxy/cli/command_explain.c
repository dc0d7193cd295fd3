// `outrigger explain URL [OPTION...]`: what a running proxy would do with a request, and why. The proxy says it, by the page /explain of its admin listener.
#include "cli/command.h"

#include "cli/admin_client.h"
#include "base/pool.h"

#include <stdio.h>
#include <stdlib.h>

#define ADMIN_DEFAULT "127.0.0.1:15000"

// More than the admin listener takes.
#define TARGET_MAX 65536

struct asking {
    const char *url, *admin;
    bool is_json;
    char *target; // path and query of the page
    size_t length;
};

static void append(struct asking *asking, const char *text, size_t length) {
    for (size_t i = 0; i < length && asking->length + 1 < TARGET_MAX; i++)
        asking->target[asking->length++] = text[i];
    asking->target[asking->length] = '\0';
}

static bool is_plain(unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("-._~/:", c) != NULL;
}

static void append_parameter(struct asking *asking, const char *name, struct bytes value) {
    append(asking, asking->length == strlen("/explain") ? "?" : "&", 1);
    append(asking, name, strlen(name));
    append(asking, "=", 1);
    for (size_t i = 0; i < value.len; i++) {
        char escaped[4];
        const unsigned char c = (unsigned char)value.at[i];
        const int length = c != '\0' && is_plain(c) ? snprintf(escaped, sizeof escaped, "%c", c) : snprintf(escaped, sizeof escaped, "%%%02X", c);
        append(asking, escaped, (size_t)length);
    }
}

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
        append_parameter(asking, "host", bytes_from(url.at, host));
    if (rest.len > 0 && rest.at[0] == '?') {
        char *path = alloc_or_abort(rest.len + 2);
        snprintf(path, rest.len + 2, "/%.*s", BYTES_FORMAT(rest));
        append_parameter(asking, "path", bytes_from_text(path));
        free(path);
    } else if (rest.len > 0) {
        append_parameter(asking, "path", rest);
    }
}

static const struct {
    const char *option, *parameter;
} passed_on[] = {
    {"--listener", "listener"}, {"--method", "method"}, {"--header", "header"},           {"--as", "as"},
    {"--client", "client"},     {"-X", "method"},       {"--destination", "destination"}, {"-H", "header"},
};

static const char *parameter_of(const char *option) {
    for (size_t i = 0; i < sizeof passed_on / sizeof passed_on[0]; i++)
        if (strcmp(passed_on[i].option, option) == 0)
            return passed_on[i].parameter;
    return NULL;
}

static bool read_arguments(int count, char **arguments, struct asking *asking) {
    for (int i = 0; i < count; i++) {
        const char *argument = arguments[i];
        const bool has_value = strcmp(argument, "--admin") == 0 || parameter_of(argument) != NULL;
        if (has_value && i + 1 == count) {
            fprintf(stderr, "outrigger explain: %s: a value is missing\n", argument);
            return false;
        }
        if (strcmp(argument, "--json") == 0)
            asking->is_json = true;
        else if (strcmp(argument, "--admin") == 0)
            asking->admin = arguments[++i];
        else if (has_value)
            append_parameter(asking, parameter_of(argument), bytes_from_text(arguments[++i]));
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
    if (asking->length + 1 == TARGET_MAX) {
        fprintf(stderr, "outrigger explain: too long\n");
        return EXIT_USAGE;
    }
    if (!admin_get(asking->admin, asking->target, &answer, error, sizeof error)) {
        fprintf(stderr, "outrigger explain: %s\n", error);
        return EXIT_FAILED;
    }
    (void)fwrite(answer.body.at, 1, answer.body.len, answer.status == 200 ? stdout : stderr);
    bytes_drop(&answer.body);
    return answer.status == 200 ? EXIT_OK : answer.status == 400 ? EXIT_USAGE : EXIT_FAILED;
}

enum exit_code command_explain(int count, char **arguments) {
    struct asking asking = {.admin = ADMIN_DEFAULT, .target = alloc_or_abort(TARGET_MAX)};
    enum exit_code code = EXIT_USAGE;
    append(&asking, "/explain", strlen("/explain"));
    if (read_arguments(count, arguments, &asking)) {
        append_url(&asking);
        append_parameter(&asking, "format", asking.is_json ? BYTES("json") : BYTES("text"));
        code = ask(&asking);
    }
    free(asking.target);
    return code;
}
