// A page's query by a table of what it may say: each parameter is read by its own function, those that are not known are refused with the names of those that are.
#ifndef ADMIN_PARAMETERS_H
#define ADMIN_PARAMETERS_H

#include "base/pool.h"

#include <stdbool.h>

struct reading {
    struct pool *pool;
    void *question;     // what is read goes there
    struct bytes error; // set by whoever finds something wrong: what is allowed
};

struct parameter {
    struct bytes name;
    void (*read)(struct reading *reading, struct bytes value);
    bool repeats;
};

// At most 32 in a table. False: `reading->error` says what is wrong.
bool parameters_read(struct bytes query, const struct parameter *table, size_t count, struct reading *reading);

#endif
