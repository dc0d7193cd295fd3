// One file as a load has decoded it: its documents with their values, kept for the loads that follow and, since snapshots point into the values, for as long as one of them
// lives. The trees of YAML are not kept: they take twenty times as much as the text, out of which they are made again where an error must be told its line.
#ifndef CONFIG_UNIT_H
#define CONFIG_UNIT_H

#include "config/document.h"
#include "config/memory.h"

#include <stdatomic.h>
#include <sys/stat.h>

// A list that is marked as bulk, of so many items or more, is decoded into the memory of the load: thousands of endpoints would take 300 bytes each from load to load, and cost little
// to be decoded again.
#define LIST_BULK_MIN 256

struct unit {
    _Atomic uint32_t references;   // of the cache, the load that is under way, snapshots
    struct config_memory *memory;  // documents, values; what they point to
    const char *file;              // in `memory`: places in the documents point to it
    struct bytes text;             // owned; as it was read
    struct stat status;            // of the file when `text` was read
    bool is_bulky;                 // decoded, it takes a multiple of its text: it is for one load alone, and no other finds it
    bool is_settled;               // it was old enough then: whatever changes it changes `status`
    struct document *first;        // documents in the order of the file, by `in_unit`
    struct named_path *paths;      // that these documents name
    struct config_errors warnings; // of these documents alone
    uint64_t used;                 // the number of the last load that had it
};

// Takes over `text` (malloc), and decodes it: errors are told in loading->errors, the documents have their trees until unit_leave. One reference.
struct unit *unit_create(struct loading *loading, const char *file, struct bytes text);

struct unit *unit_ref(struct unit *unit);

// Any thread; frees with the last.
void unit_unref(struct unit *unit);

// Puts the documents of the unit at the end of the load's, its warnings to the others. Documents of kinds that cannot be judged without get their trees.
void unit_join(struct unit *unit, struct loading *loading);

// Gives the documents their trees again, until unit_leave.
void unit_revive(struct unit *unit, struct loading *loading);

// The load is over, its trees go.
void unit_leave(struct unit *unit);

#endif
