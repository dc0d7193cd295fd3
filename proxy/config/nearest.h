// The nearest of some names to one that is wrong, for messages that ask "did you mean".
#ifndef CONFIG_NEAREST_H
#define CONFIG_NEAREST_H

#include "base/bytes.h"

#include <stdint.h>

struct nearest {
    struct bytes wrong;
    const char *name; // the nearest so far; NULL: none is near
    uint32_t distance;
};

void nearest_init(struct nearest *nearest, struct bytes wrong);

// Offers one more name.
void nearest_try(struct nearest *nearest, const char *name);

#endif
