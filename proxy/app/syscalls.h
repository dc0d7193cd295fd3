// The filter of system calls (seccomp): once it is in force the process, and whatever somebody makes of it, has those calls alone that a proxy makes.
#ifndef APP_SYSCALLS_H
#define APP_SYSCALLS_H

#include "base/error.h"

#include <stddef.h>

// For this thread and all that it starts from now on; it cannot be taken back. ERROR_IO with a text in `reason` where the kernel does not have it.
//
// What belongs to another program (to run one, to look into other processes, to load modules) kills the process: nobody asks for it by mistake. All else fails with
// EPERM, and the kernel logs it: a C library may try a call that we do not know yet, and must not bring down traffic by it.
MUST_CHECK enum error syscalls_restrict(char *reason, size_t reason_size);

#endif
