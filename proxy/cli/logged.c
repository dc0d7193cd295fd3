// Lines of access logs, one request each, and their order: see logged.h. A line that is none is counted and left out.
#include "cli/logged.h"

#include "base/check.h"
#include "http/form.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PART_NAME_MAX 512

// One copy for all that are alike: a log names the same few hosts, clients and agents again and again.
static struct bytes keep(struct log *log, struct bytes text) {
    if (text.len == 0)
        return BYTES_NONE;
    struct bytes *kept = map_get(&log->texts, text);
    if (kept == NULL) {
        kept = pool_alloc(&log->pool, sizeof *kept);
        *kept = pool_copy(&log->pool, text);
        map_put(&log->texts, text, kept);
    }
    return *kept;
}

// --- ours ---

// RFC 3339 in UTC, with any number of decimals.
static bool read_time(const char *text, nanoseconds *at) {
    struct tm calendar = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &calendar);
    if (rest == NULL)
        return false;
    const time_t seconds = timegm(&calendar);
    nanoseconds fraction = 0, unit = NS_PER_S / 10;
    if (*rest == '.')
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
            fraction += (nanoseconds)(*rest - '0') * unit;
    if (seconds < 0 || strcmp(rest, "Z") != 0)
        return false;
    *at = (nanoseconds)seconds * NS_PER_S + fraction;
    return true;
}

static struct bytes text_of(struct log *log, const json_t *line, const char *field) {
    const json_t *value = json_object_get(line, field);
    return json_is_string(value) ? keep(log, bytes_from(json_string_value(value), json_string_length(value))) : BYTES_NONE;
}

static nanoseconds us_of(const json_t *line, const char *field) {
    const json_int_t us = json_integer_value(json_object_get(line, field));
    return us > 0 ? (nanoseconds)us * NS_PER_US : 0;
}

static enum logged_answer answer_of(const json_t *line, struct bytes end) {
    static const char *const broken[] = {"connect_refused",   "connect_timeout", "dns_error",   "dns_timeout",        "tls_failed",
                                         "identity_mismatch", "upstream_reset",  "try_timeout", "response_malformed", "response_incomplete"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        if (bytes_equal(end, bytes_from_text(broken[i])))
            return LOGGED_BROKEN;
    return json_integer_value(json_object_get(line, "attempts")) > 0 && bytes_equal(end, BYTES("ok")) ? LOGGED_ANSWERED : LOGGED_UNKNOWN;
}

// A name in lower case, since headers have none of their own. Its length; 0: it is too long to be one.
static size_t part_name(const char *type, struct bytes name, char text[PART_NAME_MAX]) {
    const int length = snprintf(text, PART_NAME_MAX, "%s%.*s", type, BYTES_FORMAT(name));
    if (length <= 0 || length >= PART_NAME_MAX)
        return 0;
    for (int i = 0; i < length; i++)
        text[i] = ascii_lower(text[i]);
    return (size_t)length;
}

// Notes the names; the pairs themselves are taken apart where they are replayed.
static void note_parts(struct log *log, struct bytes pairs, const char *type) {
    char text[PART_NAME_MAX];
    struct bytes pair;
    while (bytes_next(&pairs, '&', &pair)) {
        const size_t length = part_name(type, form_decode(bytes_from(pair.at, bytes_find(pair, '=')), &log->pool), text);
        if (length > 0 && map_get(&log->parts, bytes_from(text, length)) == NULL)
            map_put(&log->parts, bytes_from(text, length), log);
    }
}

bool log_has_part(const struct log *log, const char *type, struct bytes name) {
    char text[PART_NAME_MAX], prefix[32];
    (void)snprintf(prefix, sizeof prefix, "%s ", type);
    const size_t length = part_name(prefix, name, text);
    return length > 0 && map_get(&log->parts, bytes_from(text, length)) != NULL;
}

// "10.0.0.1:4711" and "[::1]:4711" without the port, which is another one for each connection.
static struct bytes ip_of(struct bytes address) {
    const size_t colon = bytes_find(address, ':');
    if (address.len > 0 && address.at[0] == '[')
        return bytes_from(address.at + 1, bytes_find(address, ']') - 1);
    const bool is_v6 = colon < address.len && memchr(address.at + colon + 1, ':', address.len - colon - 1) != NULL;
    return is_v6 ? address : bytes_from(address.at, colon);
}

// Of a call of gRPC: the statuses by which breakers know that a service fails are as good as 503.
static uint16_t status_of_grpc(json_int_t grpc_status) {
    static const bool fails[] = {[2] = true, [4] = true, [13] = true, [14] = true, [15] = true};
    return grpc_status >= 0 && (size_t)grpc_status < sizeof fails && fails[grpc_status] ? 503 : 200;
}

static void read_answer(struct log *log, const json_t *line, struct logged *request) {
    const json_t *grpc_status = json_object_get(line, "grpc_status");
    const nanoseconds head = us_of(line, "upstream_duration_us"), whole = us_of(line, "duration_us");
    // Where it has waited, or was tried more than once, only the last try's head tells how long the upstream took.
    const bool is_whole = json_object_get(line, "delayed") == NULL && json_integer_value(json_object_get(line, "attempts")) <= 1;
    request->head = head;
    request->took = is_whole || head == 0 ? whole : head;
    request->answer = answer_of(line, text_of(log, line, "end"));
    request->status = (uint16_t)json_integer_value(json_object_get(line, "status"));
    request->is_grpc = grpc_status != NULL;
    if (request->is_grpc)
        request->status = status_of_grpc(json_integer_value(grpc_status));
    log->grpc_calls += request->is_grpc;
    log->has_durations |= request->took > 0;
}

static bool read_ours(struct log *log, struct bytes text, struct logged *request) {
    json_t *line = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, NULL);
    const char *time = json_string_value(json_object_get(line, "time"));
    const bool is_good = time != NULL && read_time(time, &request->at) && json_is_string(json_object_get(line, "method"));
    if (is_good) {
        read_answer(log, line, request);
        request->method = text_of(log, line, "method");
        request->authority = text_of(log, line, "authority");
        request->path = text_of(log, line, "path");
        request->client = ip_of(text_of(log, line, json_object_get(line, "client") != NULL ? "client" : "peer"));
        request->identity = text_of(log, line, "peer_identity");
        request->user_agent = text_of(log, line, "user_agent");
        request->listener = text_of(log, line, "listener");
        request->direction = text_of(log, line, "direction");
        request->keys = text_of(log, line, "keys");
        request->headers = text_of(log, line, "request_headers");
        note_parts(log, request->keys, "");
        note_parts(log, request->headers, "Value ");
        log->has_identities |= request->identity.len > 0;
    }
    json_decref(line);
    return is_good;
}

// --- combined: ADDRESS - USER [TIME] "METHOD TARGET VERSION" STATUS BYTES "REFERER" "AGENT", and perhaps the seconds that it took ---

// Up to `mark`, which is skipped too.
static bool take_until(struct bytes *rest, const char *mark, struct bytes *found) {
    const char *at = memmem(rest->at, rest->len, mark, strlen(mark));
    if (at == NULL)
        return false;
    *found = bytes_from(rest->at, (size_t)(at - rest->at));
    *rest = bytes_from(at + strlen(mark), rest->len - found->len - strlen(mark));
    return true;
}

static bool read_request_line(struct log *log, struct bytes line, struct logged *request) {
    struct bytes method, target;
    if (!take_until(&line, " ", &method) || !take_until(&line, " ", &target) || method.len == 0 || target.len == 0)
        return false;
    request->method = keep(log, method);
    request->path = keep(log, target);
    return true;
}

static bool read_combined(struct log *log, struct bytes line, struct logged *request) {
    struct bytes address, user, time, first, status, size, referer = BYTES_NONE, agent = BYTES_NONE, skipped;
    struct tm calendar = {0};
    char text[64];
    uint64_t number;
    if (!take_until(&line, " ", &address) || !take_until(&line, " [", &user) || !take_until(&line, "] \"", &time) ||
        !take_until(&line, "\" ", &first) || !take_until(&line, " ", &status) || time.len >= sizeof text)
        return false;
    memcpy(text, time.at, time.len);
    text[time.len] = '\0';
    const char *rest = strptime(text, "%d/%b/%Y:%H:%M:%S %z", &calendar);
    const long east_s = calendar.tm_gmtoff; // timegm takes no notice of it
    const time_t seconds = rest == NULL ? -1 : timegm(&calendar) - east_s;
    if (seconds < 0 || !bytes_to_u64(status, 999, &number) || number < 100 || !read_request_line(log, first, request))
        return false;
    if (take_until(&line, " \"", &size) && take_until(&line, "\"", &referer) && take_until(&line, "\"", &skipped) &&
        take_until(&line, "\"", &agent)) {
        request->took = (nanoseconds)(strtod(line.at, NULL) * (double)NS_PER_S);
        request->took = request->took > 86400 * NS_PER_S ? 0 : request->took;
    }
    request->at = (nanoseconds)seconds * NS_PER_S;
    request->status = (uint16_t)number;
    request->answer = LOGGED_ANSWERED;
    request->client = keep(log, address);
    request->referer = bytes_equal(referer, BYTES("-")) ? BYTES_NONE : keep(log, referer);
    request->user_agent = bytes_equal(agent, BYTES("-")) ? BYTES_NONE : keep(log, agent);
    log->has_durations |= request->took > 0;
    return true;
}

// --- all lines ---

static void add(struct log *log, const struct logged *request) {
    if (log->count == log->capacity) {
        log->capacity = log->capacity == 0 ? 1024 : log->capacity * 2;
        struct logged *larger = alloc_zeroed_or_abort(log->capacity, sizeof larger[0]);
        if (log->count > 0)
            memcpy(larger, log->requests, log->count * sizeof larger[0]);
        free(log->requests);
        log->requests = larger;
    }
    log->requests[log->count++] = *request;
}

static bool read_line(struct log *log, struct bytes line, struct logged *request) {
    const bool is_ours = line.at[0] == '{';
    const bool is_good = is_ours ? read_ours(log, line, request) : read_combined(log, line, request);
    if (!is_good || (log->count > 0 && is_ours != log->is_ours))
        return false;
    log->is_ours = is_ours;
    return true;
}

// By time; what has the same, in the order of the lines.
static int compare(const void *left, const void *right) {
    const struct logged *a = left, *b = right;
    return a->at != b->at ? (a->at < b->at ? -1 : 1) : a->line < b->line ? -1 : a->line > b->line;
}

static void sort(struct log *log) {
    if (log->count > 0)
        qsort(log->requests, log->count, sizeof log->requests[0], compare);
}

// Whole seconds are all that `combined` tells, and of when a request was over: those of one second are spread over it evenly, then each begins as long before as it took.
static void spread(struct log *log) {
    for (uint32_t begin = 0, end; begin < log->count; begin = end) {
        const nanoseconds second = log->requests[begin].at;
        for (end = begin; end < log->count && log->requests[end].at == second;)
            end++;
        for (uint32_t i = begin; i < end; i++)
            log->requests[i].at += NS_PER_S * (i - begin) / (end - begin);
    }
    for (uint32_t i = 0; i < log->count; i++)
        log->requests[i].at -= log->requests[i].took < log->requests[i].at ? log->requests[i].took : 0;
    sort(log);
}

void log_read(struct log *log, FILE *file) {
    char *text = NULL;
    size_t capacity = 0;
    ssize_t length;
    *log = (struct log){0};
    pool_source_init(&log->chunks, 0);
    pool_init(&log->pool, &log->chunks);
    map_init(&log->texts);
    map_init(&log->parts);
    for (uint32_t number = 1; (length = getline(&text, &capacity, file)) > 0; number++) {
        struct logged request = {.line = number};
        struct bytes line = bytes_trim(bytes_from(text, (size_t)length - (text[length - 1] == '\n')));
        if (line.len == 0)
            continue;
        if (log->count == LOGGED_MAX) {
            log->left_out++;
            continue;
        }
        if (read_line(log, line, &request))
            add(log, &request);
        else if (log->unreadable++ == 0)
            log->first_of_them = number;
    }
    free(text);
    sort(log);
    if (!log->is_ours)
        spread(log);
}

void log_dispose(struct log *log) {
    free(log->requests);
    map_dispose(&log->texts);
    map_dispose(&log->parts);
    pool_dispose(&log->pool);
    pool_source_dispose(&log->chunks);
}
