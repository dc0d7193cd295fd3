// The order of the chain, in one place, with the reason for each.
#include "stream/filter.h"

#include <string.h>

static const char *const outbound[] = {
    "deadline", // first: all that follows runs inside the request's time, waiting too
};

static const char *const inbound[] = {
    "deadline", // as outbound: work whose caller has given up is not begun
};

int chain_order(const char *name, enum filter_role role) {
    const char *const *places = role == FILTER_OUTBOUND ? outbound : inbound;
    size_t count = role == FILTER_OUTBOUND ? sizeof outbound / sizeof outbound[0] : sizeof inbound / sizeof inbound[0];
    for (size_t i = 0; i < count; i++)
        if (strcmp(places[i], name) == 0)
            return (int)i;
    return -1;
}
