// What the whole process is set to at its start: descriptors, signals that must not kill it, no core dumps with keys in them.
#ifndef APP_PROCESS_H
#define APP_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

void process_prepare(void);

// Whether it may open so many descriptors more; where it may not, says so to whoever started it. For what cannot do without: the end of a loop that gets none is an abort.
bool process_may_open(uint32_t descriptors);

#endif
