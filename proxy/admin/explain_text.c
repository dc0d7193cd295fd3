// Lines for people, out of the JSON alone: what is decided first, then why. See explain_text.h.
#include "admin/explain_text.h"

#include "admin/text_view.h"

#include <jansson.h>
#include <stdio.h>

// "" where there is none, or it is null.
static const char *text_of(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : text;
}

static void add(struct buffer *out, const char *text) {
    text_append_clean(out, bytes_from_text(text));
}

// `before` and `after` only where there is a text.
static void add_between(struct buffer *out, const char *before, const char *text, const char *after) {
    if (*text == '\0')
        return;
    add(out, before);
    add(out, text);
    add(out, after);
}

static void add_line(struct buffer *out) {
    buffer_append(out, BYTES("\n"));
}

static void add_padded(struct buffer *out, const char *text, size_t width) {
    char padded[64];
    snprintf(padded, sizeof padded, "%-*s", (int)width, text);
    add(out, padded);
}

static void add_number(struct buffer *out, const char *before, const json_t *number) {
    char text[32];
    if (!json_is_integer(number))
        return;
    snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(number));
    add_between(out, before, text, "");
}

// "RateLimitPolicy/school/auth: login (limits.yaml:12)"
static void add_origin(struct buffer *out, const char *before, const json_t *value) {
    add_between(out, before, text_of(value, "policy"), "");
    add_between(out, *text_of(value, "policy") != '\0' ? ": " : before, text_of(value, "rule"), "");
    add_between(out, " (", text_of(value, "place"), ")");
}

// ---- the parts

static void add_request(struct buffer *out, const json_t *request) {
    add(out, text_of(request, "method"));
    add_between(out, " ", text_of(request, "host"), "");
    add_between(out, " ", text_of(request, "path"), "");
    add_between(out, ", by ", text_of(request, "listener"), "");
    add_between(out, ", from ", text_of(request, "client"), "");
    add_between(out, " as ", text_of(request, "identity"), "");
    add_line(out);
}

static void add_outcome(struct buffer *out, const json_t *outcome) {
    add(out, text_of(outcome, "decision"));
    add_between(out, " to ", text_of(outcome, "to"), "");
    add_number(out, ": ", json_object_get(outcome, "status"));
    add_between(out, " ", text_of(outcome, "end"), "");
    add_between(out, ", by ", text_of(outcome, "by"), "");
    add_origin(out, " of ", outcome);
    add_between(out, ": ", text_of(outcome, "reason"), "");
    add_between(out, "; again in ", text_of(outcome, "retry_after"), "");
    add_line(out);
}

static void add_service(struct buffer *out, const json_t *service) {
    if (!json_is_object(service))
        return;
    add_between(out, "service   ", text_of(service, "service"), "");
    add_between(out, " (", text_of(service, "place"), ")");
    add_line(out);
}

static void add_backends(struct buffer *out, const json_t *route) {
    size_t index;
    const json_t *row;
    json_array_foreach(json_object_get(route, "backends"), index, row) {
        add(out, json_is_true(json_object_get(row, "chosen")) ? "  to      " : "  or      ");
        add(out, text_of(row, "service"));
        add_number(out, ", weight ", json_object_get(row, "weight"));
        add_between(out, ", ", text_of(row, "fault"), "");
        add_line(out);
    }
}

static void add_route(struct buffer *out, const json_t *route) {
    size_t index;
    const json_t *row;
    const json_t *others = json_object_get(route, "not_taken");
    if (*text_of(route, "rule") == '\0' && json_array_size(others) == 0)
        return;
    add(out, "route     ");
    add(out, *text_of(route, "rule") == '\0' ? "none" : text_of(route, "rule"));
    add_between(out, " (", text_of(route, "place"), ")");
    add_between(out, ", by ", text_of(route, "match"), "");
    add_line(out);
    add_backends(out, route);
    json_array_foreach(others, index, row) {
        add_between(out, "  not     ", text_of(row, "rule"), "");
        add_between(out, " (", text_of(row, "place"), ")");
        add_between(out, ", ", text_of(row, "match"), "");
        add_between(out, ": ", text_of(row, "why_not"), "");
        add_line(out);
    }
    if (json_integer_value(json_object_get(route, "not_shown")) > 0) {
        add_number(out, "  and     ", json_object_get(route, "not_shown"));
        add(out, " more");
        add_line(out);
    }
}

static void add_figures(struct buffer *out, const json_t *figures) {
    size_t index;
    const json_t *row;
    const char *rule = "";
    json_array_foreach(figures, index, row) {
        const char *of = text_of(row, "rule");
        if (index == 0 || strcmp(of, rule) != 0) {
            if (index > 0)
                add_line(out);
            add(out, "                  ");
            add_between(out, "", of, ": ");
        } else {
            add(out, ", ");
        }
        rule = of;
        add(out, text_of(row, "name"));
        add(out, "=");
        add(out, text_of(row, "value"));
        add_number(out, "", json_object_get(row, "value"));
    }
    if (json_array_size(figures) > 0)
        add_line(out);
}

static void add_filters(struct buffer *out, const json_t *filters) {
    size_t index;
    const json_t *row;
    if (json_array_size(filters) > 0)
        buffer_append(out, BYTES("filters\n"));
    json_array_foreach(filters, index, row) {
        add(out, "  ");
        add_padded(out, text_of(row, "outcome"), 14);
        add(out, "  ");
        add(out, text_of(row, "filter"));
        add_origin(out, ", ", row);
        add(out, strcmp(text_of(row, "mode"), "DryRun") == 0 ? ", in a dry run" : "");
        add_between(out, ": ", text_of(row, "end"), "");
        add_between(out, ": ", text_of(row, "reason"), "");
        add_line(out);
        add_figures(out, json_object_get(row, "figures"));
    }
}

static void add_attempts(struct buffer *out, const json_t *attempts) {
    if (attempts == NULL)
        return;
    add_between(out, "attempts  ", text_of(attempts, "service"), "");
    add_between(out, ", ", text_of(attempts, "load_balancer"), "");
    add_between(out, ", by TrafficPolicy ", text_of(attempts, "policy"), "");
    add_between(out, " (", text_of(attempts, "place"), ")");
    add_number(out, ", retries ", json_object_get(attempts, "retries"));
    add_number(out, ", hedges ", json_object_get(attempts, "hedges"));
    add_number(out, ", retry budget left ", json_object_get(attempts, "retry_budget"));
    add_between(out, ", a try takes at most ", strcmp(text_of(attempts, "try_timeout"), "0s") == 0 ? "" : text_of(attempts, "try_timeout"), "");
    add_between(out, ", key: ", text_of(attempts, "key"), "");
    add_line(out);
}

void explain_text_append(struct buffer *out, const struct json_t *value) {
    json_t *endpoints = json_object_get(value, "endpoints");
    add_request(out, json_object_get(value, "request"));
    add_outcome(out, json_object_get(value, "outcome"));
    add_line(out);
    add_service(out, json_object_get(value, "service"));
    add_route(out, json_object_get(value, "route"));
    add_filters(out, json_object_get(value, "filters"));
    add_attempts(out, json_object_get(value, "attempts"));
    if (json_array_size(endpoints) > 0)
        text_view_append(out, endpoints);
}
