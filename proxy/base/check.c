// What happens when an invariant of ours is broken: one line with its place, then abort, so that a core or a sanitizer shows the stack.
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void check_failed(const char *condition, const char *file, int line) {
    // Not through log.h: it uses CHECK itself and may be what broke.
    fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, condition);
    fflush(stderr);
    abort();
}
