// Parts of a Proxy that concern the process as a whole: its hardening, the files that it may need. Part of snapshot.h.
#ifndef CONFIG_PROCESS_CONFIG_H
#define CONFIG_PROCESS_CONFIG_H

#include "base/bytes.h"

// What the process takes from itself once it has started, where the kernel has it.
enum hardening { HARDENING_ENFORCE, HARDENING_DISABLE };

// A file that a document names: it may be read, and its folder looked at, for as long as the process lives.
struct named_path {
    struct named_path *next;
    struct bytes path; // NUL behind it
};

#endif
