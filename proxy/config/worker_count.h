// How many workers a proxy gets that leaves it to us (workers: 0).
#ifndef CONFIG_WORKER_COUNT_H
#define CONFIG_WORKER_COUNT_H

#include <stdint.h>

// 1 to 4: the CPUs that the process may run on, less where its cgroup's quota gives it less time than that.
uint32_t worker_count_by_cpu(void);

// `text`: of a cgroup's cpu.max, "max 100000" or "150000 100000". Whole CPUs, rounded up, at least 1; UINT32_MAX: no quota.
uint32_t worker_count_of_quota(const char *text);

#endif
