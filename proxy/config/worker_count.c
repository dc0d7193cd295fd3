// The machine's answer to `workers: 0`. Inside a container the quota is what the container was given; more threads than that only wait for each other.
#include "config/worker_count.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>

#define WORKERS_MAX_BY_CPU 4

uint32_t worker_count_of_quota(const char *text) {
    uint64_t quota, period;
    if (sscanf(text, "%" SCNu64 " %" SCNu64, &quota, &period) != 2 || quota == 0 || period == 0)
        return UINT32_MAX;
    uint64_t count = quota / period + (quota % period != 0);
    return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

static uint32_t quota_of_cgroup(void) {
    char text[64] = "";
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (file == NULL)
        return UINT32_MAX;
    uint32_t count = fgets(text, sizeof(text), file) != NULL ? worker_count_of_quota(text) : UINT32_MAX;
    fclose(file);
    return count;
}

uint32_t worker_count_by_cpu(void) {
    cpu_set_t set;
    uint32_t count = sched_getaffinity(0, sizeof(set), &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 1;
    uint32_t quota = quota_of_cgroup();
    count = quota < count ? quota : count;
    if (count > WORKERS_MAX_BY_CPU)
        count = WORKERS_MAX_BY_CPU;
    return count == 0 ? 1 : count;
}
