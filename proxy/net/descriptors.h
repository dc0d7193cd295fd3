// The last of the process's descriptors are not for everybody: clients, who may come in any number, are refused before what serves those that are there has
// none left, and that before nobody could look at the process or change its files. Used by net/tcp and net/tcp_listener.
#ifndef NET_DESCRIPTORS_H
#define NET_DESCRIPTORS_H

#include <stdbool.h>
#include <stdint.h>

// Whether there are `spare` descriptors behind `descriptor`, which was just opened and so is the lowest that was free; of a process that may have few an eighth of
// them, in the same proportion to LIMIT_SPARE_FROM_CLIENTS.
bool descriptor_leaves(int descriptor, uint32_t spare);

#endif
