// The proxy's own log: events as one line each on standard error, `event=... key=value`, at changes of state. The access log is another
// thing (telemetry/access_log). Thread-safe; lines of one event name are limited per second, and what was left out is counted and said. A pipe that nobody reads
// loses lines likewise, and holds nobody up.
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

// At most this many lines of one event each second; the rest is counted and reported with the next line of it.
#define LOG_LINES_PER_SECOND 50

// Default LOG_INFO.
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

// `event` is a constant name with underscores; `format` gives further `key=value` pairs, values with spaces in quotes. Control
// characters in the result are written as \xNN, so that nothing from a peer forges a line.
void log_event(enum log_level level, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));

// A line of no event, "kind: text", by the same way: messages for people that come in numbers, as of a configuration with errors. Cut at some 2,000 signs.
void log_text(const char *kind, const char *text);

// Tests: lines go to this function instead of standard error (NULL = back).
void log_redirect(void (*write_line)(enum log_level level, const char *line));

// Tests: the limit per second goes by this clock (NULL = the monotonic one again).
void log_set_clock(nanoseconds (*now)(void));

#endif
