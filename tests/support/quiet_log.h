// For tests of what writes to the log at each change: their own output stays readable.
#ifndef SUPPORT_QUIET_LOG_H
#define SUPPORT_QUIET_LOG_H

#include "base/log.h"

static inline void drop_line(enum log_level level, const char *line) {
    (void)level;
    (void)line;
}

// As the set-up of a group of tests.
static inline int be_quiet(void **state) {
    (void)state;
    log_redirect(drop_line);
    return 0;
}

#endif
