// See descriptors.h. The kernel gives out the lowest number that is free: so the number itself tells how many are left.
#include "net/descriptors.h"

#include "base/limits.h"

#include <sys/resource.h>

bool descriptor_leaves(int descriptor, uint32_t spare) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return true;
    uint64_t kept = spare;
    if (limit.rlim_cur / 8 < LIMIT_SPARE_FROM_CLIENTS)
        kept = limit.rlim_cur / 8 * spare / LIMIT_SPARE_FROM_CLIENTS;
    return (uint64_t)descriptor + kept < limit.rlim_cur;
}
