// Lines of the proxy's own log: formatting, escaping, the limit per event, and where they go. One write a line, so that lines of
// threads do not mix.
#include "base/log.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/map.h"

#include <assert.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// A line is at most this long when nothing is escaped; what is longer ends in "...".
#define TEXT_SIZE 2048
#define LINE_SIZE (TEXT_SIZE * 2)

// Event names are constants of ours: some dozens. Should there ever be more than this, the rest share the limit of others.
#define EVENTS 256

struct event_rate {
    const char *event; // NULL: free
    nanoseconds begin; // of the second that is counted
    uint32_t lines;
    uint32_t left_out;
};

static _Atomic int level_min = LOG_INFO;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct event_rate rates[EVENTS]; // under `lock`, as is writing
static _Atomic(void (*)(enum log_level level, const char *line)) redirected;
static _Atomic(nanoseconds (*)(void)) clock_used = clock_monotonic_ns;

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARN] = "warn",
    [LOG_ERROR] = "error",
};

void log_set_level(enum log_level level) {
    atomic_store_explicit(&level_min, level, memory_order_relaxed);
}

enum log_level log_get_level(void) {
    return atomic_load_explicit(&level_min, memory_order_relaxed);
}

void log_redirect(void (*write_line)(enum log_level level, const char *line)) {
    atomic_store(&redirected, write_line);
}

void log_set_clock(nanoseconds (*now)(void)) {
    atomic_store(&clock_used, now != NULL ? now : clock_monotonic_ns);
}

static struct event_rate *rate_of(const char *event) {
    uint32_t home = (uint32_t)hash_bytes(bytes_from_text(event)) % EVENTS;
    for (uint32_t i = 0; i < EVENTS; i++) {
        struct event_rate *rate = &rates[(home + i) % EVENTS];
        if (rate->event == NULL)
            rate->event = event;
        if (strcmp(rate->event, event) == 0)
            return rate;
    }
    return &rates[home];
}

// Whether a line of `event` may be written now; then `*left_out` tells how many were not since the last.
static bool admit(const char *event, uint32_t *left_out) {
    nanoseconds now = atomic_load(&clock_used)();
    pthread_mutex_lock(&lock);
    struct event_rate *rate = rate_of(event);
    if (rate->lines == 0 || now < rate->begin || now - rate->begin >= NS_PER_S) {
        rate->begin = now;
        rate->lines = 0;
    }
    bool admitted = rate->lines < LOG_LINES_PER_SECOND;
    if (admitted) {
        rate->lines++;
        *left_out = rate->left_out;
        rate->left_out = 0;
    } else if (rate->left_out < UINT32_MAX) {
        rate->left_out++;
    }
    pthread_mutex_unlock(&lock);
    return admitted;
}

static bool is_control(const unsigned char *at) {
    // C0 and DEL; C1 as UTF-8, which terminals obey as well.
    return at[0] < 0x20 || at[0] == 0x7f || (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0);
}

// Copies `text` to `line` (`size` bytes) with control characters as \xNN; what does not fit is left away.
static size_t escape(const char *text, char *line, size_t size) {
    static const char digits[] = "0123456789abcdef";
    size_t used = 0;
    for (const char *at = text; *at != '\0' && used + 9 <= size; at++) {
        unsigned char pair[2] = {(unsigned char)at[0], (unsigned char)at[1]};
        if (!is_control(pair)) {
            line[used++] = *at;
            continue;
        }
        for (int i = 0; i < (pair[0] == 0xc2 ? 2 : 1); i++) {
            line[used++] = '\\';
            line[used++] = 'x';
            line[used++] = digits[pair[i] >> 4];
            line[used++] = digits[pair[i] & 15];
        }
        if (pair[0] == 0xc2)
            at++;
    }
    line[used] = '\0';
    return used;
}

// Nobody waits for whoever reads the log. A pipe that takes something takes a page, which is the longest line; under `lock`, so that of two lines only one finds the last page.
static bool has_room(void) {
    struct pollfd log = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&log, 1, 0) != 0; // 0: it would block; an error is for write to meet
}

static_assert(LINE_SIZE <= PIPE_BUF, "a line is written whole or not at all");

static void count_lost(const char *event, uint32_t lines) {
    struct event_rate *rate = rate_of(event);
    rate->left_out = rate->left_out < UINT32_MAX - lines ? rate->left_out + lines : UINT32_MAX;
}

// `lost` lines are, with this one, if it cannot be written: nowhere can be said so but in a later line of the event.
static void write_line(enum log_level level, const char *event, uint32_t lost, char *line, size_t length) {
    void (*redirect)(enum log_level level, const char *line) = atomic_load(&redirected);
    if (redirect != NULL) {
        redirect(level, line);
        return;
    }
    line[length] = '\n';
    pthread_mutex_lock(&lock);
    if (!has_room() || write(STDERR_FILENO, line, length + 1) < 0)
        count_lost(event, lost);
    pthread_mutex_unlock(&lock);
}

static size_t write_stamp(char *text, size_t size, enum log_level level) {
    nanoseconds wall = clock_wall_ns();
    time_t seconds = (time_t)(wall / NS_PER_S);
    struct tm utc;
    CHECK(gmtime_r(&seconds, &utc) != NULL);
    size_t used = strftime(text, size, "time=%Y-%m-%dT%H:%M:%S", &utc);
    int more = snprintf(text + used, size - used, ".%03uZ level=%s ", (unsigned)(wall % NS_PER_S / NS_PER_MS), level_names[level]);
    CHECK(used > 0 && more > 0);
    return used + (size_t)more;
}

void log_event(enum log_level level, const char *event, const char *format, ...) {
    uint32_t left_out = 0;
    if (level < log_get_level() || !admit(event, &left_out))
        return;
    char text[TEXT_SIZE];
    char line[LINE_SIZE];
    size_t used = write_stamp(text, sizeof(text), level);
    used += (size_t)snprintf(text + used, sizeof(text) - used, "event=%.64s", event);
    if (left_out > 0)
        used += (size_t)snprintf(text + used, sizeof(text) - used, " left_out=%u", left_out);
    if (format[0] != '\0')
        text[used++] = ' ';
    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(text + used, sizeof(text) - used, format, arguments);
    va_end(arguments);
    CHECK(more >= 0);
    if ((size_t)more >= sizeof(text) - used)
        memcpy(text + sizeof(text) - 4, "...", 4);
    write_line(level, event, left_out < UINT32_MAX ? left_out + 1 : left_out, line, escape(text, line, sizeof(line) - 1));
}

void log_text(const char *kind, const char *text) {
    char whole[TEXT_SIZE];
    char line[LINE_SIZE];
    int length = snprintf(whole, sizeof(whole), "%s: %s", kind, text);
    CHECK(length > 0);
    write_line(LOG_ERROR, "text", 1, line, escape(whole, line, sizeof(line) - 1));
}
