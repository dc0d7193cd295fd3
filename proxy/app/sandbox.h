// What the process takes from itself once it knows its documents: no new privileges, files but those in folders that it needs (Landlock), system calls that no proxy
// makes (seccomp, app/syscalls). Needs no privilege; what the kernel does not have is left out and told.
#ifndef APP_SANDBOX_H
#define APP_SANDBOX_H

#include "app/options.h"
#include "base/bytes.h"
#include "config/load.h"

struct sandbox {
    struct bytes seccomp;  // for people: "enforced", "disabled", "not supported"
    struct bytes landlock; // the same
};

// For this thread and all that it starts from now on. To be opened later, files must lie in a folder that `snapshot`, the command line or a list of the system's own names:
// the resolver's files, the CA certificates of the system, figures of the process.
void sandbox_enter(struct sandbox *sandbox, const struct options *options, const struct snapshot *snapshot);

// Whether the files that `fresh` names can be opened inside; adds an error for each that `before` did not name and that cannot.
void sandbox_check(const struct sandbox *sandbox, const struct snapshot *before, const struct snapshot *fresh, struct config_errors *errors);

#endif
