// Sums over a simulation, and their two forms: see simulation_report.h.
#include "cli/simulation_report.h"

#include "base/check.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

// The clients that are named of each rule.
#define CLIENTS_SHOWN 3

void report_init(struct simulation_report *report, struct pool *pool) {
    *report = (struct simulation_report){.pool = pool};
    map_init(&report->by_name);
    report->next = &report->first;
    report->next_note = &report->notes;
}

void report_dispose(struct simulation_report *report) {
    for (struct report_rule *rule = report->first; rule != NULL; rule = rule->next)
        map_dispose(&rule->refused_clients);
    map_dispose(&report->by_name);
}

void report_note(struct simulation_report *report, const char *format, ...) {
    char text[512];
    va_list values;
    va_start(values, format);
    (void)vsnprintf(text, sizeof text, format, values);
    va_end(values);
    for (const struct report_note *before = report->notes; before != NULL; before = before->next)
        if (bytes_equal(before->text, bytes_from_text(text)))
            return;
    struct report_note *note = pool_alloc_zeroed(report->pool, sizeof *note);
    note->text = pool_copy(report->pool, bytes_from_text(text));
    *report->next_note = note;
    report->next_note = &note->next;
}

// ---- sums

static struct report_rule *rule_of(struct simulation_report *report, const struct explanation_step *step, struct bytes name) {
    char key[1024];
    const int length = snprintf(key, sizeof key, "%.*s\n%.*s", BYTES_FORMAT(step->policy), BYTES_FORMAT(name));
    const struct bytes text = bytes_from(key, (size_t)length < sizeof key ? (size_t)length : sizeof key - 1);
    struct report_rule *rule = map_get(&report->by_name, text);
    if (rule != NULL)
        return rule;
    rule = pool_alloc_zeroed(report->pool, sizeof *rule);
    rule->policy = pool_copy(report->pool, step->policy);
    rule->rule = pool_copy(report->pool, name);
    rule->is_dry_run = step->is_dry_run;
    map_init(&rule->refused_clients);
    map_put(&report->by_name, text, rule);
    *report->next = rule;
    report->next = &rule->next;
    return rule;
}

static void add_wait(struct report_rule *rule, nanoseconds waited) {
    uint32_t place = 0;
    for (nanoseconds bound = NS_PER_MS; place + 1 < REPORT_WAITS && waited >= bound; bound *= 2)
        place++;
    rule->waits[place]++;
    rule->waited++;
    rule->wait_most = waited > rule->wait_most ? waited : rule->wait_most;
}

static void add_refusal(struct simulation_report *report, struct report_rule *rule, const struct logged *request, const char *end) {
    if (rule->refused++ == 0) {
        rule->end = end;
        rule->first_refused_at = request->at;
    }
    struct report_client *client = map_get(&rule->refused_clients, request->client);
    if (client == NULL) {
        client = pool_alloc_zeroed(report->pool, sizeof *client);
        client->address = request->client; // lives as long as the log
        client->next = rule->clients;
        rule->clients = client;
        map_put(&rule->refused_clients, request->client, client);
    }
    client->refused++;
}

// Each rule that told something of the request was asked about it.
static void add_step(struct simulation_report *report, const struct logged *request, const struct explanation_step *step, nanoseconds waited) {
    struct bytes told = BYTES_NONE;
    bool is_told = false;
    for (const struct explanation_figure *figure = step->figures; figure != NULL; figure = figure->next) {
        if (figure->rule.len == 0 || bytes_equal(figure->rule, told))
            continue;
        told = figure->rule;
        is_told |= bytes_equal(told, step->rule);
        rule_of(report, step, told)->requests++;
    }
    if (step->rule.len == 0)
        return;
    struct report_rule *rule = rule_of(report, step, step->rule);
    rule->requests += !is_told;
    const bool is_refused = step->outcome == STEP_REFUSED || step->outcome == STEP_WOULD_REFUSE;
    if (is_refused)
        add_refusal(report, rule, request, step->end);
    if (step->outcome == STEP_WOULD_WAIT || (is_refused && waited > 0 && !step->is_dry_run))
        add_wait(rule, waited);
}

static void add_end(struct simulation_report *report, const char *name) {
    struct report_end *end = report->ends;
    while (end != NULL && strcmp(end->name, name) != 0)
        end = end->next;
    if (end == NULL) {
        end = pool_alloc_zeroed(report->pool, sizeof *end);
        end->name = name;
        end->next = report->ends;
        report->ends = end;
    }
    end->count++;
    report->refused_otherwise++;
}

void report_add(struct simulation_report *report, const struct logged *request, const struct stream *stream, nanoseconds waited) {
    bool is_refused = false;
    report->replayed++;
    if (stream->destination != NULL)
        report->reached[stream->destination->config->index] = true;
    for (const struct explanation_step *step = stream->explanation->first; step != NULL; step = step->next) {
        if (step->policy.len == 0)
            continue;
        is_refused |= step->outcome == STEP_REFUSED;
        add_step(report, request, step, waited);
    }
    if (is_refused)
        return;
    // What was broken when it was logged is broken again.
    if (stream->end != OK && (stream->attempts == NULL || request->answer != LOGGED_BROKEN)) {
        add_end(report, error_name(stream->end));
        return;
    }
    report->passed++;
    report->unknown_answers += request->answer == LOGGED_UNKNOWN;
}

// ---- both forms

// The upper end of the class in which that share of the waits ends.
static nanoseconds wait_at(const struct report_rule *rule, unsigned percent) {
    const uint64_t wanted = (rule->waited * percent + 99) / 100;
    nanoseconds bound = NS_PER_MS;
    uint64_t seen = 0;
    for (uint32_t place = 0; place < REPORT_WAITS; place++, bound *= 2) {
        seen += rule->waits[place];
        if (seen >= wanted)
            break;
    }
    return bound < rule->wait_most ? bound : rule->wait_most;
}

// In the order of their number; returns how many.
static uint32_t most_refused(const struct report_rule *rule, const struct report_client *shown[CLIENTS_SHOWN]) {
    uint32_t count = 0;
    for (const struct report_client *client = rule->clients; client != NULL; client = client->next) {
        uint32_t place = count;
        while (place > 0 && shown[place - 1]->refused < client->refused)
            place--;
        if (place == CLIENTS_SHOWN)
            continue;
        count = count < CLIENTS_SHOWN ? count + 1 : CLIENTS_SHOWN;
        for (uint32_t i = count - 1; i > place; i--)
            shown[i] = shown[i - 1];
        shown[place] = client;
    }
    return count;
}

static void print_time(nanoseconds at, char text[32]) {
    const time_t seconds = (time_t)(at / NS_PER_S);
    struct tm calendar;
    gmtime_r(&seconds, &calendar);
    (void)strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &calendar);
}

// ---- for people

static double ms_of(nanoseconds duration) {
    return (double)duration / (double)NS_PER_MS;
}

static void print_rule(const struct report_rule *rule, FILE *out) {
    const double share = rule->requests == 0 ? 0 : 100.0 * (double)rule->refused / (double)rule->requests;
    fprintf(out, "%-44.*s %-16.*s %10" PRIu64 " %10" PRIu64 " %6.2f%% %10" PRIu64, BYTES_FORMAT(rule->policy), BYTES_FORMAT(rule->rule),
            rule->requests, rule->refused, share, rule->waited);
    if (rule->waited > 0)
        fprintf(out, " %8.0f %8.0f %8.0f", ms_of(wait_at(rule, 50)), ms_of(wait_at(rule, 99)), ms_of(rule->wait_most));
    else
        fprintf(out, " %8s %8s %8s", "-", "-", "-");
    fprintf(out, "  %s%s\n", rule->end == NULL ? "-" : rule->end, rule->is_dry_run ? " (dry run)" : "");
    if (rule->refused == 0)
        return;
    char time[32];
    const struct report_client *shown[CLIENTS_SHOWN];
    const uint32_t count = most_refused(rule, shown);
    print_time(rule->first_refused_at, time);
    fprintf(out, "    first at %s; most often:", time);
    for (uint32_t i = 0; i < count; i++)
        fprintf(out, "%s %.*s (%" PRIu64 ")", i > 0 ? "," : "", BYTES_FORMAT(shown[i]->address), shown[i]->refused);
    fprintf(out, "\n");
}

void report_print(const struct simulation_report *report, const struct log *log, FILE *out) {
    char from[32], to[32];
    print_time(log->requests[0].at, from);
    print_time(log->requests[log->count - 1].at, to);
    fprintf(out, "%" PRIu32 " requests from %s to %s, %s\n", log->count, from, to,
            log->is_ours ? "of an access log of Outrigger" : "in the combined format");
    fprintf(out, "%" PRIu64 " replayed: %" PRIu64 " pass, %" PRIu64 " are refused by policies, %" PRIu64 " otherwise\n", report->replayed,
            report->passed, report->replayed - report->passed - report->refused_otherwise, report->refused_otherwise);
    fprintf(out, "%-44s %-16s %10s %10s %7s %10s %8s %8s %8s  %s\n", "POLICY", "RULE", "REQUESTS", "REFUSED", "", "QUEUED", "P50 MS", "P99 MS",
            "MAX MS", "AS");
    for (const struct report_rule *rule = report->first; rule != NULL; rule = rule->next)
        print_rule(rule, out);
    if (report->first == NULL)
        fprintf(out, "no policy was asked about any of them\n");
    if (report->notes != NULL)
        fprintf(out, "\nnot simulated, or only in part:\n");
    for (const struct report_note *note = report->notes; note != NULL; note = note->next)
        fprintf(out, "  %.*s\n", BYTES_FORMAT(note->text));
}

// ---- for machines

static json_t *text(struct bytes value) {
    return json_stringn(value.at, value.len);
}

static json_t *time_text(nanoseconds at) {
    char printed[32];
    print_time(at, printed);
    return json_string(printed);
}

static json_t *rule_json(const struct report_rule *rule) {
    json_t *object = json_pack("{s:o, s:o, s:b, s:I, s:I, s:I}", "policy", text(rule->policy), "rule", text(rule->rule), "dry_run", rule->is_dry_run,
                               "requests", (json_int_t)rule->requests, "refused", (json_int_t)rule->refused, "queued", (json_int_t)rule->waited);
    if (rule->waited > 0)
        json_object_set_new(
            object, "queued_ms",
            json_pack("{s:f, s:f, s:f}", "p50", ms_of(wait_at(rule, 50)), "p99", ms_of(wait_at(rule, 99)), "max", ms_of(rule->wait_most)));
    if (rule->refused == 0)
        return object;
    const struct report_client *shown[CLIENTS_SHOWN];
    const uint32_t count = most_refused(rule, shown);
    json_t *clients = json_array();
    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(clients, json_pack("{s:o, s:I}", "client", text(shown[i]->address), "refused", (json_int_t)shown[i]->refused));
    json_object_set_new(object, "as", json_string(rule->end == NULL ? "" : rule->end));
    json_object_set_new(object, "first_refused", time_text(rule->first_refused_at));
    json_object_set_new(object, "most_refused", clients);
    return object;
}

void report_print_json(const struct simulation_report *report, const struct log *log, FILE *out) {
    json_t *rules = json_array(), *notes = json_array(), *ends = json_object();
    for (const struct report_end *end = report->ends; end != NULL; end = end->next)
        json_object_set_new(ends, end->name, json_integer((json_int_t)end->count));
    for (const struct report_rule *rule = report->first; rule != NULL; rule = rule->next)
        json_array_append_new(rules, rule_json(rule));
    for (const struct report_note *note = report->notes; note != NULL; note = note->next)
        json_array_append_new(notes, text(note->text));
    json_t *all = json_pack("{s:i, s:o, s:o, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "requests", (int)log->count, "from",
                            time_text(log->requests[0].at), "to", time_text(log->requests[log->count - 1].at), "format",
                            log->is_ours ? "outrigger" : "combined", "replayed", (json_int_t)report->replayed, "passed", (json_int_t)report->passed,
                            "refused", (json_int_t)(report->replayed - report->passed - report->refused_otherwise), "refused_otherwise",
                            (json_int_t)report->refused_otherwise, "otherwise", ends, "rules", rules, "not_simulated", notes);
    json_dumpf(all, out, JSON_INDENT(2));
    fputc('\n', out);
    json_decref(all);
}
