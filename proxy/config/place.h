// Where a document or a field of it stands: for messages and for explaining.
#ifndef CONFIG_PLACE_H
#define CONFIG_PLACE_H

#include <stdint.h>

struct place {
    const char *file; // NULL: nowhere, a default
    uint32_t line;
};

#endif
